"""Draws gradients by path, and what they led to, against the temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ibdrop.artifacts.concrete_gradients_picture import PATHS
from ibdrop.artifacts.plotting import BLUE, GREEN, GREY, ORANGE, RED, WIDTH, styled
from ibdrop.files import read_csv
from ibdrop.merit.gradients import scalar_law

__all__ = ["draw"]

PANELS = (
    ("median", "Median of the size", "size of the gradient"),
    ("mean", "Mean of the size", "size of the gradient"),
    ("signal", "Signal: mean over the noise", "RMS over images and units"),
    ("noise", "Noise: deviation of the draws", "RMS over images and units"),
    ("snr", "Signal to noise of one draw", "ratio"),
    ("zeros", "Exactly 0 in float32 (dashed: below 1e-6)", "% of draws"),
)
BOUNDS = (
    ("train_loss", ORANGE, "s", "relaxed loss, training, last epoch"),
    ("val_cost", BLUE, "o", "−ELBO on the discrete graph, validation, last epoch"),
    ("nll", GREEN, "D", "−$L_m$ on the discrete graph, test, best epoch"),
)
FAINTEST = 1e-8
TICKS = (5.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
SIZES = [digit * 10.0**power for power in range(-8, 4) for digit in (1, 2, 5)]
LEVELS = (100, 120, 150, 200, 300, 400, 600, 1000)


@styled
def draw(gradients: Path, costs: Path) -> Figure:
    r"""Draws one panel per figure of the gradients, and one of the bounds.

    The dotted lines are the limits of small temperatures of a unit alone, at the network's own
    logits: the signal's, the root mean square of :math:`\sigma'(a)`, and the noise's,
    :math:`\sqrt{\sigma'(a) / (6 \lambda)}`; the thin line is the exact law at the logit 0.

    Arguments:
        gradients: `gradients_over_temperature.csv`.
        costs: `costs_over_temperature.csv`.
    """
    rows = read_csv(gradients)
    states = int(rows[0]["states"])
    figure = Figure(figsize=(WIDTH, 11.6))
    grid = figure.add_gridspec(4, 2, height_ratios=(1, 1, 1, 1.25))
    for place, (name, title, label) in enumerate(PANELS):
        axes = figure.add_subplot(grid[place // 2, place % 2])
        _gradients(axes, rows, name)
        axes.set(title=title, ylabel=label)
        _temperatures(axes, rows, states)
    axes = figure.add_subplot(grid[3, :])
    _costs(axes, read_csv(costs))
    _temperatures(axes, rows, states)
    axes.set_xlabel("posterior temperature λ")
    figure.legend(handles=_keys(states), loc="outside upper center", ncols=3)
    return figure


def _gradients(axes: Axes, rows: Sequence[dict[str, str]], name: str) -> None:
    for path, (colour, _) in PATHS.items():
        own = [row for row in rows if row["path"] == path]
        x = [float(row["temperature"]) for row in own]
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5, "color": colour}
        axes.plot(x, _values(own, name), **marker)
        if name == "zeros":
            axes.plot(x, _values(own, "below"), linestyle="--", **marker)
    units = [row for row in rows if row["path"] == "unit"]
    _theory(axes, units, name)
    if name not in ("snr", "zeros"):
        axes.set_yscale("log")
    low, high = axes.get_ylim()
    if name in ("snr", "zeros"):
        axes.set_ylim(0, 100 if name == "zeros" else min(high, 2))
    else:
        _sizes(axes, max(low, FAINTEST), high)


def _sizes(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis whose ticks are 1, 2 and 5 where decades would be too few."""
    axes.set_ylim(low, high)
    if high > 200 * low:
        return
    ticks = [tick for tick in SIZES if low <= tick <= high]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()


def _values(rows: Sequence[dict[str, str]], name: str) -> list[float]:
    """The column, without zeros where they would be drawn on a logarithmic axis."""
    values = [float(row[name]) if row[name] else math.nan for row in rows]
    if name in ("zeros", "below"):
        return [100 * value for value in values]
    return [value or math.nan for value in values] if name != "snr" else values


def _theory(axes: Axes, units: Sequence[dict[str, str]], name: str) -> None:
    x = [float(row["temperature"]) for row in units]
    dotted: dict[str, Any] = {"color": RED, "linestyle": ":", "linewidth": 1.6}
    if name in ("mean", "signal"):
        axes.plot(x, [float(row[f"limit_{name}"]) for row in units], **dotted)
    if name == "noise":
        axes.plot(x, [math.sqrt(float(row["limit_second"])) for row in units], **dotted)
    if units[0]["states"] != "2":
        return
    fine = np.geomspace(min(x), max(x), 60)
    laws = [scalar_law(0.0, float(temperature)) for temperature in fine]
    shown = {"signal": "mean", "noise": "deviation"}.get(name, name)
    exact = [getattr(law, shown) * (100 if name == "zeros" else 1) for law in laws]
    axes.plot(fine, exact, color=RED, linewidth=0.9)


def _costs(axes: Axes, rows: Sequence[dict[str, str]]) -> None:
    x = [float(row["temperature"]) for row in rows]
    shown: list[float] = []
    for name, colour, marker, label in BOUNDS:
        values = [float(row[name]) if row[name] else math.nan for row in rows]
        spread = [float(row.get(f"{name}_sd") or 0) for row in rows]
        m = next((f", m = {float(row['m']):.0f}" for row in rows if row["m"]), "")
        words = label + (m if name == "nll" else "")
        axes.errorbar(
            x, values, spread, color=colour, marker=marker, markersize=5, capsize=3, label=words
        )
        shown += [value for value in values if not math.isnan(value)]
    axes.set_yscale("log")
    low, high = min(shown) / 1.05, max(shown) * 1.05
    axes.set_ylim(low, high)
    ticks = [level for level in LEVELS if low <= level <= high]
    axes.set_yticks(ticks, [str(level) for level in ticks])
    axes.minorticks_off()
    axes.set(title="What came of it", ylabel="nats per image")
    axes.legend()


def _temperatures(axes: Axes, rows: Sequence[dict[str, str]], states: int) -> None:
    """The axis, large temperatures left, and the largest that surely has no mode inside."""
    values = [float(row["temperature"]) for row in rows]
    low, high = min(values), max(values)
    axes.set_xscale("log")
    axes.set_xlim(high * 1.15, low / 1.15)
    axes.minorticks_off()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.axvline(1 / (states - 1), color=GREY, linestyle="-.", linewidth=1)


def _keys(states: int) -> list[Line2D]:
    lines = [Line2D([], [], color=colour, label=words) for colour, words in PATHS.values()]
    dotted = "its limits: σ′(a) and $\\sqrt{\\sigma'(a)/6\\lambda}$"
    lines.append(Line2D([], [], color=RED, linestyle=":", label=dotted))
    if states == 2:
        lines.append(Line2D([], [], color=RED, linewidth=0.9, label="its exact law at logit 0"))
    words = f"1/(n − 1) = {1 / (states - 1):.3g}"
    lines.append(Line2D([], [], color=GREY, linestyle="-.", linewidth=1, label=words))
    return lines
