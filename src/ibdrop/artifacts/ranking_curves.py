"""How entropy is spread over right and wrong predictions, and how the figures converge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from ibdrop.artifacts.plotting import BLUE, GREY, INK, ORANGE, RED, WIDTH, styled
from ibdrop.artifacts.ranking_sheet import Ranking
from ibdrop.files import read_csv

__all__ = ["draw_convergence", "draw_histogram"]

PANELS = (
    ("error", "Error", "error [%]", 100),
    ("nll", "Negative log-likelihood", "NLL [nats]", 1),
    ("ece", "Calibration error", "ECE [%]", 100),
    ("mean_entropy", "Predictive entropy", "mean H [nats]", 1),
    ("mean_mutual_information", "Mutual information", "mean MI [nats]", 1),
)


@styled
def draw_histogram(ranking: Ranking) -> Figure:
    """Draws how the entropy is spread over right and wrong predictions, as shares of each."""
    count = len(ranking.classes)
    edges = np.linspace(0, max(np.log(count), 1e-3), 31)
    figure = Figure(figsize=(6.6, 3.5))
    axes = figure.subplots()
    for correct, colour, word in (("True", BLUE, "right"), ("False", RED, "wrong")):
        values = [float(row["entropy"]) for row in ranking.rows if row["correct"] == correct]
        if values:
            shares = np.histogram(np.clip(values, 0, edges[-1]), edges)[0] / len(values)
            text = f"{word}: {len(values):,} images, mean {np.mean(values):.3f} nats"
            axes.stairs(shares, edges, fill=True, color=colour, alpha=0.35)
            axes.stairs(shares, edges, color=colour, linewidth=1.6, label=text)
    axes.axvline(edges[-1], color=GREY, linewidth=1.1, linestyle=":")
    top: dict[str, Any] = {"rotation": 90, "ha": "right", "va": "top", "fontsize": 8.5}
    axes.text(edges[-1], 0.97, f"ln {count} ", transform=axes.get_xaxis_transform(), **top)
    axes.set(title="Entropy of the prediction", xlabel="entropy H [nats]")
    axes.set(ylabel="share of the images", xlim=(0, edges[-1] * 1.02))
    axes.legend(loc="upper center")
    return figure


@styled
def draw_convergence(table: Path) -> Figure:
    """Draws the figures against the passes drawn, with bands of one standard error.

    Arguments:
        table: `ranking_convergence.csv`.
    """
    plain, *rows = read_csv(table)
    figure = Figure(figsize=(WIDTH, 5.0))
    panels = figure.subplots(2, 3).ravel()
    for panel, (name, title, label, scale) in zip(panels, PANELS, strict=False):
        _converging(panel, rows, name, scale)
        if name != "mean_mutual_information":
            style: dict[str, Any] = {"color": INK, "linestyle": "--", "linewidth": 1.2}
            panel.axhline(scale * float(plain[name]), label="noise off", **style)
        panel.set(title=title, ylabel=label)
    _distance(panels[-1], rows)
    for panel in panels:
        panel.set_xlim(0, None)
        panel.set_xlabel("passes T")
    panels[0].legend(loc="best")
    return figure


def _converging(panel: Axes, rows: Sequence[dict[str, str]], name: str, scale: float) -> None:
    passes = _values(rows, "passes")
    values, errors = scale * _values(rows, name), scale * _values(rows, f"{name}_se")
    band: dict[str, Any] = {"color": BLUE, "alpha": 0.22, "linewidth": 0}
    panel.fill_between(passes, values - errors, values + errors, label="± standard error", **band)
    panel.plot(passes, values, color=BLUE, marker="o", markersize=3.5, label="Monte Carlo")


def _distance(panel: Axes, rows: Sequence[dict[str, str]]) -> None:
    """How far the entropies still are from those of the whole run, and how far to expect."""
    passes, distances = _values(rows, "passes"), _values(rows, "entropy_rms_difference")
    errors = _values(rows, "entropy_rms_se")
    panel.plot(passes[:-1], distances[:-1], color=BLUE, marker="o", markersize=3.5)
    panel.plot(passes, errors, color=ORANGE, marker="s", markersize=3.5)
    seen = [value for value in (*distances, *errors) if value > 0]
    if seen:
        panel.set_yscale("log")
        panel.set_ylim(top=3 * max(seen))
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5)))
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_locator(NullLocator())
    panel.set(title="Entropy of each image", ylabel="root mean square [nats]")
    whole = int(passes[-1])
    panel.legend([f"distance from T = {whole}", "standard error"], loc="upper right")


def _values(rows: Sequence[dict[str, str]], name: str) -> np.ndarray[Any, Any]:
    return np.array([float(row[name] or math.nan) for row in rows])
