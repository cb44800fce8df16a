"""Tiles of pictures of explanations: images, masks, and maps with their colour bars."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import HEAT, INK, ORANGE, put

__all__ = ["Tile", "bar", "heat_over", "image", "kl", "mask", "outline", "own_scale"]

Array = np.ndarray[Any, Any]

SMALL = 8.0


class Tile(NamedTuple):
    """A place on a sheet.

    Attributes:
        axes: The axes of the sheet.
        x: Inches from its left edge.
        y: Inches from its upper edge.
        side: The longest that it can be, in inches.
        tall: Its height in inches, less than `side` where the images are wide.
    """

    axes: Axes
    x: float
    y: float
    side: float
    tall: float

    def above(self, text: str, **kwargs: Any) -> None:
        """Writes centred words over the tile."""
        style = {"ha": "center", "va": "bottom", "fontsize": SMALL + 0.5, "weight": "bold"}
        self.axes.text(self.x + self.side / 2, self.y - 0.05, text, **{**style, **kwargs})

    def below(self, text: str, **kwargs: Any) -> None:
        """Writes centred words under the tile."""
        style = {"ha": "center", "va": "top", "fontsize": SMALL, "color": INK}
        at = self.x + self.side / 2, self.y + self.tall + 0.045
        self.axes.text(*at, text, **{**style, **kwargs})

    def put(self, values: Array, **kwargs: Any) -> AxesImage:
        """Puts an image or a map in it."""
        corner = self.x, self.y - (self.side - self.tall) / 2
        return put(self.axes, values, corner, self.side, **kwargs)


def image(tile: Tile, pixels: Array, box: Array | None = None) -> AxesImage:
    """Draws an image of shape (C, H, W), with the box of its target where that is known."""
    drawn = tile.put(pixels)
    _box(tile, drawn, pixels.shape[1:], box)
    return drawn


def mask(tile: Tile, values: Array, box: Array | None = None) -> None:
    """Draws a mask: white keeps, black deletes."""
    drawn = tile.put(values.astype(float), cmap="gray", vmin=0, vmax=1)
    _box(tile, drawn, values.shape, box)
    _frame(tile, drawn)


def heat_over(tile: Tile, pixels: Array, heat: Array, box: Array | None = None) -> None:
    """Draws a heat map in [0, 1] over a darkened image; where there is none the image stays."""
    drawn = tile.put(pixels)
    strength = np.sqrt(np.clip(heat.astype(float) / max(float(heat.max()), 1e-12), 0, 1))
    colours = ScalarMappable(Normalize(0, 1), HEAT).to_rgba(strength)
    place: dict[str, Any] = {"extent": drawn.get_extent(), "aspect": "auto"}
    tile.axes.imshow(colours, alpha=0.85 * strength, **place)
    _box(tile, drawn, heat.shape, box)


def outline(tile: Tile, pixels: Array, values: Array, box: Array | None = None) -> None:
    """Draws an image and a line around what a mask more than half deletes."""
    drawn = image(tile, pixels, box)
    left, right, bottom, top = drawn.get_extent()
    height, width = values.shape
    x = left + (np.arange(width) + 0.5) * (right - left) / width
    y = top + (np.arange(height) + 0.5) * (bottom - top) / height
    inner = values.astype(float)
    if inner.min() < 0.5 < inner.max():
        tile.axes.contour(x, y, inner, levels=[0.5], colors=["#56B4E9"], linewidths=1.3)


def kl(
    tile: Tile, nats: Array, top: float, size: tuple[int, int], box: Array | None = None
) -> ScalarMappable:
    """Draws a KL heat map in nats per position, from 0 to `top`, with the shape of its image."""
    colours = ScalarMappable(Normalize(0, top), HEAT)
    height, width = size
    spread = np.ones((height, width))
    drawn = tile.put(spread, cmap="gray", vmin=0, vmax=1)
    drawn.set_visible(False)
    place: dict[str, Any] = {"extent": drawn.get_extent(), "aspect": "auto"}
    tile.axes.imshow(colours.to_rgba(nats), **place)
    _box(tile, drawn, size, box, thin=True)
    return colours


def own_scale(tile: Tile, values: Array, box: Array | None = None) -> None:
    """Draws any map on a scale of its own; one with both signs from blue over white to red."""
    most = max(float(np.abs(values).max()), 1e-12)
    signed = float(values.min()) < -1e-6 * most
    style: dict[str, Any] = {"cmap": "RdBu_r" if signed else HEAT}
    drawn = tile.put(values, vmin=-most if signed else 0, vmax=most, **style)
    _box(tile, drawn, values.shape, box, thin=not signed)
    if signed:
        _frame(tile, drawn)


def bar(
    figure: Figure, colours: ScalarMappable, place: tuple[float, float, float], label: str
) -> None:
    """A colour bar at x, y and width in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    x, y, wide = place
    axes = figure.add_axes((x / width, 1 - (y + 0.08) / height, wide / width, 0.08 / height))
    drawn = figure.colorbar(colours, cax=axes, orientation="horizontal")
    drawn.set_label(label, fontsize=SMALL - 0.5, labelpad=1)
    axes.tick_params(labelsize=SMALL - 0.5, length=2, pad=1.5)
    axes.locator_params(nbins=3)
    axes.xaxis.set_major_formatter("{x:g}")


def _box(
    tile: Tile, drawn: AxesImage, size: tuple[int, ...], box: Array | None, thin: bool = False
) -> None:
    if box is None:
        return
    left, _, _, top = drawn.get_extent()
    inches = (box * tile.side / max(size)).tolist()
    corner = (left + inches[1], top + inches[0])
    style: dict[str, Any] = {"fill": False, "edgecolor": ORANGE, "linewidth": 1.2}
    if thin:
        style |= {"edgecolor": "white", "linewidth": 0.7}
    tile.axes.add_patch(Rectangle(corner, inches[3] - inches[1], inches[2] - inches[0], **style))


def _frame(tile: Tile, drawn: AxesImage) -> None:
    left, right, bottom, top = drawn.get_extent()
    style: dict[str, Any] = {"fill": False, "edgecolor": "#c3c9d0", "linewidth": 0.8}
    tile.axes.add_patch(Rectangle((left, top), right - left, bottom - top, **style))
