"""`ibdrop data`: which data sets there are, their files, and a look at them."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from ibdrop.cli.counts import positive

__all__ = ["main", "parser"]

EPILOG = """\
examples:
  ibdrop data list
  ibdrop data fetch mnist
  ibdrop data fetch mnist --root /data
  ibdrop data show cluttered_digits
  ibdrop data show cluttered_mnist dataset.distractors=8 seed=3 --images 24 --output look.png

next: `ibdrop train dataset=NAME` trains on it; `ibdrop data COMMAND --help` tells more."""

ROOT = "data root (default: $IBDROP_DATA, or else data)"


def main(argv: Sequence[str]) -> int:
    """Lists, fetches or shows data sets.

    Arguments:
        argv: The words after `ibdrop data`.

    Returns:
        The exit status.

    Raises:
        IbdropError: What the user can mend.
    """
    made = parser()
    try:
        arguments = _parsed(made, argv)
    except SystemExit as done:
        return int(done.code or 0)
    if arguments.action is None:
        made.print_help()
        return 0
    from ibdrop.cli import datasets

    act: Callable[[argparse.Namespace], int] = getattr(datasets, f"{arguments.action}_data")
    return act(arguments)


def _parsed(made: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Parses the words; `KEY=VALUE` may stand anywhere, which argparse itself forbids."""
    arguments, rest = made.parse_known_args(list(argv))
    wrong = [word for word in rest if word.startswith("-") or arguments.action != "show"]
    if wrong:
        made.error(f"unrecognized arguments: {' '.join(wrong)}")
    if rest:
        arguments.overrides = [*arguments.overrides, *rest]
    return arguments


def parser() -> argparse.ArgumentParser:
    """The parser of the command; making it loads nothing heavy."""
    made = argparse.ArgumentParser(
        prog="ibdrop data",
        description="Lists the data sets, fetches their files, draws samples of them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = made.add_subparsers(dest="action", metavar="COMMAND")
    _add_list(actions)
    _add_fetch(actions)
    _add_show(actions)
    return made


def _add_list(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _new(
        actions,
        "list",
        "which data sets there are, and whether their files are here",
        "examples:\n"
        "  ibdrop data list\n"
        "  ibdrop data list --root /data\n\n"
        "next: `ibdrop data fetch NAME` brings what is missing.",
    )
    made.add_argument("--root", type=Path, metavar="DIR", help=ROOT)


def _add_fetch(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _new(
        actions,
        "fetch",
        "download the files of a data set; an interrupted download goes on where it was",
        "examples:\n"
        "  ibdrop data fetch mnist\n"
        "  ibdrop data fetch mnist --root /data     then: export IBDROP_DATA=/data\n\n"
        "next: `ibdrop data show mnist` draws samples.",
    )
    made.add_argument("name", metavar="NAME", help="a data set of `ibdrop data list`")
    made.add_argument("--root", type=Path, metavar="DIR", help=ROOT)


def _add_show(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    made = _new(
        actions,
        "show",
        "draw samples with their classes, boxes and strokes; count the images",
        "examples:\n"
        "  ibdrop data show cluttered_digits\n"
        "  ibdrop data show cluttered_digits dataset.canvas=64 seed=1 --split test\n"
        "  ibdrop data show mnist dataset.root=/data --images 60 --output mnist.png\n"
        "  ibdrop data show double_mnist dataset.task=odd\n\n"
        "next: `ibdrop train dataset=NAME KEY=VALUE` trains on just these images.",
    )
    made.add_argument("name", metavar="NAME", help="a data set, also one of your --config-dir")
    made.add_argument(
        "overrides",
        metavar="KEY=VALUE",
        nargs="*",
        default=[],
        help="changes to the config, as for `ibdrop train`: dataset.*, seed",
    )
    made.add_argument(
        "--images", type=positive, default=12, metavar="N", help="how many images (default: 12)"
    )
    made.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default="train",
        help="which part of the data (default: train)",
    )
    made.add_argument(
        "--output", type=Path, metavar="FILE", help="the picture (default: NAME.png)"
    )
    made.add_argument("--config-dir", type=Path, metavar="DIR", help="folder of your own options")


def _new(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    epilog: str,
) -> argparse.ArgumentParser:
    return actions.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
