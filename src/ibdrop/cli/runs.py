"""The commands that begin with a folder: each chooses, calls, prints, and names the files."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from ibdrop.cli import parsers
from ibdrop.cli.explain_parser import explain

__all__ = ["PARSERS", "main", "parser"]

PARSERS: dict[str, Callable[[str], argparse.ArgumentParser]] = {
    "evaluate": parsers.evaluate,
    "rank": parsers.rank,
    "heatmap": parsers.heatmap,
    "explain": explain,
    "reconstruct": parsers.reconstruct,
    "report": parsers.report,
    "compare": parsers.compare,
    "runs": parsers.runs,
    "resume": parsers.resume,
}


def main(command: str, argv: Sequence[str]) -> int:
    """Carries out a command on runs.

    Arguments:
        command: One of `evaluate`, `rank`, `heatmap`, `explain`, `reconstruct`, `report`,
            `compare`, `runs`, `resume`.
        argv: The words after it.

    Returns:
        The exit status.

    Raises:
        IbdropError: What the user can mend.
    """
    try:
        arguments = parser(command).parse_intermixed_args(list(argv))
    except SystemExit as done:
        return int(done.code or 0)
    from ibdrop.cli import actions

    act: Callable[[argparse.Namespace], int] = getattr(actions, command)
    return act(arguments)


def parser(command: str) -> argparse.ArgumentParser:
    """The parser of a command."""
    return PARSERS[command](command)
