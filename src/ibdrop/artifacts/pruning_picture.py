"""Draws how noisy the weights of each layer are, and where they are cut."""

from __future__ import annotations

import math
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ibdrop.artifacts.plotting import BLUE, INK, ORANGE, WIDTH, shorten, styled
from ibdrop.files import read_csv

__all__ = ["draw"]

COLUMNS = 3


@styled
def draw(table: Path, histogram: Path, summary: Path) -> Figure:
    """Draws one histogram of log alpha for each layer, with its threshold.

    Arguments:
        table: `pruning.csv`.
        histogram: `pruning_histogram.csv`.
        summary: `pruning_summary.csv`.
    """
    rows = read_csv(table)
    layers = [row for row in rows if row["threshold"]]
    bins = read_csv(histogram)
    columns = min(COLUMNS, len(layers))
    lines = math.ceil(len(layers) / columns)
    figure = Figure(figsize=(WIDTH, 2.5 * lines + 1.1))
    panels = figure.subplots(lines, columns, squeeze=False)
    for number, axes in enumerate(panels.flatten()):
        if number >= len(layers):
            axes.remove()
            continue
        name = layers[number]["layer"]
        _panel(axes, layers[number], [row for row in bins if row["layer"] == name])
        if number + columns >= len(layers):
            axes.set_xlabel(r"log $\alpha$ (ends: −8 or less, 8 or more)")
        if number % columns == 0:
            axes.set_ylabel("weights")
    figure.suptitle(_sentence(rows[-1], read_csv(summary)), x=0.01, ha="left", fontsize=11)
    figure.legend(handles=_keys(), loc="outside lower center", ncols=3)
    return figure


def _panel(axes: Axes, layer: dict[str, str], bins: list[dict[str, str]]) -> None:
    threshold = float(layer["threshold"])
    lefts = [float(row["from"]) for row in bins]
    width = float(bins[0]["to"]) - lefts[0]
    middles = [left + width / 2 for left in lefts]
    colours = [ORANGE if middle > threshold else BLUE for middle in middles]
    axes.bar(middles, [int(row["weights"]) for row in bins], width, color=colours)
    axes.axvline(threshold, color=INK, linestyle="--", linewidth=1.2)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.set_xlim(lefts[0] - width, float(bins[-1]["to"]) + width)
    kept, weights = int(layer["kept"]), int(layer["weights"])
    axes.set_xticks(range(-8, 9, 4))
    axes.set_title(f"{shorten(layer['layer'], 10)}: keeps {kept:,} of {weights:,}", fontsize=9)


def _keys() -> list[Patch]:
    return [
        Patch(color=BLUE, label="kept"),
        Patch(color=ORANGE, label="pruned: beyond the threshold (dashed)"),
    ]


def _sentence(total: dict[str, str], summary: list[dict[str, str]]) -> str:
    """What was cut, and what that did to the test set."""
    before, after = (float(row["error"]) for row in summary)
    return (
        f"{float(total['sparsity']):.1%} of all {int(total['weights']):,} weights pruned "
        f"({float(total['compression']):.3g}×); test error {before:.2%} before, {after:.2%} after"
    )
