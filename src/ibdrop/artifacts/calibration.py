"""Calibration: whether what the network says with 90 % confidence is right 9 times out of 10."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import BLUE, GREY, INK, RED, WIDTH, save, styled
from ibdrop.data.base import Batch
from ibdrop.files import read_csv, write_csv
from ibdrop.merit import (
    brier_score,
    calibration_error,
    expected_calibration_error,
    reliability,
)
from ibdrop.models.base import Prediction

__all__ = ["Calibration", "brier_score", "draw", "expected_calibration_error", "reliability"]


class Calibration(Artifact):
    """Reliability diagram, calibration error, Brier score and NLL of the deterministic network.

    Arguments:
        bins: The number of bins of confidence.
    """

    def __init__(self, bins: int = 15) -> None:
        if bins < 2:
            raise ValueError(f"bins is {bins}; at least 2 are needed")
        self.bins = bins

    def begin(self, trained: Trained) -> None:
        self.sums = torch.zeros(3, self.bins, dtype=torch.float64)
        self.nll = self.brier = 0.0

    def update(self, batch: Batch, prediction: Prediction) -> None:
        logits = prediction.logits.double()
        p = logits.softmax(1)
        self.sums += reliability(p, batch.labels, self.bins).cpu()
        self.nll += float(torch.nn.functional.cross_entropy(logits, batch.labels, reduction="sum"))
        self.brier += float(brier_score(p, batch.labels)) * len(p)

    def write(self, folder: Path) -> list[Path]:
        table = write_csv(folder / "calibration.csv", self._bins())
        summary = write_csv(folder / "calibration_summary.csv", [self._summary()])
        return [save(draw(table, summary), folder / "calibration.png"), table, summary]

    def _bins(self) -> list[dict[str, Any]]:
        rows = []
        for m, (count, confidence, right) in enumerate(self.sums.T.tolist()):
            mean, accuracy = (confidence / count, right / count) if count else (math.nan,) * 2
            edges = {"lower": round(m / self.bins, 6), "upper": round((m + 1) / self.bins, 6)}
            values = {"confidence": mean, "accuracy": accuracy, "gap": accuracy - mean}
            rows.append({**edges, "count": int(count), **values})
        return rows

    def _summary(self) -> dict[str, Any]:
        n, confidence, right = self.sums.sum(1).tolist()
        return {
            "images": int(n),
            "accuracy": right / n,
            "confidence": confidence / n,
            "ece": float(calibration_error(self.sums)),
            "nll": self.nll / n,
            "brier": self.brier / n,
        }


@styled
def draw(table: Path, summary: Path) -> Figure:
    """Draws the accuracy of each bin against its confidence, and how many images it holds.

    Arguments:
        table: `calibration.csv`.
        summary: `calibration_summary.csv`.
    """
    rows = [{name: float(value) for name, value in row.items()} for row in read_csv(table)]
    total = {name: float(value) for name, value in read_csv(summary)[0].items()}
    figure = Figure(figsize=(WIDTH, 4.2))
    left, right = figure.subplots(1, 2)
    _diagram(left, rows)
    _histogram(right, rows, total)
    figures = ("ECE", "ece"), ("NLL", "nll"), ("Brier", "brier")
    left.set_title("   ".join(f"{name} {total[key]:.4f}" for name, key in figures))
    right.set_title(f"{total['images']:,.0f} images")
    for axes in (left, right):
        axes.set(xlabel="confidence", xlim=(0, 1))
    return figure


def _histogram(axes: Axes, rows: list[dict[str, float]], total: dict[str, float]) -> None:
    width = rows[0]["upper"] - rows[0]["lower"]
    edges = [row["lower"] for row in rows]
    counts = [row["count"] for row in rows]
    style: dict[str, Any] = {"align": "edge", "edgecolor": "white", "alpha": 0.85}
    axes.bar(edges, counts, width, color=BLUE, **style)
    for name, colour, dashes in (("accuracy", INK, "-"), ("confidence", RED, "--")):
        label = f"mean {name} {total[name]:.4f}"
        axes.axvline(total[name], color=colour, linewidth=1.5, linestyle=dashes, label=label)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 3 * max(counts))
    axes.set_ylabel("images in the bin")
    axes.legend(loc="upper center")


def _diagram(axes: Axes, rows: list[dict[str, float]]) -> None:
    width = rows[0]["upper"] - rows[0]["lower"]
    filled = [row for row in rows if row["count"]]
    middle = [(row["lower"] + row["upper"]) / 2 for row in filled]
    accuracy = np.array([row["accuracy"] for row in filled])
    confidence = np.array([row["confidence"] for row in filled])
    axes.bar(middle, accuracy, width, color=BLUE, alpha=0.85, edgecolor="white", label="accuracy")
    axes.bar(
        middle,
        confidence - accuracy,
        width,
        accuracy,
        color=RED,
        alpha=0.25,
        edgecolor=RED,
        linewidth=0.9,
        hatch="////",
        label="gap to the confidence",
    )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1.2, linestyle="--", label="perfect")
    axes.set(ylabel="share that is right", ylim=(0, 1.0))
    axes.legend(loc="upper left")
