"""KL heat maps of the same images side by side over a sweep, one picture per layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ibdrop.artifacts.plotting import HEAT, WIDTH, bare, number, save, show_image, styled

__all__ = ["draw_maps"]

MAPS = "artifacts/kl_maps.npz"
PREFIX = "kl_"
EXAMPLES = 4
COLUMNS = 8
LARGEST = 1.7
CONTRAST = 5.0
"""Ratio between the strongest maps of two runs above which the colours are compressed."""

Array = np.ndarray[Any, Any]
Row = Mapping[str, Any]


class Column(NamedTuple):
    """The maps of one run.

    Attributes:
        head: The swept value.
        row: The row of the run.
        images: Pixels as uint8, with shape :math:`(N, C, H, W)`.
        maps: For each layer, nats per position with shape :math:`(N, H_l, W_l)`.
    """

    head: str
    row: Mapping[str, Any]
    images: Array
    maps: dict[str, Array]


def draw_maps(
    rows: Sequence[Row], axis: str, others: Sequence[str], folder: Path, target: Path
) -> list[Path]:
    """Draws one picture per noisy layer, from the `kl_maps.npz` that each run wrote.

    Arguments:
        rows: The finished rows of `sweep.csv`; of several seeds one is shown, as the seed
            chooses the images.
        axis: The swept key, which heads the columns.
        others: The further keys that are swept, of which one combination is shown.
        folder: The folder of the sweep.
        target: Where to write.

    Returns:
        The files; none where fewer than two runs show the same images.
    """
    columns = _columns(rows, axis, others, folder)
    layers = dict.fromkeys(name for column in columns for name in column.maps)
    files = []
    for layer in layers:
        shown = [column for column in columns if layer in column.maps]
        if len(shown) > 1:
            figure = _draw(layer, shown)
            files.append(save(figure, target / f"heatmaps_over_{axis}_{layer}.png"))
    return files


def _columns(rows: Sequence[Row], axis: str, others: Sequence[str], folder: Path) -> list[Column]:
    series: dict[tuple[Any, ...], dict[Any, Row]] = {}
    for row in rows:
        if (folder / row["folder"] / MAPS).is_file():
            key = tuple(row[name] for name in ("seed", *others))
            series.setdefault(key, {})[row[axis]] = row
    longest = max(series.values(), key=len, default={})
    chosen = sorted(longest, key=lambda value: (isinstance(value, str), value))
    keep = np.linspace(0, len(chosen) - 1, min(COLUMNS, len(chosen))).round().astype(int)
    found = [_read(folder, longest[chosen[i]], axis) for i in keep]
    return [column for column in found if np.array_equal(column.images, found[0].images)]


def _read(folder: Path, row: Row, axis: str) -> Column:
    value = row[axis]
    with np.load(folder / row["folder"] / MAPS) as arrays:
        maps = {
            name.removeprefix(PREFIX): arrays[name][:EXAMPLES]
            for name in arrays.files
            if name.startswith(PREFIX)
        }
        head = f"{value:g}" if isinstance(value, float) else str(value)
        return Column(f"{axis} {head}", row, arrays["images"][:EXAMPLES], maps)


@styled
def _draw(layer: str, columns: Sequence[Column]) -> Figure:
    count = len(columns[0].images)
    side = min(LARGEST, WIDTH / (len(columns) + 1.6))
    figure = Figure(figsize=(side * (len(columns) + 1.6), side * count + 0.9))
    grid = figure.subplots(count, 1 + len(columns), squeeze=False)
    norm = _norm([column.maps[layer] for column in columns])
    drawn: AxesImage | None = None
    for row in range(count):
        show_image(grid[row, 0], columns[0].images[row])
        for axes, column in zip(grid[row, 1:], columns, strict=True):
            bare(axes)
            drawn = axes.imshow(column.maps[layer][row], cmap=HEAT, norm=norm)
    grid[0, 0].set_title("image", fontsize=9)
    for axes, column in zip(grid[0, 1:], columns, strict=True):
        nats = column.row.get(f"kl/{layer}")
        mean = "" if nats is None else f"\n{number(float(nats))} nats"
        axes.set_title(f"{column.head}{mean}", fontsize=9)
    assert drawn is not None
    figure.colorbar(drawn, ax=grid[:, 1:], label="KL [nats per position]", aspect=30, pad=0.02)
    figure.suptitle(
        f"Layer {layer}: information at each position", x=0.01, ha="left", weight="bold"
    )
    return figure


def _norm(maps: Sequence[Array]) -> Normalize:
    """One scale for all columns, from zero; by square roots where a run would else be black."""
    peaks = [float(one.max()) for one in maps]
    high = max(peaks) or 1.0
    if high > CONTRAST * min(peaks):
        return PowerNorm(0.5, 0.0, high)
    return Normalize(0.0, high)
