"""What the commands of `ibdrop data` do; torch is imported only where images are drawn."""

from __future__ import annotations

import difflib
import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ibdrop.cli.tables import console
from ibdrop.data.fetch import fetch
from ibdrop.data.sources import SOURCES, File, Source
from ibdrop.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ibdrop.data.base import ImageSet
    from ibdrop.data.download import Progress

__all__ = ["fetch_data", "list_data", "show_data"]


def list_data(arguments: Namespace) -> int:
    """`ibdrop data list`: one line per data set."""
    root = _root(arguments)
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in ("data set", "files"):
        table.add_column(column, overflow="fold")
    for column in ("images", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("made from", "licence"):
        table.add_column(column, overflow="fold")
    for name, source in [(name, one) for name, all_ in sorted(SOURCES.items()) for one in all_]:
        size = f"{source.size / 1e6:.0f} MB" if source.files else "-"
        origin = Text(f"{source.name} ({source.origin})")
        table.add_row(
            Text(name), _presence(source, root), f"{source.images:,}", size, origin, source.licence
        )
    console().print(table)
    return 0


def fetch_data(arguments: Namespace) -> int:
    """`ibdrop data fetch`: the files of one data set."""
    if arguments.name not in SOURCES:
        near = difflib.get_close_matches(arguments.name, SOURCES, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(sorted(SOURCES))}"
        raise DataError(f"no such data set '{arguments.name}'; {hint}")
    for source in SOURCES[arguments.name]:
        _fetch(arguments.name, source, _root(arguments))
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


def show_data(arguments: Namespace) -> int:
    """`ibdrop data show`: a picture of samples."""
    config = _compose(arguments)
    from ibdrop import build
    from ibdrop.artifacts.plotting import save
    from ibdrop.artifacts.samples import draw_samples

    data = build.data(config)
    split: ImageSet = getattr(data, arguments.split)
    batch = split.batch(_some(len(split), arguments.images))
    height, width = data.spec.height, data.spec.width
    title = f"{data.name}, {arguments.split}: {len(split):,} images of {height} x {width} pixels"
    figure = draw_samples(batch, data.spec.classes, title)
    output = arguments.output or Path(f"{arguments.name}.png")
    try:
        path = save(figure, output)
    except OSError as error:
        raise DataError(f"cannot write {output}: {error.strerror}") from error
    for name in ("train", "val", "test"):
        _say(f"{name:<6} {len(getattr(data, name)):,} images")
    if data.note:
        _say(f"note   {data.note}")
    _say(f"wrote  {path}")
    return 0


def _some(available: int, wanted: int) -> Any:
    import torch

    return torch.arange(min(available, wanted))


def _compose(arguments: Namespace) -> dict[str, Any]:
    """The config that `ibdrop train dataset=NAME ...` would use.

    Raises:
        ConfigError: The command line does not compose, with all mistakes in it.
    """
    from hydra import compose, initialize_config_dir

    from ibdrop.cli.hooks import plain, visible
    from ibdrop.cli.mistakes import COMPOSITION_ERRORS, explain
    from ibdrop.config.check import check
    from ibdrop.config.location import conf_dir
    from ibdrop.config.schema import register, version_base

    register()
    overrides = [f"dataset={arguments.name}", *arguments.overrides]
    mine = arguments.config_dir.absolute() if arguments.config_dir else None
    search = [f"hydra.searchpath=['file://{mine}']"] if mine else []
    try:
        with initialize_config_dir(str(conf_dir()), job_name="data", **version_base()):
            composed = compose("train", [*search, *overrides], return_hydra_config=True)
    except COMPOSITION_ERRORS as error:
        raise ConfigError(explain(error, overrides, mine)) from error
    with visible(composed) as config:
        whole = plain(config)
    check(whole)
    return whole


@contextmanager
def _bars() -> Iterator[Any]:
    """A progress bar for each file of a download."""
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

        def watch(file: File) -> Progress:
            task = bars.add_task(file.name, total=None)
            return lambda done, total: bars.update(task, completed=done, total=total)

        yield watch


def _presence(source: Source, root: Path) -> Text:
    if not source.files:
        return Text(f"come with {source.name}", "green")
    missing = len(source.missing(root))
    if not missing:
        return Text(f"in {root / source.folder}", "green")
    if missing < len(source.files):
        return Text(f"{missing} of {len(source.files)} missing in {root / source.folder}", "red")
    return Text(f"not in {root / source.folder}", "yellow")


def _root(arguments: Namespace) -> Path:
    return Path(arguments.root or os.environ.get("IBDROP_DATA") or "data").expanduser()


def _say(words: str) -> None:
    console().print(Text(words), soft_wrap=True)
