"""What the parsers of all commands on runs share."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

__all__ = ["RUN_HELP", "Parser", "add_output", "add_run", "as_run", "new"]

HINT = "`ibdrop runs` lists the runs there are; `latest` stands for the newest"
RUN_HELP = "folder of a run, or `latest`"


class Parser(argparse.ArgumentParser):
    """Prints the usage and where to find a run, and exits with 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(2, f"{self.prog}: {message}\n{HINT}\n")


def new(command: str, description: str, epilog: str) -> Parser:
    """A parser of `ibdrop COMMAND`; its epilog gives examples and the next step."""
    return Parser(
        prog=f"ibdrop {command}",
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run(made: argparse.ArgumentParser) -> None:
    """Adds the run and the changes to its config."""
    made.add_argument("run", metavar="RUN", help=RUN_HELP)
    made.add_argument(
        "changes",
        metavar="KEY=VALUE",
        nargs="*",
        help="changes to the run's config: dataset.*, trainer.*",
    )


def add_output(made: argparse.ArgumentParser) -> None:
    """Adds where to write."""
    made.add_argument(
        "--output", type=Path, metavar="DIR", help="where to write (default: RUN/artifacts)"
    )


def as_run(words: str) -> str:
    """Help that ends by saying where the default comes from."""
    return f"{words} (default: as in the run's config)"
