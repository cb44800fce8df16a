"""Galleries of the surest and the least sure images, drawn from the files of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    RED,
    WIDTH,
    shorten,
    show_image,
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
    lines = -(-len(lowest) // COLUMNS)
    figure = Figure(figsize=(WIDTH, 2 * (1.2 * lines) + 1.1), layout="constrained")
    parts = figure.subfigures(2, 1, squeeze=False)[:, 0]
    figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=12)
    words = "lowest entropy: the network is sure", "highest entropy: the network is unsure"
    for part, shown, text in zip(parts, (lowest, highest), words, strict=True):
        part.suptitle(text, x=0.01, ha="left", fontsize=10)
        panels = part.subplots(lines, COLUMNS, squeeze=False).flatten()
        for panel in panels:
            panel.axis("off")
        for panel, row in zip(panels, shown, strict=False):
            panel.axis("on")
            _tile(panel, row, images)
    return figure


def _tile(panel: Axes, row: Row, images: Images, font: float = 7.5) -> None:
    """An image over what it is taken for and its entropy, framed where that is wrong."""
    show_image(panel, images[int(row["index"])])
    right = row["correct"] == "True"
    if not right:
        panel.spines[:].set_visible(True)
        panel.spines[:].set(color=RED, linewidth=2.2)
    panel.set_xlabel(_words(row), fontsize=font, labelpad=2.5, color=INK if right else RED)


def _words(row: Row) -> str:
    true, predicted = row["label"], row["predicted"]
    short = len(true) + len(predicted) <= 4
    width = 20 if short else 8
    names = shorten(true, width)
    if true != predicted:
        names += f" → {shorten(predicted, width)}"
    gap = "   " if short else "\n"
    return f"{names}{gap}H {_nats(float(row['entropy']))}"


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
    figure = Figure(figsize=(WIDTH, 1.13 * len(names) + 0.4))
    panels = figure.subplots(
        len(names), 2 * PER_CLASS + 1, squeeze=False, width_ratios=[1] * 5 + [0.25] + [1] * 5
    )
    for panel in panels.flatten():
        panel.axis("off")
    for line, name in zip(panels, names, strict=True):
        group = [row for row in rows if row["label"] == name]
        ends = [*group[::-1][:PER_CLASS], *group[:PER_CLASS][::-1]]
        places = [*line[:PER_CLASS], *line[PER_CLASS + 1 :]]
        for panel, row in zip(places, ends, strict=False):
            panel.axis("on")
            _tile(panel, row, images)
        style: dict[str, Any] = {"ha": "right", "va": "center", "fontsize": 11, "weight": "bold"}
        line[0].text(-0.12, 0.5, shorten(name, 10), transform=line[0].transAxes, **style)
    panels[0, 0].set_title("lowest entropy →", fontsize=10)
    panels[0, PER_CLASS + 1].set_title("→ highest entropy", fontsize=10)
    return figure


@styled
def draw_uncertain(table: Path, archive: Path) -> Figure:
    """Draws the least sure images with their predictive distribution and both parts of H.

    Arguments:
        table: `ranking.csv`.
        archive: `ranking_images.npz`.
    """
    rows, images = read_csv(table)[:UNCERTAIN], _images(archive)
    lines = -(-len(rows) // 2)
    figure = Figure(figsize=(WIDTH, 1.75 * lines + 0.3))
    panels = figure.subplots(lines, 4, squeeze=False, width_ratios=[1, 1.75] * 2).reshape(-1, 2)
    for left, right in panels[len(rows) :]:
        left.axis("off")
        right.axis("off")
    for (left, right), row in zip(panels, rows, strict=False):
        _tile(left, row, images, font=9)
        _distribution(right, row)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    return figure


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
