# One recipe, two tags; docs/docker.md says how to run them, CONTRIBUTING.md how this is checked.
#   docker build -t ibdrop:cuda .
#   docker build -t ibdrop:cpu --build-arg TORCH_INDEX=<address of PyTorch's index of CPU wheels> .
# CUDA and cuDNN come with torch's wheels and the driver with the NVIDIA container toolkit, so a
# plain Python base is enough. Pin BASE_IMAGE by digest for a release.
ARG BASE_IMAGE=python:3.12-slim-bookworm

FROM ${BASE_IMAGE} AS base
# A base without Python, such as plain Debian, gets Debian's.
RUN if ! command -v python3 >/dev/null; then \
        apt-get update \
        && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
        && rm -rf /var/lib/apt/lists/*; \
    fi


FROM base AS build
# Empty by default: wheels from the default index, with CUDA. Another index gives CPU wheels, or
# those of an older CUDA for an older driver.
ARG TORCH_INDEX=""
# Extras of pyproject.toml, separated by commas; captum is there for `ibdrop explain`.
ARG EXTRAS="captum"
# For a build without network: PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels. pip ignores empty values.
ARG PIP_NO_INDEX=""
ARG PIP_FIND_LINKS=""
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
# A CPU tag must not hold CUDA wheels because an address was forgotten.
RUN case "$TORCH_INDEX" in \
        "" | /* | *://*) ;; \
        *) echo "TORCH_INDEX=$TORCH_INDEX is no address of an index of wheels" >&2; exit 2 ;; \
    esac \
    && python3 -m venv /opt/venv
WORKDIR /build
# What changes seldom first: the dependencies stay cached while the sources change.
COPY constraints.txt pyproject.toml ./
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install -c constraints.txt \
        ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} torch torchvision
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/python -c 'import os, tomllib; \
project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
extras = [project["optional-dependencies"][name] for name in os.environ["EXTRAS"].split(",") if name]; \
print("\n".join(sum(extras, project["dependencies"])))' >requirements.txt \
    && /opt/venv/bin/pip install -c constraints.txt -r requirements.txt
COPY LICENSE README.md ./
COPY conf conf
COPY src src
RUN --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip wheel --no-deps --wheel-dir dist . \
    && /opt/venv/bin/pip install --no-deps dist/ibdrop-*.whl \
    && /opt/venv/bin/pip check


FROM base AS runtime
ARG BASE_IMAGE
ARG REVISION=""
LABEL org.opencontainers.image.title="ibdrop" \
      org.opencontainers.image.description="Information Dropout: what a network keeps and what it throws away" \
      org.opencontainers.image.licenses="BSD-3-Clause" \
      org.opencontainers.image.base.name="${BASE_IMAGE}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/venv /opt/venv
# World-writable, so that `--user $(id -u):$(id -g)` works with any number.
RUN install -d -m 1777 /home/ibdrop /data /outputs
# A user without an entry in passwd has no name and no home; whatever asks finds them here. Weights
# of torchvision's networks are fetched into the volume of data, so that they outlive a container.
ENV PATH="/opt/venv/bin:${PATH}" \
    PYTHONUNBUFFERED=1 \
    HOME=/home/ibdrop \
    USER=ibdrop \
    XDG_CACHE_HOME=/home/ibdrop/.cache \
    MPLCONFIGDIR=/home/ibdrop/.config/matplotlib \
    TORCHINDUCTOR_CACHE_DIR=/home/ibdrop/.cache/torchinductor \
    TORCH_HOME=/data/torch \
    IBDROP_DATA=/data \
    IBDROP_OUTPUTS=/outputs \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000:1000
WORKDIR /outputs
VOLUME ["/data", "/outputs"]
HEALTHCHECK --interval=10m --timeout=2m --start-period=2m CMD ["ibdrop", "doctor", "--quiet"]
ENTRYPOINT ["ibdrop"]
CMD ["--help"]
