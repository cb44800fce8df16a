"""Pictures of a sweep over depth and initial weights."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ibdrop.artifacts.plotting import COLOURS, INK, WIDTH, styled
from ibdrop.artifacts.probe import LINEAR, PANELS, span, values
from ibdrop.files import read_csv

__all__ = ["draw_errors", "draw_quantities"]

Row = dict[str, str]

SIZES = (5.0, 2.8, 1.8)
"""Of points, the first setting's the largest: cosines of nets that differ in scale coincide."""


@styled
def draw_errors(table: Path) -> Figure:
    """Draws the validation error against the epoch, a panel for each depth.

    Arguments:
        table: `depth_errors.csv`.
    """
    rows = [row for row in read_csv(table) if row["val_error"]]
    depths = _depths(rows)
    figure = Figure(figsize=(WIDTH, 3.9))
    panels = figure.subplots(1, max(1, len(depths)), sharey=True, squeeze=False)[0]
    colours = _colours(rows)
    for axes, depth in zip(panels, depths, strict=False):
        for setting, colour in colours.items():
            _curves(axes, _of(rows, depth, setting), colour)
        axes.set(title=f"{depth} layers", xlabel="epoch", ylim=(0, 100))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0].set_ylabel("validation error [%]")
    _legend(figure, panels[0], colours, _several(rows))
    return figure


@styled
def draw_quantities(table: Path, names: Sequence[str]) -> Figure:
    """Draws quantities of the probe against the layer, a column of panels for each depth.

    Points are means over the seeds (geometric ones of variances and gradients), bands reach from
    the least to the largest, lines are predictions.

    Arguments:
        table: `depth_probe.csv`.
        names: Keys of `ibdrop.artifacts.probe.PANELS`.
    """
    rows: list[Row] = read_csv(table)
    depths, colours = _depths(rows), _colours(rows)
    figure = Figure(figsize=(WIDTH, 0.8 + 2.35 * len(names)))
    grid = figure.subplots(len(names), len(depths), sharey="row", squeeze=False)
    for axes, depth in zip(grid[0], depths, strict=True):
        axes.set_title(f"{depth} layers")
    for axes in grid[-1]:
        axes.set_xlabel("layer $l$")
    for line, name in zip(grid, names, strict=True):
        for axes, depth in zip(line, depths, strict=True):
            for place, (setting, colour) in enumerate(colours.items()):
                _layers(axes, _of(rows, depth, setting), name, colour, SIZES[min(place, 2)])
        line[0].set_ylabel(PANELS[name][1])
        for axes in line:
            span(axes, name)
    predicted = any(row.get(f"{name}_predicted") for row in rows for name in names)
    _legend(figure, grid[0][0], colours, _several(rows), measured=predicted)
    return figure


def _curves(axes: Axes, rows: Sequence[Row], colour: str) -> None:
    """A thin line for each seed, the mean, and a band from the best to the worst."""
    seeds = dict.fromkeys(row["seed"] for row in rows)
    found: dict[int, list[float]] = {}
    for seed in seeds:
        own = [row for row in rows if row["seed"] == seed]
        epochs = [int(row["epoch"]) for row in own]
        errors = [100 * float(row["val_error"]) for row in own]
        for epoch, error in zip(epochs, errors, strict=True):
            found.setdefault(epoch, []).append(error)
        if len(seeds) > 1:
            axes.plot(epochs, errors, color=colour, linewidth=0.7, alpha=0.6)
    epochs = sorted(found)
    means = [statistics.fmean(found[epoch]) for epoch in epochs]
    axes.plot(epochs, means, color=colour)
    low, high = ([end(found[epoch]) for epoch in epochs] for end in (min, max))
    axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)


def _layers(axes: Axes, rows: Sequence[Row], name: str, colour: str, size: float) -> None:
    layers, low, middle, high = _over_seeds(rows, name)
    axes.fill_between(layers, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot(layers, middle, "o", color=colour, markersize=size)
    for segment in dict.fromkeys(row["segment"] for row in rows):
        part = [row for row in rows if row["segment"] == segment]
        places, _, expected, _ = _over_seeds(part, f"{name}_predicted")
        axes.plot(places, expected, color=colour, linewidth=1.2)


def _over_seeds(
    rows: Sequence[Row], name: str
) -> tuple[list[int], list[float], list[float], list[float]]:
    """Layers, and the least, the mean and the largest figure over the seeds in each."""
    found: dict[int, list[float]] = {}
    for layer, value in zip(*values(rows, name), strict=True):
        found.setdefault(layer, []).append(value)
    straight = name.removesuffix("_predicted") in LINEAR
    means = [
        statistics.fmean(some) if straight else math.exp(float(np.log(some).mean()))
        for some in found.values()
    ]
    return list(found), [min(v) for v in found.values()], means, [max(v) for v in found.values()]


def _depths(rows: Sequence[Row]) -> list[int]:
    return sorted({int(row["depth"]) for row in rows})


def _colours(rows: Sequence[Row]) -> dict[str, str]:
    settings = dict.fromkeys(row["setting"] for row in rows)
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(settings)}


def _of(rows: Sequence[Row], depth: int, setting: str) -> list[Row]:
    return [row for row in rows if int(row["depth"]) == depth and row["setting"] == setting]


def _several(rows: Sequence[Row]) -> int:
    """The number of seeds."""
    return len({row["seed"] for row in rows})


def _legend(
    figure: Figure, axes: Axes, colours: dict[str, str], seeds: int, measured: bool = False
) -> None:
    marks = [axes.plot([], [], color=colour, linewidth=3)[0] for colour in colours.values()]
    words = [name or "all runs" for name in colours]
    if measured:
        marks += [*axes.plot([], [], "o", color=INK, markersize=3), *axes.plot([], [], color=INK)]
        words += ["measured", "predicted"]
    if seeds > 1:
        marks.append(axes.fill_between([], [], color=INK, alpha=0.2, linewidth=0))  # type: ignore[arg-type]
        words.append(f"range of {seeds} seeds")
    figure.legend(marks, words, loc="outside upper center", ncols=min(6, len(words)))
