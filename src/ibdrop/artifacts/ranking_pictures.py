"""Galleries of the surest and the least sure images, drawn from the files of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    RED,
    WIDTH,
    put,
    sheet,
    shorten,
    styled,
)
from ibdrop.files import read_csv

__all__ = [
    "UNCERTAIN",
    "draw_class",
    "draw_classes",
    "draw_histogram",
    "draw_overall",
    "draw_uncertain",
]

Row = dict[str, str]
Images = dict[int, np.ndarray[Any, Any]]

COLUMNS = 10

UNCERTAIN = 8
"""Images shown with their predictive distribution, and so the fewest kept of each end."""

PER_CLASS = 5
SHORT, LONG, BREAK = 4, 11, "\n"
MARGIN, GAP, HEADING = 0.1, 0.06, 0.34
KEY = "below each image: true class → what it is taken for, H in nats; framed: wrong"
BARS = 10


def draw_overall(table: Path, archive: Path, count: int) -> Figure:
    """Draws the `count` surest test images above the `count` least sure.

    Arguments:
        table: `ranking.csv`.
        archive: `ranking_images.npz`.
        count: Images at each end.
    """
    return _ends(read_csv(table), _images(archive), count, "All test images")


def draw_class(table: Path, archive: Path, name: str, count: int) -> Figure:
    """Draws the surest and the least sure images of one true class.

    Arguments:
        table: `ranking.csv`.
        archive: `ranking_images.npz`.
        name: The name of the class.
        count: Images at each end.
    """
    rows = [row for row in read_csv(table) if row["label"] == name]
    return _ends(rows, _images(archive), count, f"Class {name}, {len(rows):,} test images")


@styled
def _ends(rows: list[Row], images: Images, count: int, title: str) -> Figure:
    lowest, highest = rows[::-1][:count], rows[:count]
    side = (WIDTH - 2 * MARGIN) / COLUMNS
    pitch = side + _caption(rows)
    part = -(-len(lowest) // COLUMNS) * pitch + HEADING
    figure, axes = sheet(WIDTH, 2 * part + 0.4)
    axes.text(MARGIN, 0.2, title, weight="bold", fontsize=12, va="center")
    axes.text(WIDTH - MARGIN, 0.2, KEY, fontsize=8.5, va="center", ha="right")
    words = "Lowest entropy: the network is sure", "Highest entropy: the network is unsure"
    for top, shown, text in zip((0.4, 0.4 + part), (lowest, highest), words, strict=True):
        axes.text(MARGIN, top + 0.5 * HEADING, text, fontsize=10, va="center")
        for i, row in enumerate(shown):
            line, column = divmod(i, COLUMNS)
            corner = (MARGIN + column * side, top + HEADING + line * pitch)
            _tile(axes, corner, side - GAP, row, images)
    return figure


def _tile(
    axes: Axes,
    corner: tuple[float, float],
    side: float,
    row: Row,
    images: Images,
    font: float = 7.5,
) -> None:
    """An image over what it is taken for and its entropy, framed where that is wrong."""
    drawn = put(axes, images[int(row["index"])], corner, side)
    right = row["correct"] == "True"
    if not right:
        left, end, bottom, top = drawn.get_extent()
        style: dict[str, Any] = {"fill": False, "edgecolor": RED, "linewidth": 2.2}
        axes.add_patch(Rectangle((left, top), end - left, bottom - top, **style))
    x, y = corner[0] + side / 2, corner[1] + side + 0.05
    colour = INK if right else RED
    axes.text(x, y, _words(row), fontsize=font, color=colour, ha="center", va="top")


def _caption(rows: list[Row]) -> float:
    """The height in inches that the words below a tile take."""
    return 0.13 + 0.14 * max(1 + _words(row).count("\n") for row in rows)


def _words(row: Row) -> str:
    true, predicted = row["label"], row["predicted"]
    short = len(true) + len(predicted) <= SHORT
    names = shorten(true, LONG)
    if true != predicted:
        names += f"{' ' if short else BREAK}→ {shorten(predicted, LONG)}"
    return f"{names}{'   ' if short else BREAK}H {_nats(float(row['entropy']))}"


def _nats(value: float) -> str:
    return f"{value:.2f}" if value >= 0.005 or value == 0 else f"{value:.0e}".replace("e-0", "e-")


@styled
def draw_classes(table: Path, archive: Path) -> Figure:
    """Draws one line per class: its surest images left, its least sure right.

    Arguments:
        table: `ranking.csv`.
        archive: `ranking_images.npz`.
    """
    rows, images = read_csv(table), _images(archive)
    names = _names(rows)
    left, apart = 0.25 + 0.09 * min(10, max(map(len, names))), 0.25
    side = (WIDTH - left - apart - MARGIN) / (2 * PER_CLASS)
    pitch = side + _caption(rows)
    figure, axes = sheet(WIDTH, len(names) * pitch + HEADING + 0.2)
    axes.text(left, HEADING + len(names) * pitch + 0.06, KEY, fontsize=8.5, va="center")
    right = left + PER_CLASS * side + apart
    for x, text in ((left, "lowest entropy →"), (right, "→ highest entropy")):
        axes.text(x, 0.5 * HEADING, text, weight="bold", va="center")
    for i, name in enumerate(names):
        group, y = [row for row in rows if row["label"] == name], HEADING + i * pitch
        middle: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 10, "weight": "bold"}
        axes.text(left - 0.1, y + side / 2, shorten(name, 10), **middle)
        for x, shown in ((left, group[::-1][:PER_CLASS]), (right, group[:PER_CLASS][::-1])):
            for column, row in enumerate(shown):
                _tile(axes, (x + column * side, y), side - GAP, row, images)
    return figure


@styled
def draw_uncertain(table: Path, archive: Path) -> Figure:
    """Draws the least sure images with their predictive distribution and both parts of H.

    Arguments:
        table: `ranking.csv`.
        archive: `ranking_images.npz`.
    """
    rows, images = read_csv(table)[:UNCERTAIN], _images(archive)
    height, top = 1.4 + _caption(rows), 0.5
    total = top + -(-len(rows) // 2) * height
    figure, axes = sheet(WIDTH, total)
    _key(axes)
    for i, row in enumerate(rows):
        x, y = MARGIN + (i % 2) * (WIDTH / 2), top + (i // 2) * height
        _tile(axes, (x, y), 1.25, row, images, font=9)
        place = (x + 1.8, y + 0.2, WIDTH / 2 - 2.15, 1.05)
        corner = (place[0] / WIDTH, 1 - (place[1] + place[3]) / total)
        _distribution(figure.add_axes((*corner, place[2] / WIDTH, place[3] / total)), row)
    return figure


def _key(axes: Axes) -> None:
    """The title of the uncertain images and what the colours of their bars mean."""
    title = "The least sure test images and their predictive distribution"
    axes.text(MARGIN, 0.2, title, weight="bold", fontsize=12, va="center")
    for x, colour, word in (
        (WIDTH - 2.35, GREEN, "true class"),
        (WIDTH - 1.3, RED, "predicted (wrong)"),
    ):
        axes.add_patch(Rectangle((x - 0.16, 0.15), 0.1, 0.1, color=colour))
        axes.text(x, 0.2, word, fontsize=8.5, va="center")


def _distribution(panel: Axes, row: Row) -> None:
    """Bars of the largest probabilities, in the order of the classes."""
    p = {name.removeprefix("p_"): float(row[name]) for name in row if name.startswith("p_")}
    largest = set(sorted(p, key=lambda name: -p[name])[:BARS])
    names = [name for name in p if name in largest]
    colours = [_colour(name, row) for name in names]
    panel.bar(range(len(names)), [p[name] for name in names], color=colours, width=0.75)
    long = max(map(len, names)) > 2
    turn: dict[str, Any] = {"rotation": 40, "ha": "right"} if long else {}
    panel.set_xticks(range(len(names)), [shorten(name, 9) for name in names], fontsize=8, **turn)
    panel.set_ylim(0, 1)
    panel.set_yticks([0, 0.5, 1])
    panel.set_ylabel("probability", fontsize=8)
    panel.tick_params(axis="x", length=0)
    panel.grid(False, axis="x")
    parts = (
        f"MI {float(row['mutual_information']):.2f} nats, variance {float(row['variance']):.3f}"
    )
    panel.set_title(parts, fontsize=8.5, weight="normal")


def _colour(name: str, row: Row) -> str:
    if name == row["label"]:
        return GREEN
    return RED if name == row["predicted"] else GREY


@styled
def draw_histogram(table: Path) -> Figure:
    """Draws how the entropy is spread over right and wrong predictions, as shares of each.

    Arguments:
        table: `ranking.csv`.
    """
    rows = read_csv(table)
    classes = sum(name.startswith("p_") for name in rows[0])
    edges = np.linspace(0, np.log(classes), 31)
    figure = Figure(figsize=(6.6, 3.5))
    axes = figure.subplots()
    for correct, colour, word in (("True", BLUE, "right"), ("False", RED, "wrong")):
        values = [float(row["entropy"]) for row in rows if row["correct"] == correct]
        if values:
            shares = np.histogram(np.clip(values, 0, edges[-1]), edges)[0] / len(values)
            text = f"{word}: {len(values):,} images, mean {np.mean(values):.3f} nats"
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.6, label=text)
    axes.axvline(edges[-1], color=GREY, linewidth=1.1, linestyle=":")
    top: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 8.5}
    axes.text(edges[-1], 0.97, f"ln {classes} ", transform=axes.get_xaxis_transform(), **top)
    axes.set(title="Entropy of the prediction", xlabel="entropy H [nats]")
    axes.set(ylabel="share of the images", xlim=(0, edges[-1] * 1.02))
    axes.legend(loc="upper center")
    return figure


def _images(archive: Path) -> Images:
    with np.load(archive) as content:
        return dict(zip(content["index"].tolist(), content["images"], strict=True))


def _names(rows: Sequence[Row]) -> list[str]:
    """The classes that occur, in the order of the columns."""
    present = {row["label"] for row in rows}
    columns = [name.removeprefix("p_") for name in rows[0] if name.startswith("p_")]
    return [name for name in columns if name in present]
