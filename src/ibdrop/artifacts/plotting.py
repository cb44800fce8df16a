"""One figure style, and one way to save: the same numbers give the same bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib.style
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ibdrop.files import write_bytes

__all__ = [
    "BLUE",
    "COLOURS",
    "GREEN",
    "GREY",
    "HEAT",
    "INK",
    "ORANGE",
    "RED",
    "STYLE",
    "WIDTH",
    "bare",
    "number",
    "put",
    "save",
    "sheet",
    "shorten",
    "show_image",
    "styled",
]

Parameters = ParamSpec("Parameters")

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", RED, "#8C6D00", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

GREY, INK = "#8a929c", "#1c2430"

HEAT = "inferno"
"""The colour map of quantities that start at zero; its lightness rises steadily."""

WIDTH = 9.0
"""Inches; a picture this wide is shown about 900 pixels wide, so its points keep their size."""

STYLE: dict[str, Any] = {
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.edgecolor": "#4a5360",
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e7ec",
    "grid.linewidth": 0.7,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.fancybox": False,
    "lines.linewidth": 1.8,
    "image.interpolation": "nearest",
    "text.color": INK,
    "axes.labelcolor": INK,
}


def styled(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Draws in our style whatever the user's own settings of matplotlib are."""

    @wraps(draw)
    def inside(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with matplotlib.style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return inside


def save(figure: Figure, path: Path) -> Path:
    """Writes a figure as PNG, whole or not at all, without a date or a version in it.

    The canvas is asked directly: `savefig` would draw everything twice, for the same pixels.
    """
    content = io.BytesIO()
    with matplotlib.style.context(["default", STYLE]):
        figure.dpi = STYLE["savefig.dpi"]
        canvas: Any = FigureCanvasAgg(figure)
        canvas.print_png(content, metadata={"Software": None})
    return write_bytes(path, content.getvalue())


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """Makes a blank sheet to put images and words on, in inches from its upper left corner.

    For pictures of many tiles, which as axes of their own would take long to lay out.
    """
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    return figure, axes


def put(
    axes: Axes,
    image: np.ndarray[Any, Any],
    corner: tuple[float, float],
    side: float,
    **kwargs: Any,
) -> AxesImage:
    """Puts an image on a sheet.

    Arguments:
        axes: The axes of the sheet.
        image: Pixels as uint8, with shape :math:`(C, H, W)`, or a map, with shape :math:`(h, w)`.
        corner: Its upper left corner, x and y in inches.
        side: The longer side in inches; the shorter is in proportion and centred.
        kwargs: Passed on to `imshow`.
    """
    height, width = image.shape[-2:]
    if image.ndim == 3:
        if len(image) == 3:
            image = image.transpose(1, 2, 0)
        else:
            image, kwargs = image[0], {"cmap": "gray", "vmin": 0, "vmax": 255, **kwargs}
    tall, wide = side * height / max(height, width), side * width / max(height, width)
    x, y = corner[0] + (side - wide) / 2, corner[1] + (side - tall) / 2
    return axes.imshow(image, extent=(x, x + wide, y + tall, y), aspect="auto", **kwargs)


def bare(axes: Axes) -> None:
    """Takes ticks, grid and frame from axes that hold an image or nothing."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def show_image(axes: Axes, image: np.ndarray[Any, Any], **kwargs: Any) -> None:
    """Shows a picture without axes: grey levels, or colours where there are three channels.

    Arguments:
        axes: Where.
        image: Pixels as uint8, with shape :math:`(C, H, W)`.
        kwargs: Passed on to `imshow`.
    """
    bare(axes)
    if len(image) == 3:
        axes.imshow(image.transpose(1, 2, 0), **kwargs)
    else:
        axes.imshow(image[0], cmap="gray", vmin=0, vmax=255, **kwargs)


def number(value: float) -> str:
    """Writes a number as short as a reader needs: three digits, thousands with commas."""
    if value != value:
        return "n/a"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if value == 0 or abs(value) >= 0.01:
        return f"{value:.3g}"
    return f"{value:.1e}"


def shorten(name: str, most: int) -> str:
    """Cuts a name to `most` characters, the last of them an ellipsis."""
    return name if len(name) <= most else name[: most - 1] + "…"
