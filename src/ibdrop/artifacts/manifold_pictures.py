"""Pictures of what a decoder makes of codes, drawn from the files of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts.mosaic import mosaic, to_bytes
from ibdrop.artifacts.plotting import ORANGE, WIDTH, put, sheet, show_image, styled

__all__ = ["draw_between", "draw_grids", "draw_samples"]

Array = np.ndarray[Any, Any]
TICKS = 5
HEAD, GAP = 0.32, 0.12


@styled
def draw_grids(archive: Path) -> Figure:
    """Draws the decoded grids; an axis says which code stands where.

    Arguments:
        archive: `manifold.npz`.
    """
    with np.load(archive) as content:
        data = {name: content[name] for name in content.files}
    names = [name for name in ("linear", "log") if f"{name}_images" in data]
    wide = WIDTH / 2 if len(names) > 1 else 0.75 * WIDTH
    figure = Figure(figsize=(wide * len(names), wide))
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _grid(axes, data, name)
    return figure


def _grid(axes: Axes, data: dict[str, Array], name: str) -> None:
    images, x, y = (data[f"{name}_{part}"] for part in ("images", "x", "y"))
    up = images[::-1].reshape(-1, *images.shape[2:])
    tiles = mosaic(to_bytes(up), len(x), gap=0)
    show_image(axes, tiles)
    height, width = images.shape[-2:]
    chosen = np.linspace(0, len(x) - 1, TICKS).round().astype(int)
    axes.set_xticks((chosen + 0.5) * width - 0.5, [f"{x[i]:.2g}" for i in chosen])
    axes.set_yticks((len(y) - chosen - 0.5) * height - 0.5, [f"{y[i]:.2g}" for i in chosen])
    steps = "ratios" if name == "log" else "steps"
    axes.set_title(f"Decoded codes, equal {steps}")
    axes.set(xlabel="first unit of the code", ylabel="second unit of the code")


@styled
def draw_between(archive: Path) -> Figure:
    """Draws lines of decoded codes, the two images that they join at the ends.

    Arguments:
        archive: `interpolations.npz`.
    """
    with np.load(archive) as content:
        images, between = content["images"], content["between"]
    pairs, steps = between.shape[:2]
    pitch = min(0.75, (WIDTH - 2 * GAP) / (steps + 2))
    figure, axes = sheet(pitch * (steps + 2) + 2 * GAP, HEAD + pitch * pairs)
    shares = [f"{share:.0%}" for share in np.linspace(0, 1, steps)]
    heads = ["image", *shares, "image"]
    for column in range(steps + 2):
        x = column * pitch + GAP * ((column > 0) + (column > steps))
        bold = "bold" if column in (0, steps + 1) else "normal"
        middle = x + pitch / 2 - 0.02
        axes.text(middle, HEAD - 0.1, heads[column], fontsize=8, ha="center", weight=bold)
        for row in range(pairs):
            ends = {0: images[row, 0], steps + 1: images[row, 1]}
            pixels = ends[column] if column in ends else between[row, column - 1]
            put(axes, to_bytes(pixels), (x, HEAD + row * pitch), pitch - 0.04)
    for x in (pitch + GAP / 2 - 0.02, (steps + 1) * pitch + 1.5 * GAP - 0.02):
        axes.plot([x, x], [HEAD, HEAD + pairs * pitch - 0.04], color=ORANGE, linewidth=1.2)
    return figure


@styled
def draw_samples(archive: Path) -> Figure:
    """Draws what the decoder makes of draws from the prior.

    Arguments:
        archive: `samples.npz`.
    """
    with np.load(archive) as content:
        images = content["images"]
    columns = int(np.ceil(np.sqrt(len(images))))
    tiles = mosaic(to_bytes(images), columns, gap=2, blank=255)
    side = 0.6 * WIDTH
    tall = side * tiles.shape[1] / max(tiles.shape[1:])
    figure, axes = sheet(side, HEAD + tall)
    axes.text(0.02, 0.18, "Decoder's means of draws from the prior", weight="bold", va="center")
    put(axes, tiles, (0, HEAD - (side - tall) / 2), side)
    return figure
