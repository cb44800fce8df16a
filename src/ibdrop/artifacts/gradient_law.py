"""The exact law of the gradient through a relaxed binary unit, as numbers and as a picture."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ibdrop.artifacts.plotting import BLUE, GREEN, INK, ORANGE, WIDTH, save, styled
from ibdrop.files import read_csv, write_csv
from ibdrop.merit.gradients import limits, scalar_law

__all__ = ["draw", "write_law"]

LOGITS = {0.0: BLUE, 2.0: ORANGE, 4.0: GREEN}
TEMPERATURES = np.geomspace(10, 0.01, 61)
SHOWN = {2.0: 0.25, 2 / 3: 0.07, 0.2: 0.13, 0.1: 0.25, 0.05: 0.5, 0.02: 0.76}
"""The temperatures whose draws are shown, and at which share their line is labelled."""
SIZES = np.geomspace(1e-12, 20, 107)
PANELS = (
    ("mean", "Mean: stays", "E g"),
    ("median", "Median: vanishes", "median of g"),
    ("deviation", "Deviation: grows", "deviation of g"),
    ("snr", "Signal to noise: falls", "mean / deviation"),
    ("zeros", "Exactly 0 in float32", "% of draws"),
)
FAINTEST = 1e-12
TICKS = (10, 1, 0.1, 0.01)


def write_law(target: Path) -> list[Path]:
    r"""Writes how :math:`g = \sigma'((a + L)/\lambda)/\lambda` is distributed.

    `gradient_law.csv` has the figures of `ibdrop.merit.gradients.scalar_law` and their limits by
    logit and temperature, `gradient_law_shares.csv` the share of draws below each size at the
    logit 0.

    Arguments:
        target: Where to write.

    Returns:
        The picture and the two files of numbers.
    """
    rows = [_row(a, float(temperature)) for a in LOGITS for temperature in TEMPERATURES]
    law = write_csv(target / "gradient_law.csv", rows)
    shares = write_csv(target / "gradient_law_shares.csv", [_share(size) for size in SIZES])
    return [save(draw(law, shares), target / "gradient_law.png"), law, shares]


def _row(a: float, temperature: float) -> dict[str, float]:
    mean, second = limits(a, temperature)
    law = scalar_law(a, temperature)
    given = {"logit": a, "temperature": temperature, **law._asdict()}
    return given | {"limit_mean": mean, "limit_second": second}


def _share(size: float) -> dict[str, float]:
    shares = {f"{t:.3g}": scalar_law(0.0, t, float(size)).below for t in SHOWN}
    return {"size": float(size), **shares}


@styled
def draw(law: Path, shares: Path) -> Figure:
    r"""Draws the figures against the temperature, with their limits dotted.

    The limits are :math:`\sigma'(a)`, :math:`\sqrt{\sigma'(a) / (6 \lambda)}` and the root of
    :math:`6 \lambda \sigma'(a)`.

    Arguments:
        law: `gradient_law.csv`.
        shares: `gradient_law_shares.csv`.
    """
    rows = read_csv(law)
    figure = Figure(figsize=(WIDTH, 8.6))
    panels = figure.subplots(3, 2).flatten()
    for axes, (name, title, label) in zip(panels, PANELS, strict=False):
        for a, colour in LOGITS.items():
            own = [row for row in rows if float(row["logit"]) == a]
            _line(axes, own, name, colour)
        axes.set(title=title, ylabel=label, xscale="log", xlabel="temperature λ")
        axes.set_xlim(12, 1 / 120)
        axes.set_xticks(TICKS, [f"{tick:g}" for tick in TICKS])
    for axes in panels[:4]:
        axes.set_yscale("log")
    panels[1].set_ylim(FAINTEST, 1)
    panels[4].set_ylim(0, 100)
    _shares(panels[5], read_csv(shares))
    handles, labels = panels[0].get_legend_handles_labels()
    dotted = Line2D([], [], color=INK, linestyle=":", linewidth=1.4)
    words = [*labels, "limits of small temperatures"]
    figure.legend([*handles, dotted], words, loc="outside upper center", ncols=4)
    return figure


def _line(axes: Axes, rows: Iterable[dict[str, str]], name: str, colour: str) -> None:
    found = [{key: float(value) for key, value in row.items()} for row in rows]
    x = [row["temperature"] for row in found]
    factor = 100 if name == "zeros" else 1
    label = f"a = {found[0]['logit']:g}"
    axes.plot(x, [factor * row[name] for row in found], color=colour, label=label)
    if name in ("mean", "deviation", "snr"):
        limit = [_limit(row, name) for row in found]
        axes.plot(x, limit, color=colour, linestyle=":", linewidth=1.4)


def _limit(row: dict[str, Any], name: str) -> float:
    mean, deviation = float(row["limit_mean"]), math.sqrt(row["limit_second"])
    return {"mean": mean, "deviation": deviation, "snr": mean / deviation}[name]


def _shares(axes: Axes, rows: list[dict[str, str]]) -> None:
    sizes = [float(row["size"]) for row in rows]
    names = [name for name in rows[0] if name != "size"]
    for number, (name, level) in enumerate(zip(names, SHOWN.values(), strict=True)):
        values = [float(row[name]) for row in rows]
        shade = str(0.65 * (1 - number / (len(names) - 1)))
        axes.plot(sizes, [100 * value for value in values], color=shade)
        at = (float(np.interp(level, values, sizes)), 100 * level)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        axes.text(*at, name, color=shade, fontsize=9, ha="center", va="center", bbox=box)
    axes.axvline(1e-6, color=INK, linestyle=":", linewidth=1)
    axes.set(title="Where the draws are, at logit 0", xlabel="size s")
    axes.set(xscale="log", ylim=(0, 100), xlim=(sizes[0], sizes[-1]))
    axes.set_ylabel("% of draws below s, by λ")
