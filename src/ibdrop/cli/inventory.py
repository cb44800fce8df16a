"""`ibdrop data list` and `ibdrop data fetch`: what is here, and what is missing."""

from __future__ import annotations

import difflib
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rich.table import Table
from rich.text import Text

from ibdrop.cli.tables import console, new_table
from ibdrop.data.fetch import Watch, fetch
from ibdrop.data.sources import SOURCES, Source
from ibdrop.errors import DataError

if TYPE_CHECKING:
    from ibdrop.data.download import Progress

__all__ = ["fetch_data", "list_data"]


class Own(NamedTuple):
    """What a data set of the user's own files is made of, and how the files are named."""

    what: str
    how: str
    pronoun: str


OWN = {
    "arrays": Own("your own NPZ file", "dataset.file=FILE.npz", "it"),
    "image_folder": Own("your own pictures", "dataset.root=DIR", "them"),
}


def list_data(arguments: Namespace) -> int:
    """`ibdrop data list`: the data sets, then what they are made of."""
    root = _root(arguments)
    out = console()
    out.print(Text(f"data root: {root} (--root DIR names another)\n"), soft_wrap=True)
    out.print(_data_sets(root))
    out.print()
    out.print(_sources())
    made_of = {source.name: source for parts in SOURCES.values() for source in parts}
    if any(source.missing(root) for source in made_of.values()):
        out.print("\nnext: `ibdrop data fetch NAME` brings what is missing", soft_wrap=True)
    return 0


def fetch_data(arguments: Namespace) -> int:
    """`ibdrop data fetch`: the files of all sources of one data set."""
    name = arguments.name
    if name not in SOURCES:
        near = difflib.get_close_matches(name, SOURCES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(SOURCES))}"
        raise DataError(f"no such data set '{name}'; {hint}")
    if not SOURCES[name]:
        own = OWN[name]
        command = f"`ibdrop train dataset={name} {own.how}` trains on {own.pronoun}"
        _say(f"{name} is made of {own.what}; there is nothing to fetch: {command}")
    for source in SOURCES[name]:
        _fetch(name, source, _root(arguments))
    return 0


def _fetch(name: str, source: Source, root: Path) -> None:
    if not source.files:
        _say(f"{name} comes with {source.name}; there is nothing to fetch")
        return
    with _bars() as watch:
        fetched = fetch(source, root, watch=watch)
    if fetched:
        files = f"{len(fetched)} file{'s' * (len(fetched) > 1)}"
        _say(f"{source.name}: {files} fetched into {root / source.folder}")
    else:
        _say(f"{source.name}: all files are in {root / source.folder}, whole")


def _data_sets(root: Path) -> Table:
    """One line for each source of each data set."""
    table = new_table("data set", "made of")
    for column in ("images", "on disk"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("files", overflow="fold")
    for name, parts in sorted(SOURCES.items()):
        if not parts:
            table.add_row(name, OWN[name].what, "-", "-", OWN[name].how)
        for number, source in enumerate(parts):
            present = source.size_in(root)
            table.add_row(
                "" if number else name,
                source.name,
                f"{source.images:,}",
                _megabytes(present) if present else "-",
                _presence(source, root),
            )
    return table


def _sources() -> Table:
    table = new_table("source")
    table.add_column("unpacked", justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("made by", overflow="fold")
    made_of = {source.name: source for parts in SOURCES.values() for source in parts}
    for name, source in sorted(made_of.items()):
        size = _megabytes(source.size) if source.files else "-"
        table.add_row(name, size, source.licence, Text(source.origin))
    return table


def _presence(source: Source, root: Path) -> Text:
    if not source.files:
        return Text("installed with it", "green")
    missing = len(source.missing(root))
    if not missing:
        return Text(f"in {source.folder}", "green")
    if missing < len(source.files):
        return Text(f"{missing} of {len(source.files)} missing in {source.folder}", "red")
    return Text(f"no {source.folder}", "yellow")


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB"


@contextmanager
def _bars() -> Iterator[Watch]:
    """A progress bar for everything that is downloaded or unpacked."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:

        def watch(what: str) -> Progress:
            task = bars.add_task(what, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield watch


def _root(arguments: Namespace) -> Path:
    return Path(arguments.root or os.environ.get("IBDROP_DATA") or "data").expanduser()


def _say(words: str) -> None:
    console().print(Text(words), soft_wrap=True)
