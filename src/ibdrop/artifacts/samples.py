"""A picture of samples of a data set, with what is known about them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from ibdrop.artifacts.plotting import BLUE, COLOURS, ORANGE, WIDTH, put, sheet, shorten, styled
from ibdrop.data.base import Batch

__all__ = ["draw_samples"]

LINE, NAME, LEGEND, GAP = 0.22, 0.26, 0.36, 0.12
"""Heights of a line of the heading, of a class name and of the legend, and gaps, in inches."""

LETTER, HEAD_LETTER = 0.0087, 0.105
"""Widths of a letter of a name, for each point of its size, and of the heading, in inches."""

NARROWEST, LARGEST = 5.0, 2.4
FEW, ROOMY, DENSE = 24, 6, 9
"""Up to so many images stand six in a row, more stand nine in a row."""

PINK = COLOURS[3]
MARK, SMALL_MARK, MANY = 1 / 14, 1 / 28, 4
"""Length of a distractor's mark as a share of the image, and that where there are many."""

Array = np.ndarray[Any, Any]


class Tile(NamedTuple):
    """Where one image is on the sheet.

    Attributes:
        axes: The axes of the sheet.
        origin: The upper left corner of the image, x and y in inches.
        pixel: The side of one of its pixels in inches.
    """

    axes: Axes
    origin: Array
    pixel: float

    def draw(self, strokes: Array, colour: str, width: float) -> None:
        """Draws lines with shape (n, 2, 2): both ends, each as row and column in pixels."""
        lines = self.origin + self.pixel * strokes[..., ::-1]
        self.axes.add_collection(
            LineCollection(list(lines), colors=colour, linewidths=width, capstyle="projecting")
        )


@styled
def draw_samples(batch: Batch, classes: Sequence[str], title: str) -> Figure:
    """Draws images with their classes and, where known, what is where in them.

    After the class stands the number of the nuisance's, if there is one. Where masks are most
    of the images, what they leave out is outlined; a box around all of an image is not drawn.

    Arguments:
        batch: The images, on the CPU.
        classes: The names of the classes.
        title: The heading.
    """
    count = len(batch.labels)
    columns = min(ROOMY if count <= FEW else DENSE, count)
    rows = math.ceil(count / columns)
    cell = min((WIDTH - GAP) / columns, LARGEST)
    size = np.array(batch.images.shape[-2:])
    pixel = (cell - GAP) / max(size)
    step = np.array((cell, NAME + GAP + pixel * size[0]))
    lines = textwrap.wrap(title, int(max(cell * columns, NARROWEST) / HEAD_LETTER))
    first = np.array((GAP, LINE * len(lines) + GAP + NAME))
    legend = _legend(batch)
    width, height = first + step * (columns, rows) - (0, NAME)
    figure, axes = sheet(max(width, NARROWEST), height + (LEGEND if legend else 0))
    axes.text(GAP, GAP, "\n".join(lines), va="top", fontsize=11, weight="bold", linespacing=1.4)
    points = 9 if cell > 1 else 8
    for place in range(count):
        corner = first + step * (place % columns, place // columns)
        corner[0] += (cell - GAP - pixel * size[1]) / 2
        _draw(Tile(axes, corner, pixel), batch, place)
        name = _name(batch, classes, place, int(cell / (LETTER * points)))
        x = corner[0] + pixel * size[1] / 2
        axes.text(x, corner[1] - 0.07, name, ha="center", fontsize=points, weight="bold")
    if legend:
        figure.legend(handles=legend, loc="lower left", ncols=len(legend), frameon=False)
    return figure


def _name(batch: Batch, classes: Sequence[str], place: int, most: int) -> str:
    name = classes[int(batch.labels[place])]
    other = "" if batch.nuisance is None else f" | {int(batch.nuisance[place])}"
    return shorten(name, most - len(other)) + other


def _draw(tile: Tile, batch: Batch, place: int) -> None:
    pixels = batch.images[place].numpy()
    size = np.array(pixels.shape[-2:])
    side = tile.pixel * max(size)
    room = tile.origin - (side - tile.pixel * size[::-1]) / 2
    put(tile.axes, pixels, (room[0], room[1]), side, interpolation="antialiased")
    bold, thin = (1.4, 0.9) if side > 1 else (1.0, 0.6)
    if batch.distractors is not None:
        corners = batch.distractors[place].numpy()
        arm = (MARK if len(corners) <= MANY else SMALL_MARK) * max(size)
        tile.draw(_marks(corners, arm), PINK, bold)
    if batch.masks is not None:
        closed = not _covers(batch.masks)
        tile.draw(_outline(batch.masks[place].numpy(), closed=closed), ORANGE, thin)
    if batch.boxes is not None and not _is_whole(batch.boxes[place].tolist(), size):
        tile.draw(_sides(*batch.boxes[place].tolist()), BLUE, bold)


def _legend(batch: Batch) -> list[Line2D]:
    known: list[tuple[str, str]] = []
    size = np.array(batch.images.shape[-2:])
    if batch.boxes is not None and not all(_is_whole(box, size) for box in batch.boxes.tolist()):
        known.append((BLUE, "box of the target"))
    if batch.masks is not None:
        hidden = _covers(batch.masks)
        known.append((ORANGE, "what hides the target" if hidden else "strokes of the target"))
    if batch.distractors is not None and batch.distractors.numel():
        known.append((PINK, "corners of distractors"))
    words = [("none", "class | nuisance")] if batch.nuisance is not None else []
    return [Line2D([], [], color=colour, label=label) for colour, label in known + words]


def _covers(masks: Tensor) -> bool:
    """Whether masks are most of the images."""
    return float(masks.float().mean()) > 0.5


def _is_whole(box: Sequence[int], size: Array) -> bool:
    return list(box) == [0, 0, *size]


def _sides(top: int, left: int, bottom: int, right: int) -> Array:
    """The four sides of a box."""
    a, b, c, d = (top, left), (top, right), (bottom, right), (bottom, left)
    return np.array([(a, b), (b, c), (c, d), (d, a)], float)


def _marks(corners: Array, arm: float) -> Array:
    """Two lines from each corner, down and to the right."""
    ends = corners[:, None] + np.array([(arm, 0), (0, arm)])
    return np.stack((np.broadcast_to(corners[:, None], ends.shape), ends), 2).reshape(-1, 2, 2)


def _outline(mask: Array, *, closed: bool) -> Array:
    """The edges between pixels inside a mask and outside.

    Arguments:
        mask: Pixels as bool, with shape :math:`(H, W)`.
        closed: Whether the outside begins at the edge of the image.
    """
    padded = np.pad(mask, 1, mode="constant" if closed else "edge")
    lying = np.argwhere(np.diff(padded, axis=0)[:, 1:-1])
    upright = np.argwhere(np.diff(padded, axis=1)[1:-1])
    return np.concatenate(
        (np.stack((lying, lying + (0, 1)), 1), np.stack((upright, upright + (1, 0)), 1))
    )
