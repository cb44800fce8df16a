"""Pictures of the reconstructions of a sweep."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from ibdrop.artifacts.mosaic import to_bytes
from ibdrop.artifacts.plotting import BLUE, GREY, ORANGE, RED, WIDTH, put, sheet, styled
from ibdrop.artifacts.reconstruction_pictures import brief
from ibdrop.files import read_csv

__all__ = ["Line", "draw_costs", "draw_lines"]

Array = np.ndarray[Any, Any]
LEFT, TOP, GAP, BETWEEN = 2.05, 0.1, 0.05, 0.18


class Line(NamedTuple):
    """What one run makes of the images.

    Attributes:
        head: The swept value.
        width: The units of its code.
        images: Pixels in [0, 1], with shape :math:`(N, C, H, W)`.
        made: The reconstructions, likewise.
        pca: Those of PCA of the same width; `None` where there is none.
        figures: Those of all test images.
    """

    head: str
    width: int
    images: Array
    made: Array
    pca: Array | None
    figures: dict[str, float]


@styled
def draw_lines(lines: Sequence[Line]) -> Figure:
    """Draws the originals, and below them for each run its reconstructions and those of PCA.

    Arguments:
        lines: The runs, which show the same images.
    """
    images = lines[0].images
    pitch = min((WIDTH - LEFT) / len(images), 1.4)
    strips = 1 + sum(1 + (line.pca is not None) for line in lines)
    height = TOP + strips * pitch + len(lines) * BETWEEN
    figure, axes = sheet(LEFT + pitch * len(images), height)
    least = f"least CE {brief(lines[0].figures['ce_floor'])} nats"
    _strip(axes, images, TOP, pitch, ("original", least))
    y = TOP + pitch
    for line in lines:
        y += BETWEEN
        cost = f"CE {brief(line.figures['ce'])} nats\nMSE {brief(line.figures['mse'])}"
        _strip(axes, line.made, y, pitch, (line.head, cost))
        y += pitch
        if line.pca is not None:
            error = f"MSE {brief(line.figures['mse_pca'])}"
            _strip(axes, line.pca, y, pitch, (f"PCA-{line.width}", error))
            y += pitch
    return figure


def _strip(axes: Axes, images: Array, y: float, pitch: float, words: tuple[str, str]) -> None:
    middle = y + (pitch - GAP) / 2
    axes.text(LEFT - 0.12, middle - 0.03, words[0], weight="bold", ha="right", va="bottom")
    axes.text(LEFT - 0.12, middle + 0.03, words[1], fontsize=8, ha="right", va="top")
    for column, image in enumerate(images):
        put(axes, to_bytes(image), (LEFT + column * pitch, y), pitch - GAP)


@styled
def draw_costs(table: Path) -> Figure:
    """Draws costs and squared errors against the width of the code.

    Arguments:
        table: `reconstructions_over_width.csv`.
    """
    rows = read_csv(table)
    figure = Figure(figsize=(WIDTH, 3.9))
    costs, errors = figure.subplots(1, 2)
    _points(costs, rows, "ce", BLUE, "autoencoder")
    _level(costs, rows, "ce_floor", "least there can be")
    _level(costs, rows, "ce_mean_image", "mean training image")
    costs.set(title="Cross-entropy", ylabel="test CE [nats/image]", ylim=(0, None))
    _points(errors, rows, "mse", BLUE, "autoencoder")
    _points(errors, rows, "mse_pca", ORANGE, "PCA of the same width")
    _level(errors, rows, "mse_mean_image", "mean training image")
    errors.set(title="Squared error", ylabel="test MSE per pixel", yscale="log")
    widths = sorted({int(row["width"]) for row in rows})
    for axes in (costs, errors):
        axes.set(xscale="log", xlabel="units of the code")
        axes.set_xticks(widths, [str(width) for width in widths])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.legend()
    return figure


def _points(axes: Axes, rows: list[dict[str, str]], name: str, colour: str, label: str) -> None:
    """A point for each run, and a line through the means."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if row.get(name):
            found.setdefault(int(row["width"]), []).append(float(row[name]))
    widths = sorted(found)
    means = [statistics.fmean(found[width]) for width in widths]
    axes.plot(widths, means, color=colour, label=label)
    for width in widths:
        values = found[width]
        axes.plot([width] * len(values), values, "o", color=colour, markersize=4.5, alpha=0.7)


def _level(axes: Axes, rows: list[dict[str, str]], name: str, label: str) -> None:
    values = [float(row[name]) for row in rows if row.get(name)]
    if values:
        colour, style = (RED, "-") if name == "ce_floor" else (GREY, ":")
        axes.axhline(statistics.fmean(values), color=colour, linestyle=style, label=label)
