"""Where a run came from: versions, commit, machine, and the command that repeats it."""

from __future__ import annotations

import os
import platform
import shlex
import socket
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ibdrop import __version__

if TYPE_CHECKING:
    import torch

__all__ = ["alive", "config_flags", "device_name", "git", "now", "process", "repeat", "versions"]

PACKAGES = ("torch", "pytorch-lightning", "torchvision", "hydra-core", "numpy")
CONFIG_FLAGS = ("--config-dir", "-cd", "--config-name", "-cn", "--config-path", "-cp")


def now() -> str:
    """The time in UTC, as ISO 8601 to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def versions() -> dict[str, str]:
    """Versions of ibdrop, Python and the packages that matter, read without importing them."""
    found = {"ibdrop": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package.replace("-", "_")] = version(package)
        except PackageNotFoundError:
            continue
    return found


def git(folder: Path | None = None) -> dict[str, Any] | None:
    """The commit checked out in `folder` and whether files differ from it.

    Arguments:
        folder: Any folder of the checkout; the working directory if not given.

    Returns:
        `commit` and `dirty`, or `None` where there is no git or no commit.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}


def process() -> dict[str, Any]:
    """Identifies this process, so that `alive` can later tell whether it is still there."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "pid_since": _since(pid)}


def alive(record: Mapping[str, Any]) -> bool:
    """Whether the process of `process` may still run; true where that cannot be known.

    A process of another host cannot be seen. A number that now belongs to a process
    started at another moment counts as gone.
    """
    pid = record.get("pid")
    if os.name != "posix" or not isinstance(pid, int) or pid <= 0:
        return True
    if record.get("host") != socket.gethostname():
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    since = record.get("pid_since")
    return since is None or since == _since(pid)


def repeat(command: Sequence[str], overrides: Sequence[str]) -> str:
    """The line that repeats one run, quoted for the shell.

    Arguments:
        command: The command line as given; only the words that choose configs are kept, so
            that a job of a sweep is repeated alone.
        overrides: The overrides of this very run.
    """
    mode = [word for word in command if word.startswith("hydra.mode=") and word not in overrides]
    return shlex.join(["ibdrop", "train", *config_flags(command), *overrides, *mode])


def config_flags(command: Sequence[str]) -> list[str]:
    """The words of a command line that choose where configs come from."""
    kept: list[str] = []
    for position, word in enumerate(command):
        if word in CONFIG_FLAGS:
            kept += command[position : position + 2]
        elif word.startswith(tuple(f"{flag}=" for flag in CONFIG_FLAGS)):
            kept.append(word)
    return kept


def device_name(device: torch.device) -> str:
    """Names the hardware behind a device, such as `cuda (NVIDIA H200)`."""
    import torch

    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"{device.type} ({_processor()}, {threads} thread{'s' * (threads != 1)})"


def _git(folder: Path | None, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", *words], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _since(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat.rpartition(")")[2].split()[19])


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
