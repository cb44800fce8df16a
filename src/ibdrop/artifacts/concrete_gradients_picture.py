"""Draws how large the gradients at the logits of relaxed units are, by path."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts.plotting import BLUE, GREY, INK, ORANGE, WIDTH, number, styled
from ibdrop.files import read_csv

__all__ = ["PATHS", "draw"]

PATHS = {
    "unit": (GREY, "through a unit alone, ∂z/∂a"),
    "decoder": (BLUE, "decoder path"),
    "KL": (ORANGE, "KL path"),
    "total": (INK, "both"),
}
"""The colour and the words of each path."""


@styled
def draw(table: Path, histogram: Path) -> Figure:
    """Draws one histogram of the size of the gradient for each path, its median marked.

    Arguments:
        table: `concrete_gradients.csv`.
        histogram: `concrete_gradients_histogram.csv`.
    """
    rows, bins = read_csv(table), read_csv(histogram)
    figure = Figure(figsize=(WIDTH, 1.55 * len(rows) + 0.9))
    panels = figure.subplots(len(rows), 1, sharex=True)
    for axes, row in zip(panels, rows, strict=True):
        _panel(axes, row, bins)
    panels[-1].set_xlabel("size of the gradient (ends: that or beyond)")
    panels[-1].set_xticks(range(-12, 3, 2), [f"$10^{{{power}}}$" for power in range(-12, 3, 2)])
    figure.suptitle(_sentence(rows[0]), x=0.01, ha="left", fontsize=11)
    return figure


def _panel(axes: Axes, row: dict[str, str], bins: list[dict[str, str]]) -> None:
    colour, words = PATHS[row["path"]]
    lefts = [float(each["from"]) for each in bins]
    width = float(bins[0]["to"]) - lefts[0]
    axes.bar(
        lefts,
        [100 * float(each[row["path"]]) for each in bins],
        width,
        0,
        align="edge",
        color=colour,
        alpha=0.85,
    )
    axes.set_title(words, fontsize=10)
    axes.set_ylabel("% of draws")
    axes.text(0.08, 0.93, _figures(row), transform=axes.transAxes, va="top", fontsize=9)


def _figures(row: dict[str, str]) -> str:
    median, noise, snr = (float(row[name]) for name in ("median", "noise", "snr"))
    below, zeros = float(row["below"]), float(row["zeros"])
    return (
        f"median {number(median)}\nnoise {number(noise)}, signal to noise {number(snr)}\n"
        f"{below:.1%} below 1e-6, {zeros:.1%} exactly 0"
    )


def _sentence(row: dict[str, str]) -> str:
    return (
        f"Gradient at the logits, posterior temperature {float(row['temperature']):.3g}: "
        f"{row['images']} images, {row['draws']} draws each"
    )
