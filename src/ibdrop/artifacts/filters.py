"""The weights from the pixels to each unit of an autoencoder, as tiles."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.mosaic import mosaic, to_bytes
from ibdrop.artifacts.plotting import WIDTH, put, save, sheet, styled
from ibdrop.artifacts.reconstruction_pictures import bar, brief
from ibdrop.files import read_csv, write_bytes, write_csv
from ibdrop.models.generative import Autoencoder

__all__ = ["Filters", "draw_filters"]

Array = np.ndarray[Any, Any]
GAP, TITLE, FOOT = 0.25, 0.6, 0.55


class Filters(Artifact):
    """Draws the first filters on one scale for all, and each on its own.

    One scale, from the least to the largest weight of the whole layer, shows which filters are
    strong; scales of their own show what each one looks for, however weakly. In colour pictures
    red, green and blue are the weights of these channels. `filters.csv` has one row for every
    unit. Writes nothing where the network has no such weights.

    Arguments:
        tiles: The number of filters drawn, the first ones.
    """

    task: ClassVar[str | None] = "reconstruction"

    def __init__(self, tiles: int = 100) -> None:
        if tiles < 1:
            raise ValueError(f"tiles={tiles}: at least 1 is needed.")
        self.tiles = tiles

    def begin(self, trained: Trained) -> None:
        self.trained = trained

    def write(self, folder: Path) -> list[Path]:
        assert isinstance(self.trained.model, Autoencoder)
        found = self.trained.model.filters()
        if found is None:
            return []
        weights = found.detach().float().cpu().numpy()
        table = write_csv(folder / "filters.csv", [_row(i, w) for i, w in enumerate(weights)])
        content = io.BytesIO()
        np.savez_compressed(content, filters=weights[: self.tiles])
        archive = write_bytes(folder / "filters.npz", content.getvalue())
        picture = save(draw_filters(archive, table), folder / "filters.png")
        return [picture, table, archive]


def _row(unit: int, weights: Array) -> dict[str, float]:
    values = weights.astype(np.float64)
    return {
        "unit": unit,
        "smallest": float(values.min()),
        "largest": float(values.max()),
        "mean": float(values.mean()),
        "norm": float(np.sqrt(np.square(values).sum())),
    }


@styled
def draw_filters(archive: Path, table: Path) -> Figure:
    """Draws filters as tiles, twice.

    Arguments:
        archive: `filters.npz`.
        table: `filters.csv`, of all units.
    """
    with np.load(archive) as content:
        filters = content["filters"]
    rows = read_csv(table)
    low = min(float(row["smallest"]) for row in rows)
    high = max(float(row["largest"]) for row in rows)
    columns = int(np.ceil(np.sqrt(len(filters))))
    common = mosaic(_scaled(filters, low, high), columns, blank=np.nan)
    least, most = (f(filters, axis=(1, 2, 3), keepdims=True) for f in (np.min, np.max))
    own = mosaic(_scaled(filters, least, most), columns, blank=np.nan)
    side = (WIDTH - GAP) / 2
    tall = side * common.shape[1] / max(common.shape[1:])
    figure, axes = sheet(WIDTH, TITLE + tall + FOOT)
    count = f"{len(filters)} of {len(rows)} filters"
    _panel(axes, common, 0, side, (f"One scale for all ({count})", f"{_range(low, high)}"))
    words = f"norms {_norms(rows)}"
    _panel(axes, own, side + GAP, side, ("Each filter on its own scale", words))
    if filters.shape[1] == 1:
        colours = ScalarMappable(Normalize(low, high), "gray")
        bar(figure, colours, (0.05, TITLE + tall + 0.07, 2.6, 0.1), "weight")
    else:
        text = "Red, green and blue are the weights from these channels, the least dark."
        axes.text(0.02, TITLE + tall + 0.15, text, fontsize=8)
    return figure


def _panel(axes: Axes, tiles: Array, x: float, side: float, words: tuple[str, str]) -> None:
    axes.text(x + 0.02, 0.2, words[0], weight="bold", va="center")
    axes.text(x + 0.02, 0.42, words[1], fontsize=8, va="center")
    blank = np.isnan(tiles)
    pixels = np.where(blank, 255, to_bytes(tiles)).astype(np.uint8)
    height = side * tiles.shape[1] / max(tiles.shape[1:])
    put(axes, pixels, (x, TITLE - (side - height) / 2), side)


def _scaled(filters: Array, low: Any, high: Any) -> Array:
    """From 0 at `low` to 1 at `high`; grey where all weights are equal."""
    span = np.asarray(high - low)
    return np.where(span > 0, (filters - low) / np.where(span > 0, span, 1), 0.5)


def _range(low: float, high: float) -> str:
    return f"weights of the layer from {brief(low)} to {brief(high)}"


def _norms(rows: list[dict[str, str]]) -> str:
    norms = sorted(float(row["norm"]) for row in rows)
    return f"from {brief(norms[0])} to {brief(norms[-1])}, median {brief(norms[len(norms) // 2])}"
