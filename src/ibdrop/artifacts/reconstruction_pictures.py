"""Pictures of reconstructions, drawn from the files of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ibdrop.artifacts.mosaic import mosaic, to_bytes
from ibdrop.artifacts.plotting import GREY, HEAT, WIDTH, put, sheet, shorten, styled
from ibdrop.files import read_csv

__all__ = ["bar", "brief", "draw_examples", "draw_sheet"]

Array = np.ndarray[Any, Any]
Row = dict[str, str]

ACROSS, LEFT, GAP = 10, 1.55, 0.06
HEAD, WORDS, FOOT = 0.3, 0.3, 0.8
LETTER = 0.077
PANEL, TITLE = 10, 0.55


class Strip(NamedTuple):
    """One row of images.

    Attributes:
        name: The name of the array.
        title: What it is called at its left.
        figures: Which of the figures of each image stand below it.
    """

    name: str
    title: str
    figures: tuple[str, ...] = ()


STRIPS = (
    Strip("original", "original", ("floor",)),
    Strip("target", "target", ("floor",)),
    Strip("clean", "reconstructed", ("ce_clean", "mse_clean")),
    Strip("corrupted", "corrupted"),
    Strip("restored", "reconstructed\nfrom corrupted", ("ce_restored", "mse_restored")),
    Strip("pca", "PCA-{width}", ("mse_pca",)),
)


@styled
def draw_examples(archive: Path, figures: Path) -> Figure:
    """Draws images in columns: original, reconstructions, PCA, and below each its difference.

    Where the target is another than the original it is drawn too, and differences are from it.

    Arguments:
        archive: `reconstructions.npz`.
        figures: `reconstruction.csv`.
    """
    data = _read(archive)
    shown = np.arange(int(data["first"]), len(data["index"]))
    most = max(float(np.abs(data[s.name] - _aim(data)).mean(1).max()) for s in _made(data))
    colours = ScalarMappable(Normalize(0, most), HEAT)
    parts = np.array_split(shown, -(-len(shown) // ACROSS))
    pitch = (WIDTH - LEFT) / max(min(ACROSS, len(shown)), 4)
    pitch = min(pitch, 1.4)
    tall = HEAD + sum((pitch + (WORDS if s.figures else GAP)) for s in _strips(data))
    tall += pitch * len(_made(data))
    figure, axes = sheet(LEFT + pitch * max(map(len, parts)), tall * len(parts) + FOOT)
    for place, part in enumerate(parts):
        _block(axes, data, part, tall * place, pitch, colours)
    y = tall * len(parts) + 0.08
    mean = ", mean of the channels" if data["original"].shape[1] > 1 else ""
    bar(figure, colours, (LEFT, y, 2.6, 0.1), f"|{_aimed(data)} − reconstruction|{mean}")
    axes.text(LEFT, y + 0.6, _scale(read_csv(figures)), fontsize=8, va="center")
    return figure


def _block(
    axes: Axes, data: dict[str, Array], part: Array, y: float, pitch: float, colours: Any
) -> None:
    classes = data["classes"].tolist()
    for column, i in enumerate(part):
        name = shorten(classes[int(data["labels"][i])], max(3, int(pitch / LETTER)))
        x = LEFT + column * pitch + (pitch - GAP) / 2
        axes.text(x, y + HEAD - 0.08, name, weight="bold", fontsize=8, ha="center")
    y += HEAD
    for strip in _strips(data):
        title = strip.title.format(width=int(data["width"]))
        axes.text(LEFT - 0.1, y + pitch / 2, title, weight="bold", ha="right", va="center")
        for column, i in enumerate(part):
            corner = (LEFT + column * pitch, y)
            put(axes, to_bytes(data[strip.name][i]), corner, pitch - GAP)
        y += pitch
        if strip in _made(data):
            axes.text(LEFT - 0.1, y + pitch / 2, "difference", ha="right", va="center")
            for column, i in enumerate(part):
                apart = np.abs(data[strip.name][i] - _aim(data)[i]).mean(0)
                limits = {"vmin": 0, "vmax": colours.norm.vmax, "cmap": HEAT}
                put(axes, apart, (LEFT + column * pitch, y), pitch - GAP, **limits)
            y += pitch
        _below(axes, data, strip, part, y - GAP, pitch)
        y += WORDS if strip.figures else GAP


def _below(
    axes: Axes, data: dict[str, Array], strip: Strip, part: Array, y: float, pitch: float
) -> None:
    """The figures of each image, and at the left what they are."""
    for line, name in enumerate(strip.figures):
        at = y + 0.04 + 0.12 * line
        what = {"ce": "CE [nats]", "mse": "MSE", "floor": "least CE [nats]"}[name.split("_")[0]]
        axes.text(LEFT - 0.1, at, what, fontsize=7, ha="right", va="top", color=GREY)
        for column, i in enumerate(part):
            x = LEFT + column * pitch + (pitch - GAP) / 2
            axes.text(x, at, brief(data[name][i]), fontsize=7, ha="center", va="top")


@styled
def draw_sheet(archive: Path, figures: Path) -> Figure:
    """Draws the first test images and what is made of them as tiles, with the test's figures.

    Arguments:
        archive: `reconstructions.npz`.
        figures: `reconstruction.csv`.
    """
    data, rows = _read(archive), {row["what"]: row for row in read_csv(figures)}
    count = int(data["first"])
    names = {
        "original": ("original", {} if "target" in data else rows["floor"]),
        "target": ("target", rows["floor"]),
        "clean": ("reconstructed", rows["clean images"]),
        "pca": (f"PCA-{int(data['width'])}", rows.get("PCA", {})),
        "corrupted": ("corrupted", {}),
        "restored": ("reconstructed from corrupted", rows.get("corrupted images", {})),
    }
    panels = [name for name in names if name in data]
    images = {name: mosaic(to_bytes(data[name][:count]), PANEL, blank=255) for name in panels}
    side = WIDTH / 3 - 0.15
    shape = images["original"].shape
    high = side * shape[1] / max(shape[1:])
    lines = -(-len(panels) // 3)
    figure, axes = sheet(WIDTH, lines * (high + TITLE) + 0.3)
    for place, name in enumerate(panels):
        x, y = (place % 3) * (side + 0.2), (place // 3) * (high + TITLE)
        axes.text(x + 0.02, y + 0.2, names[name][0], weight="bold", va="center")
        axes.text(x + 0.02, y + 0.4, _words(names[name][1], name), fontsize=8, va="center")
        put(axes, images[name], (x, y + TITLE - (side - high) / 2), side)
    words = f"{_scale(list(rows.values()))}. Figures: all test images."
    axes.text(0.02, lines * (high + TITLE) + 0.17, words, fontsize=8, va="center")
    return figure


def _words(row: Row, name: str) -> str:
    if name in ("original", "target") and row:
        return f"least CE {brief(float(row['ce']))} nats"
    if row.get("ce"):
        above = brief(float(row["ce_above_floor"]))
        return f"CE {brief(float(row['ce']))} ({above} above least), MSE {_mse(row)}"
    return f"MSE {_mse(row)}" if row else ""


def _mse(row: Row) -> str:
    return brief(float(row["mse"]))


def _scale(rows: list[Row]) -> str:
    """What the costs depend on and no picture shows."""
    first = rows[0]
    white = f"white pixels are {float(first['white']):.4g}"
    return f"Likelihood {first['likelihood']}; {white}; codes are taken without noise"


def _strips(data: dict[str, Array]) -> list[Strip]:
    known = [strip for strip in STRIPS if strip.name in data]
    return [strip._replace(figures=()) if _spared(strip, data) else strip for strip in known]


def _spared(strip: Strip, data: dict[str, Array]) -> bool:
    """Whether the floor is not this strip's own: it is that of the target."""
    return strip.name == "original" and "target" in data


def _made(data: dict[str, Array]) -> list[Strip]:
    """What is compared with the original."""
    return [strip for strip in _strips(data) if strip.name in ("clean", "restored", "pca")]


def _aimed(data: dict[str, Array]) -> str:
    return "target" if "target" in data else "original"


def _aim(data: dict[str, Array]) -> Array:
    """What was to be reconstructed."""
    return data[_aimed(data)]


def _read(archive: Path) -> dict[str, Array]:
    with np.load(archive) as content:
        return {name: content[name] for name in content.files}


def brief(value: float) -> str:
    """Three digits of a cost or a squared error, or one behind the point if that is more."""
    if abs(value) < 10:
        return f"{value + 0.0:.3g}"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def bar(figure: Figure, colours: ScalarMappable, place: tuple[float, ...], label: str) -> None:
    """A colour bar at x, y, width and height in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    x, y, wide, tall = place
    axes = figure.add_axes((x / width, 1 - (y + tall) / height, wide / width, tall / height))
    drawn = figure.colorbar(colours, cax=axes, orientation="horizontal")
    drawn.set_label(label, fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7.5, length=2, pad=2)
    axes.locator_params(nbins=4)
    axes.xaxis.set_major_formatter("{x:g}")
