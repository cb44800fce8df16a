"""Learning curves, drawn from what training wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import BLUE, COLOURS, INK, ORANGE, WIDTH, save, styled
from ibdrop.files import read_csv

__all__ = ["LearningCurves", "draw"]

SPAN = 30.0
"""Ratio of largest to smallest value above which an axis is logarithmic."""


class LearningCurves(Artifact):
    """Cross-entropy, KL and accuracy by epoch, and the KL of each layer, from `metrics.csv`."""

    task = None

    def begin(self, trained: Trained) -> None:
        self.metrics = trained.folder / "metrics.csv"

    def write(self, folder: Path) -> list[Path]:
        if not self.metrics.exists() or not read_csv(self.metrics):
            return []
        return [save(draw(self.metrics), folder / "curves.png")]


@styled
def draw(metrics: Path) -> Figure:
    """Draws the curves; a column that is missing or empty is left out.

    Arguments:
        metrics: `metrics.csv`, one row per epoch.
    """
    columns = _columns(metrics)
    layers = [name.removeprefix("kl/") for name in columns if name.startswith("kl/")]
    figure = Figure(figsize=(WIDTH, 6.8 if layers else 3.3))
    panels = figure.subplots(2 if layers else 1, 2 if layers else 3, squeeze=False).flatten()
    _pair(panels[0], columns, "ce", "Cross-entropy", "nats per image")
    if "train_accuracy" in columns:
        _pair(panels[1], columns, "accuracy", "Accuracy", "share of images")
    else:
        columns["train_cost"] = columns.get("train_loss", [])
        _pair(panels[1], columns, "cost", "Loss, and cost in validation", "nats per image")
    if not layers:
        rest = "penalty" if "train_penalty" in columns else "kl"
        title = "Penalty" if rest == "penalty" else "KL, all layers"
        _pair(panels[2], columns, rest, title, "nats per image")
    else:
        _layers(panels[2], columns, layers)
        _caps(panels[3], columns, layers)
    return figure


def _columns(metrics: Path) -> dict[str, list[float]]:
    rows = read_csv(metrics)
    table = {name: [float(row[name] or "nan") for row in rows] for name in rows[0]}
    return {name: values for name, values in table.items() if any(v == v for v in values)}


def _pair(
    axes: Axes, columns: dict[str, list[float]], quantity: str, title: str, unit: str
) -> None:
    """Training and validation of one quantity."""
    for split, colour, name in (("train", BLUE, "training"), ("val", ORANGE, "validation")):
        values = columns.get(f"{split}_{quantity}")
        if values:
            last = f"{name}, last {values[-1]:.4g}"
            _line(axes, columns["epoch"], values, colour, last)
    _finish(axes, title, unit)
    if quantity == "accuracy":
        low = min(min(columns.get(f"{split}_accuracy", [1.0])) for split in ("train", "val"))
        axes.set_ylim(max(0.0, low - 0.05), 1.005)


def _layers(axes: Axes, columns: dict[str, list[float]], layers: list[str]) -> None:
    """KL of each layer on the validation split, and of all together on both."""
    for layer, colour in zip(layers, COLOURS * 8, strict=False):
        values = columns[f"kl/{layer}"]
        _line(axes, columns["epoch"], values, colour, f"{layer}, last {values[-1]:.4g}")
    for split, style in (("train", "--"), ("val", ":")):
        total = columns.get(f"{split}_kl")
        if total:
            name = {"train": "all, training", "val": "all, validation"}[split]
            axes.plot(columns["epoch"], total, "_" + style, color=INK, linewidth=1.3, label=name)
    _finish(axes, "KL by layer (validation)", "nats per image")


def _caps(axes: Axes, columns: dict[str, list[float]], layers: list[str]) -> None:
    """Share of alphas at the cap, where a unit carries nothing."""
    known = [layer for layer in layers if f"at_cap/{layer}" in columns]
    if not known:
        return _pair(axes, columns, "kl", "KL, all layers", "nats per image")
    for layer, colour in zip(known, COLOURS * 8, strict=False):
        _line(axes, columns["epoch"], columns[f"at_cap/{layer}"], colour, layer)
    _finish(axes, "Alphas at the cap (1 = collapsed)", "share of units")
    axes.set_yscale("linear")
    axes.set_ylim(-0.03, 1.03)
    return None


def _line(axes: Axes, epochs: list[float], values: list[float], colour: str, label: str) -> None:
    few = len(epochs) <= 12
    axes.plot(epochs, values, color=colour, marker="o" if few else "", markersize=5, label=label)


def _finish(axes: Axes, title: str, unit: str) -> None:
    axes.set(title=title, xlabel="epoch", ylabel=unit)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if axes.lines and np.ptp(np.asarray(axes.lines[0].get_xdata(), float)) == 0:
        only = float(np.asarray(axes.lines[0].get_xdata(), float)[0])
        axes.set(xlim=(only - 0.5, only + 0.5), xticks=[only], xticklabels=[f"{only:g}"])
    values = [value for line in axes.lines for value in np.asarray(line.get_ydata(), float)]
    if values and min(values) > 0 and max(values) > SPAN * min(values):
        axes.set_yscale("log")
    if axes.lines:
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
        below["ncols"] = 4 if len(axes.lines) == 4 else 3
        axes.legend(**(below if len(axes.lines) > 2 else {}))
