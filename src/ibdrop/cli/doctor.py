"""`ibdrop doctor`: can this machine train, and with what?"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ibdrop import __version__

if TYPE_CHECKING:
    from ibdrop.cli.health import Finding

__all__ = ["main", "parser"]

STYLES = {"ok": "green", "note": "yellow", "fail": "bold red"}


def main(argv: Sequence[str]) -> int:
    """Looks the machine over and says what to do about what is wrong.

    Arguments:
        argv: The words after `ibdrop doctor`.

    Returns:
        0 if the machine can train, 1 if not, 2 for a mistake in `argv` or, whatever else is
        wrong, if a GPU is required and none works.
    """
    try:
        arguments = parser().parse_args(list(argv))
    except SystemExit as done:
        return int(done.code or 0)
    from ibdrop.cli.health import examine

    findings = examine()
    gpu = _gpu(findings)
    if arguments.quiet:
        _summary(findings, gpu)
    else:
        _table(findings)
    if arguments.require_gpu and not gpu:
        print(
            "ibdrop doctor: --require-gpu, but no CUDA device works here; it takes an NVIDIA "
            "driver, a torch built for CUDA and, in a container, --gpus all",
            file=sys.stderr,
        )
        return 2
    return int(any(finding.state == "fail" for finding in findings))


def parser() -> argparse.ArgumentParser:
    """The parser of the command; making it loads nothing heavy."""
    made = argparse.ArgumentParser(
        prog="ibdrop doctor",
        description="Says whether this machine can train: versions, devices (with a small\n"
        "computation on each), data, folders. Nothing is changed.",
        epilog="exit status:\n"
        "  0 this machine can train, 1 it cannot, 2 --require-gpu and no GPU works\n\n"
        "examples:\n"
        "  ibdrop doctor\n"
        "  ibdrop doctor --require-gpu && ibdrop train dataset=cluttered_mnist\n"
        "  docker run --rm --gpus all ibdrop:cuda doctor --require-gpu\n\n"
        "next: `ibdrop train trainer=smoke` is a whole run within a minute.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("--quiet", "-q", action="store_true", help="one line, and what fails")
    made.add_argument("--require-gpu", action="store_true", help="exit with 2 if no GPU works")
    return made


def _gpu(findings: Sequence[Finding]) -> str:
    """The name of the CUDA device that works, empty if none does."""
    if not any(finding.name == "cuda" and finding.state == "ok" for finding in findings):
        return ""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def _summary(findings: Sequence[Finding], gpu: str) -> None:
    failed = [finding for finding in findings if finding.state == "fail"]
    print(f"ibdrop {__version__}: {'fail' if failed else 'ok'}, {gpu or 'CPU only'}")
    for finding in failed:
        print(f"{finding.name}: {finding.detail}; {finding.remedy}", file=sys.stderr)


def _table(findings: Sequence[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    from ibdrop.cli.tables import console

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in (f"ibdrop {__version__}", "", "found"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(
            Text(finding.name),
            Text(finding.state, STYLES[finding.state]),
            Text(finding.detail),
        )
        if finding.remedy:
            table.add_row("", "", Text(f"-> {finding.remedy}", STYLES[finding.state]))
    out = console()
    out.print(table)
    failed = sum(finding.state == "fail" for finding in findings)
    if failed:
        out.print(f"{failed} of {len(findings)} need attention.", style=STYLES["fail"])
    else:
        out.print("This machine can train.", style=STYLES["ok"])
