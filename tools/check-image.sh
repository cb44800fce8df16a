#!/usr/bin/env bash
# Builds the image and runs it without a Docker engine and without a registry of images:
# buildah in chroot isolation, on a Debian base made by debootstrap. CONTRIBUTING.md says what
# this proves and what it does not.
#
#   tools/check-image.sh [FOLDER]
#
# FOLDER (a temporary one if not given, and then removed) keeps the base, the wheels and the
# image store; about 30 GB. Root, buildah, debootstrap and a Python of the version of the base
# (PYTHON, python3.11 by default) are needed. WHEELHOUSE names a folder of wheels to use instead
# of fetching; STORAGE_DRIVER is overlay, or vfs where overlay does not work (three times the
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
    "${PYTHON:-python3.11}" - "$checkout/pyproject.toml" >"$folder/requirements.txt" <<'PY'
import sys
import tomllib

with open(sys.argv[1], "rb") as file:
    project = tomllib.load(file)
print("\n".join(project["project"]["dependencies"] + project["build-system"]["requires"]))
PY
    "${PYTHON:-python3.11}" -m pip wheel -q -c "$checkout/constraints.txt" \
        -w "$wheelhouse.part" -r "$folder/requirements.txt"
    mv "$wheelhouse.part" "$wheelhouse"
fi
du -sh "$wheelhouse"

step "build"
store bud --pull-never --isolation chroot --format docker \
    --signature-policy "$folder/policy.json" -v "$wheelhouse:/wheels:ro" \
    --build-arg BASE_IMAGE=localhost/debian-base \
    --build-arg PIP_NO_INDEX=1 --build-arg PIP_FIND_LINKS=/wheels \
    --build-arg REVISION="$(git -C "$checkout" rev-parse HEAD 2>/dev/null || true)" \
    -t "$image" "$checkout"
store images

step "what the image says of itself"
store inspect --type image --format \
    'user {{.Docker.Config.User}}, entry {{.Docker.Config.Entrypoint}} {{.Docker.Config.Cmd}}, volumes {{.Docker.Config.Volumes}}, health {{.Docker.Config.Healthcheck.Test}}' \
    "$image"

container=$(store from --pull-never "$image")
inside() { store run --isolation chroot "$@"; }

step "ibdrop doctor, as the user of the image"
inside "$container" -- ibdrop doctor
step "ibdrop doctor --quiet, as a user that passwd does not know"
inside --user 12345:54321 "$container" -- ibdrop doctor --quiet
step "a tiny run, as that user"
inside --user 12345:54321 "$container" -- ibdrop train trainer=smoke
step "no compiler, no git, no sources"
inside "$container" -- sh -c '! command -v gcc && ! command -v git && ! test -e /build'
store rm "$container" >/dev/null
step "the image holds"
