"""A picture of samples of a data set, with what is known about them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import BLUE, ORANGE, WIDTH, show_image, styled
from ibdrop.data.base import Batch

__all__ = ["draw_samples"]

TITLE, LABEL, LEGEND = 0.35, 0.24, 0.3
"""Heights of the heading, of a class name and of the legend in inches."""


@styled
def draw_samples(batch: Batch, classes: Sequence[str], title: str, columns: int = 6) -> Figure:
    """Draws images with their classes and, where known, box and strokes of the target.

    Arguments:
        batch: The images, on the CPU.
        classes: The names of the classes.
        title: The heading.
        columns: The largest number of images in a row.
    """
    count = len(batch.labels)
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    cell = min(WIDTH / columns, 2.4)
    legend = LEGEND if batch.boxes is not None or batch.masks is not None else 0
    height = TITLE + (cell + LABEL) * rows + legend
    figure = Figure(figsize=(max(cell * columns, 5), height))
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[count:]:
        panel.remove()
    for place, panel in enumerate(panels[:count]):
        _draw(panel, batch, place)
        panel.set_title(classes[int(batch.labels[place])], fontsize=10, loc="center", pad=3)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, fontweight="bold")
    known = []
    if batch.boxes is not None:
        known.append(Line2D([], [], color=BLUE, label="box of the target"))
    if batch.masks is not None:
        known.append(Line2D([], [], color=ORANGE, label="strokes of the target"))
    if known:
        figure.legend(handles=known, loc="outside lower left", ncols=2)
    return figure


def _draw(panel: Axes, batch: Batch, place: int) -> None:
    show_image(panel, batch.images[place].numpy())
    if batch.masks is not None:
        # Four dots per pixel, so that the outline follows the edges of the pixels.
        mask = np.kron(np.pad(batch.masks[place].numpy(), 1), np.ones((4, 4)))
        at = (np.arange(len(mask)) + 0.5) / 4 - 1.5
        panel.contour(at, at, mask, levels=[0.5], colors=ORANGE, linewidths=0.9)
        panel.set_xlim(-0.5, batch.images.shape[3] - 0.5)
        panel.set_ylim(batch.images.shape[2] - 0.5, -0.5)
    if batch.boxes is not None:
        top, left, bottom, right = batch.boxes[place].tolist()
        box = Rectangle(
            (left - 0.5, top - 0.5), right - left, bottom - top, fill=False, color=BLUE, lw=1.4
        )
        box.set_clip_on(False)
        panel.add_patch(box)
