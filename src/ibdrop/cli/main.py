"""`ibdrop`: finds the command, loads no more than it needs, says in a sentence what failed."""

from __future__ import annotations

import difflib
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ibdrop import __version__
from ibdrop.errors import IbdropError

__all__ = ["COMMANDS", "Command", "main"]


@dataclass(frozen=True)
class Command:
    """A word after `ibdrop`.

    Attributes:
        summary: What it does, in one line.
        example: A line that works.
        module: The module of `ibdrop.cli` whose `main` carries it out.
    """

    summary: str
    example: str
    module: str


COMMANDS = {
    "train": Command(
        "compose, check, train, evaluate, write artifacts", "train beta=1e-3", "train"
    ),
    "evaluate": Command(
        "test again; noise, corruptions, outliers, ensembles", "evaluate RUN noise=on", "runs"
    ),
    "rank": Command("test images from the surest to the least sure", "rank RUN", "runs"),
    "heatmap": Command("where the network looks: KL maps", "heatmap RUN --images 8", "runs"),
    "explain": Command("which part of an image makes its class: masks", "explain RUN", "runs"),
    "reconstruct": Command(
        "what an autoencoder gives back; its filters, codes", "reconstruct RUN", "runs"
    ),
    "report": Command("one HTML page of a run or a sweep", "report RUN", "runs"),
    "compare": Command("what differs between runs, what came out", "compare RUN RUN", "runs"),
    "runs": Command("a table of the runs in a folder", "runs outputs", "runs"),
    "resume": Command("continue an interrupted run or sweep", "resume RUN", "runs"),
    "data": Command("list, fetch and show data sets", "data list", "data"),
    "doctor": Command("versions, devices, data, folders: does all work?", "doctor", "doctor"),
    "completion": Command("a script for bash, zsh or fish", "completion bash", "completion"),
}

CLOSING = """\
Examples:
  ibdrop doctor                                          does everything work here?
  ibdrop train model=allcnn noise=information beta=1e-3  one run
  ibdrop train -m beta=1e-3,1e-2,1e-1                    a sweep
  ibdrop heatmap outputs/DATE/TIME_NAME                  what the network kept of the images

Next: `ibdrop train --help` lists models, noises and data sets; `ibdrop COMMAND --help` tells
more about any command."""

FULL = (errno.ENOSPC, errno.EDQUOT)
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Arguments:
        argv: The words after `ibdrop`; those of the process if not given.

    Returns:
        The exit status: 0 if the work is done, 2 for a mistake of the user's, 1 for any other
        failure, 130 and 143 for SIGINT and SIGTERM.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        status = _dispatch(words)
        sys.stdout.flush()
        return status
    except IbdropError as error:
        _say(str(error).splitlines() or [type(error).__name__])
        return error.status
    except KeyboardInterrupt:
        _say(["interrupted"])
        return 128 + 2
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        sentence = _about_files(error)
        if sentence is None:
            raise
        _say([sentence])
        return 2


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0
    first, *rest = words
    if first == "help":
        return _dispatch([*rest[:1], "--help"])
    if first in ("-V", "--version"):
        print(f"ibdrop {__version__}")
        return 0
    if first in ("-sc", "--shell-completion", "--shell_completion"):
        from ibdrop.cli.completion import complete

        return complete(words)
    if first not in COMMANDS:
        _say([_unknown(words)])
        return 2
    module = importlib.import_module(f"ibdrop.cli.{COMMANDS[first].module}")
    command = [first] if COMMANDS[first].module == "runs" else []
    status: int = module.main(*command, rest)
    return status


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = [
        f"  {name:<{width}}{command.summary:<52}ibdrop {command.example}"
        for name, command in COMMANDS.items()
    ]
    head = "ibdrop: experiments with information bottlenecks, dropout noise and uncertainty."
    usage = "Usage: ibdrop COMMAND [...]"
    return "\n\n".join([head, usage, "\n".join(["Commands:", *lines]), CLOSING])


def _unknown(words: Sequence[str]) -> str:
    first = words[0]
    if "=" in first or first in ("-m", "--multirun", "--cfg"):
        return f"'{first}' is no command; did you mean `ibdrop train {' '.join(words)}`?"
    near = difflib.get_close_matches(first, COMMANDS, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else "."
    return f"no such command '{first}'{hint} `ibdrop --help` lists them"


def _about_files(error: OSError) -> str | None:
    """One sentence on a disk or folder that will not be written; nothing on other errors."""
    path = error.filename if isinstance(error.filename, str) else None
    if error.errno in FULL:
        where = f", writing {path}" if path else ""
        remedy = "free some space, then start again, or `ibdrop resume RUN` if the run had begun"
        return f"the disk is full{where}; {remedy}"
    if error.errno in FORBIDDEN and path:
        reason = os.strerror(error.errno or 0).lower()
        return f"cannot use {path}: {reason}; choose another place with output_dir=DIR"
    return None


def _say(lines: Sequence[str]) -> None:
    """One problem in a line; several as a list."""
    if len(lines) == 1 or lines[1].startswith("  "):
        text = "\n".join(lines)
    else:
        text = "\n  ".join([f"{len(lines)} problems:", *lines])
    print(f"ibdrop: {text}", file=sys.stderr, flush=True)
