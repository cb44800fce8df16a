"""What the commands of `ibdrop data` do; torch is imported only where images are drawn."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ibdrop.cli.inventory import fetch_data, list_data
from ibdrop.cli.tables import console
from ibdrop.errors import ConfigError, DataError

if TYPE_CHECKING:
    from ibdrop.data.base import ImageSet

__all__ = ["fetch_data", "list_data", "show_data"]

COUNTED = 1024
"""Canvases painted at once to count their classes."""


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
        _say(f"{name:<6} {_amount(getattr(data, name), data.spec.classes)}")
    if data.note:
        _say(f"note   {data.note}")
    _say(f"wrote  {path}")
    return 0


def _some(available: int, wanted: int) -> Any:
    import torch

    return torch.arange(min(available, wanted))


def _amount(split: ImageSet, classes: Sequence[str]) -> str:
    """The number of images, and of those of the smallest and the largest class."""
    import torch

    from ibdrop.data.base import StaticImages
    from ibdrop.data.streamed import Streamed

    total = f"{len(split):,} images"
    if isinstance(split, StaticImages | Streamed):
        labels = split.labels
    elif split.resident:
        parts = torch.arange(len(split)).split(COUNTED)
        labels = torch.cat([split.batch(part).labels for part in parts])
    else:
        return total
    counts = torch.bincount(labels, minlength=len(classes)).tolist()
    least, most = min(counts), max(counts)
    if least == most:
        return f"{total}, {least:,} of each class"
    few, many = classes[counts.index(least)], classes[counts.index(most)]
    return f"{total}, {least:,} ({few}) to {most:,} ({many}) of a class"


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


def _say(words: str) -> None:
    console().print(Text(words), soft_wrap=True)
