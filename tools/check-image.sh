#!/usr/bin/env bash
# Builds the image and runs it without a Docker engine and without a registry of images:
# buildah in chroot isolation, on a Debian base made by debootstrap. CONTRIBUTING.md says what
# this proves and what it does not. What is built is the last commit, whatever else lies around.
#
#   tools/check-image.sh [FOLDER]
#
# FOLDER (a temporary one if not given, and then removed) keeps the base, the wheels and the
# image store; about 30 GB. Root, git, buildah, debootstrap and a Python of the version of the base
# (PYTHON, python3.11 by default) are needed. WHEELHOUSE names a folder of wheels to use instead
# of fetching; EXTRAS are the image's extras (captum by default); STORAGE_DRIVER is overlay, or vfs where overlay does not work (three times the
# space).
set -euo pipefail
checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

if [[ $# -gt 0 ]]; then
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
else
    folder=$(mktemp -d "${TMPDIR:-/tmp}/ibdrop-image.XXXXXX")
    trap 'rm -rf "$folder"' EXIT
fi
wheelhouse=${WHEELHOUSE:-$folder/wheelhouse}
extras=${EXTRAS-captum}
image=localhost/ibdrop

step() { printf '\n== %s\n' "$*"; }

# Everything buildah writes stays in the folder.
export TMPDIR="$folder/tmp"
mkdir -p "$TMPDIR"
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$folder/policy.json"
: >"$folder/registries.conf"
store() {
    buildah --root "$folder/store" --runroot "$folder/run" \
        --storage-driver "${STORAGE_DRIVER:-overlay}" --registries-conf "$folder/registries.conf" "$@"
}

revision=$(git -C "$checkout" rev-parse HEAD)
step "context: the files of commit ${revision:0:10}"
context=$folder/context
rm -rf "$context"
mkdir "$context"
git -C "$checkout" archive "$revision" | tar -x -C "$context"

step "base: Debian without Python"
if [[ ! -d $folder/rootfs ]]; then
    debootstrap --variant=minbase bookworm "$folder/rootfs.part" >"$folder/debootstrap.log"
    mv "$folder/rootfs.part" "$folder/rootfs"
fi
base=$(store from scratch)
store add -q "$base" "$folder/rootfs" / >/dev/null
store commit -q --rm --signature-policy "$folder/policy.json" "$base" localhost/debian-base >/dev/null

step "wheels"
if [[ ! -d $wheelhouse ]]; then
    "${PYTHON:-python3.11}" - "$context/pyproject.toml" "$extras" >"$folder/requirements.txt" <<'PY'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    pyproject = tomllib.load(file)
wanted = pyproject["build-system"]["requires"] + pyproject["project"]["dependencies"]
for name in filter(None, sys.argv[2].split(",")):
    wanted += pyproject["project"]["optional-dependencies"][name]
print("\n".join(wanted))
PY
    "${PYTHON:-python3.11}" -m pip wheel -q -c "$context/constraints.txt" \
        -w "$wheelhouse.part" -r "$folder/requirements.txt"
    mv "$wheelhouse.part" "$wheelhouse"
fi
du -sh "$wheelhouse"

step "build"
store bud --pull-never --isolation chroot --format docker \
    --signature-policy "$folder/policy.json" -v "$wheelhouse:/wheels:ro" \
    --build-arg BASE_IMAGE=localhost/debian-base \
    --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels \
    --build-arg EXTRAS="$extras" --build-arg REVISION="$revision" \
    -t "$image" "$context"
store images

step "a CPU tag without the address of CPU wheels is refused"
# The image itself, since it has a Python, is a base on which that is found out at once.
if store bud -q --pull-never --isolation chroot --signature-policy "$folder/policy.json" \
    --build-arg BASE_IMAGE="$image" --build-arg TORCH_INDEX=cpu \
    --target build "$context" >"$folder/refused.log" 2>&1; then
    echo "the build went through" >&2
    exit 1
fi
grep -m 1 '^TORCH_INDEX=cpu is no address' "$folder/refused.log"

step "what the image says of itself"
store inspect --type image --format \
    'user {{.Docker.Config.User}}, entry {{.Docker.Config.Entrypoint}} {{.Docker.Config.Cmd}}, volumes {{.Docker.Config.Volumes}}, health {{.Docker.Config.Healthcheck.Test}}, labels {{.Docker.Config.Labels}}' \
    "$image"

container=$(store from --pull-never "$image")
# Runs the arguments inside, as the numeric user and group given first.
inside() {
    local user=$1
    shift
    store run --isolation chroot --user "$user" "$container" -- "$@"
}
stranger=12345:54321 # a number that passwd does not know

step "ibdrop doctor, as the user of the image"
inside 1000:1000 ibdrop doctor
step "ibdrop doctor --quiet, as a user that passwd does not know"
inside "$stranger" ibdrop doctor --quiet
step "ibdrop doctor --require-gpu"
if [[ -e /dev/nvidiactl ]]; then
    echo "left out: there is a GPU, but chroot isolation gives none to the container"
else
    status=0
    inside "$stranger" ibdrop doctor --quiet --require-gpu || status=$?
    echo "exit status $status"
    [[ $status == 2 ]]
fi
step "a tiny run, as that user"
inside "$stranger" ibdrop train trainer=smoke
step "an explanation of it"
inside "$stranger" ibdrop explain latest --index 0 --steps 5
step "their files are that user's"
inside "$stranger" sh -c 'find /outputs -type f | wc -l; ! find /outputs -mindepth 1 ! -user 12345 | grep .'
step "the extras ($extras) are there"
inside "$stranger" python -c 'import importlib, sys
for name in filter(None, sys.argv[1].split(",")):
    print(name, importlib.import_module(name).__version__)' "$extras"
step "no compiler, no git, no sources, nothing else that can be written"
inside "$stranger" sh -c '! command -v gcc && ! command -v git && ! test -e /build && ! test -w /opt/venv'
store rm "$container" >/dev/null
step "the image is as it should be"
store images "$image"
