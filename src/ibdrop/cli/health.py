"""What must be well for a run to succeed on this machine, one function each."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from ibdrop.errors import DataError

if TYPE_CHECKING:
    import torch

__all__ = ["Finding", "examine"]

PYTHONS = ((3, 11), (3, 14))
SMALL_SHM = 1 << 30
SMALL_DISK = 2 << 30
CONTROL = Path("/dev/nvidiactl")


class Finding(NamedTuple):
    """What one look at the machine found.

    Attributes:
        name: What was looked at.
        state: `ok`, `note` where something is missing that not everybody needs, or `fail`.
        detail: What was found.
        remedy: What to do about it.
    """

    name: str
    state: Literal["ok", "note", "fail"]
    detail: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Looks at everything; a look that breaks is itself a finding."""
    return [_guarded(name, look) for name, look in LOOKS.items()]


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:
        said = str(error).strip() or type(error).__name__
        return Finding(
            name, "fail", said.splitlines()[0], REMEDIES.get(name, "install ibdrop again")
        )


def _python() -> Finding:
    found = f"{platform.python_version()} ({sys.executable})"
    low, high = PYTHONS
    if low <= sys.version_info < high:
        return Finding("python", "ok", found)
    return Finding("python", "fail", found, "use Python 3.11, 3.12 or 3.13")


def _packages() -> Finding:
    versions, missing = [], []
    for requirement in requires("ibdrop") or ():
        if "extra ==" in requirement:
            continue
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        try:
            versions.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        remedy = f"pip install {' '.join(missing)}"
        return Finding("packages", "fail", f"missing: {', '.join(missing)}", remedy)
    return Finding("packages", "ok", ", ".join(versions))


def _configs() -> Finding:
    from ibdrop.config.location import conf_dir

    folder = conf_dir()
    return Finding("configs", "ok", f"{len(list(folder.rglob('*.yaml')))} files in {folder}")


def _cpu() -> Finding:
    import torch

    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    x = torch.eye(8)
    if not torch.equal(x @ x, x):
        return Finding("cpu", "fail", "a product of unit matrices is wrong", "install torch again")
    return Finding("cpu", "ok", f"{torch.get_num_threads()} threads on {usable} usable cores")


def _cuda() -> Finding:
    import torch

    driver = _driver()
    if torch.version.cuda is None:
        if driver is None:
            return Finding("cuda", "ok", "none; this torch is a CPU build")
        remedy = "install a torch wheel with CUDA to use the device"
        return Finding("cuda", "note", f"driver {driver}, but this torch is a CPU build", remedy)
    if not torch.cuda.is_available():
        return _without_cuda(driver)
    return _with_cuda(torch.device("cuda", torch.cuda.current_device()), driver)


def _without_cuda(driver: str | None) -> Finding:
    import torch

    wheel = f"torch is built for CUDA {torch.version.cuda}"
    if driver is None:
        return Finding("cuda", "ok", f"no NVIDIA driver, so the CPU is used; {wheel}")
    if not CONTROL.exists():
        # A container sees the driver of its host whether or not it was given a device.
        remedy = "start the container with --gpus all to use it; without, the CPU is used"
        return Finding("cuda", "note", f"driver {driver}, but no device given; {wheel}", remedy)
    remedy = "update the driver or install a torch built for an older CUDA"
    return Finding("cuda", "fail", f"driver {driver} gives no usable device; {wheel}", remedy)


def _with_cuda(device: torch.device, driver: str | None) -> Finding:
    """Multiplies two small matrices there and here; integers below 2**24 leave no rounding."""
    import torch

    x = torch.arange(64 * 64, dtype=torch.float32).reshape(64, 64).remainder(7)
    right = bool(torch.equal((x.to(device) @ x.to(device)).cpu(), x @ x))
    properties = torch.cuda.get_device_properties(device)
    detail = (
        f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, driver {driver or '?'}, "
        f"torch for CUDA {torch.version.cuda}, "
        f"bf16 {'yes' if torch.cuda.is_bf16_supported(including_emulation=False) else 'no'}"
    )
    if torch.cuda.device_count() > 1:
        detail += f", {torch.cuda.device_count()} devices (a run uses one)"
    if not right:
        return Finding("cuda", "fail", f"{detail}; a matrix product is wrong", REMEDIES["cuda"])
    return Finding("cuda", "ok", detail)


def _driver() -> str | None:
    """The version of the NVIDIA driver, `None` where there is none."""
    try:
        text = Path("/proc/driver/nvidia/version").read_text()
    except OSError:
        return None
    found = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", text)
    return found[0] if found else "of unknown version"


def _shared_memory() -> Finding:
    shared = Path("/dev/shm")
    if not shared.is_dir():
        return Finding("/dev/shm", "note", "not there", "other programs' data loaders need it")
    size = shutil.disk_usage(shared).total
    detail = f"{size / 2**30:.1f} GiB"
    if size < SMALL_SHM:
        remedy = "ibdrop does not need more; for loaders of your own: docker run --shm-size=2g"
        return Finding("/dev/shm", "note", detail, remedy)
    return Finding("/dev/shm", "ok", detail)


def _digits() -> Finding:
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        return Finding("embedded digits", "fail", "no scikit-learn", REMEDIES["embedded digits"])
    file = Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not file.is_file():
        return Finding("embedded digits", "fail", f"no {file}", REMEDIES["embedded digits"])
    return Finding("embedded digits", "ok", "found, nothing to download")


def _mnist() -> Finding:
    from ibdrop.data.originals import read
    from ibdrop.data.sources import MNIST

    root = Path(os.environ.get("IBDROP_DATA", "data")).absolute()
    folder = root / MNIST.folder
    missing = MNIST.missing(root)
    if len(missing) == len(MNIST.files):
        remedy = "only dataset=mnist and dataset=cluttered_mnist need it: ibdrop data fetch mnist"
        return Finding("MNIST", "note", f"not in {folder}", remedy)
    try:
        for file in MNIST.files:
            read(MNIST, file, root)
    except DataError as error:
        return Finding("MNIST", "note", str(error), "until then dataset=mnist cannot be used")
    return Finding("MNIST", "ok", f"whole, in {folder}")


def _outputs() -> Finding:
    folder = Path(os.environ.get("IBDROP_OUTPUTS", "outputs")).absolute()
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        detail = f"{there}: {error.strerror or error}"
        return Finding("output folder", "fail", detail, REMEDIES["output folder"])
    free = shutil.disk_usage(there).free
    detail = f"{folder} can be written, {free / 2**30:.1f} GiB free"
    if free < SMALL_DISK:
        return Finding("output folder", "note", detail, "make room: a sweep may need more")
    return Finding("output folder", "ok", detail)


def _user() -> Finding:
    home = Path.home()
    detail = f"uid {os.getuid()}, gid {os.getgid()}, home {home}"
    if not os.access(home, os.W_OK):
        remedy = "caches go elsewhere; set HOME to a folder that can be written to keep them"
        return Finding("user", "note", f"{detail}, which cannot be written", remedy)
    return Finding("user", "ok", detail)


LOOKS: dict[str, Callable[[], Finding]] = {
    "python": _python,
    "packages": _packages,
    "configs": _configs,
    "cpu": _cpu,
    "cuda": _cuda,
    "/dev/shm": _shared_memory,
    "embedded digits": _digits,
    "MNIST": _mnist,
    "output folder": _outputs,
    "user": _user,
}

REMEDIES = {
    "cpu": "install torch again",
    "cuda": "restart the machine or the container; then try another driver or torch",
    "embedded digits": "pip install scikit-learn",
    "output folder": "choose another: output_dir=DIR or IBDROP_OUTPUTS=DIR; "
    "in a container, mount a folder of yours and pass --user $(id -u):$(id -g)",
}
