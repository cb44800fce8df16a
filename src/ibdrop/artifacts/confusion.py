"""The confusion matrix: which classes are taken for which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchmetrics.functional.classification import multiclass_confusion_matrix

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import INK, save, shorten, styled
from ibdrop.data.base import Batch
from ibdrop.files import read_csv, write_csv
from ibdrop.models.base import Prediction

__all__ = ["ConfusionMatrix", "draw"]

CORNER = "true \\ predicted"
MOST_NUMBERED = 20
MOST_NAMED = 60
LONG_NAME = 12


class ConfusionMatrix(Artifact):
    """Counts of test images by true and predicted class, and the largest confusions.

    Arguments:
        largest: The number of confusions listed in `confusion_largest.csv`.
    """

    def __init__(self, largest: int = 20) -> None:
        if largest < 0:
            raise ValueError(f"largest is {largest}; a number of confusions cannot be negative")
        self.largest = largest

    def begin(self, trained: Trained) -> None:
        self.classes = trained.data.spec.classes
        self.counts = torch.zeros(len(self.classes), len(self.classes), dtype=torch.int64)

    def update(self, batch: Batch, prediction: Prediction) -> None:
        predicted, labels = prediction.logits.argmax(1).cpu(), batch.labels.cpu()
        self.counts += multiclass_confusion_matrix(predicted, labels, len(self.classes))

    def write(self, folder: Path) -> list[Path]:
        rows = [
            {CORNER: name, **dict(zip(self.classes, counts, strict=True))}
            for name, counts in zip(self.classes, self.counts.tolist(), strict=True)
        ]
        table = write_csv(folder / "confusion.csv", rows)
        largest = _largest(self.counts, self.classes)[: self.largest]
        mistakes = write_csv(folder / "confusion_largest.csv", largest)
        return [save(draw(table), folder / "confusion.png"), table, mistakes]


def _largest(counts: Tensor, classes: tuple[str, ...]) -> list[dict[str, Any]]:
    """Confusions by count; `share` is out of the images of the true class."""
    shares = (counts / counts.sum(1, keepdim=True).clamp_min(1)).tolist()
    wrong = counts.clone().fill_diagonal_(0)
    order = wrong.flatten().argsort(descending=True, stable=True)
    pairs = [divmod(place, len(classes)) for place in order[: int((wrong > 0).sum())].tolist()]
    return [
        {
            "true": classes[true],
            "predicted": classes[predicted],
            "count": int(counts[true, predicted]),
            "share": round(shares[true][predicted], 6),
        }
        for true, predicted in pairs
    ]


@styled
def draw(table: Path) -> Figure:
    """Draws counts as numbers, and as colour their share of the true class.

    The colour is by the square root of the share, so that rare confusions show.

    Arguments:
        table: `confusion.csv`.
    """
    rows = read_csv(table)
    names = [shorten(row[CORNER], LONG_NAME) for row in rows]
    counts = np.array([[int(value) for value in list(row.values())[1:]] for row in rows])
    size = len(rows)
    shares = counts / counts.sum(1, keepdims=True).clip(1)
    side = min(9.0, max(5.6, 0.55 * size + 1.8))
    figure = Figure(figsize=(side, 0.9 * side))
    axes = figure.subplots()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    image = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    ticks = np.array([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.set_ticks(np.sqrt(ticks).tolist(), labels=[f"{100 * share:g} %" for share in ticks])
    bar.set_label("share of the true class")
    bar.outline.set_visible(False)
    if size <= MOST_NUMBERED:
        _write_counts(axes, counts, shares)
    if size <= MOST_NAMED:
        small: dict[str, Any] = {"fontsize": 9 if size <= MOST_NUMBERED else 6}
        turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
        axes.set_xticks(range(size), names, **small, **(turned if _long(names) else {}))
        axes.set_yticks(range(size), names, **small)
        axes.tick_params(length=0)
    right, total = int(counts.trace()), int(counts.sum())
    axes.set_title(f"{right:,} of {total:,} right, {_percent(total - right, total)} wrong")
    axes.set(xlabel="predicted class", ylabel="true class")
    return figure


def _long(names: list[str]) -> bool:
    return max(map(len, names)) > 3


def _write_counts(axes: Any, counts: np.ndarray[Any, Any], shares: np.ndarray[Any, Any]) -> None:
    font = 9 if len(counts) <= 12 else 6.5
    for (row, column), count in np.ndenumerate(counts):
        if count:
            light = shares[row, column] > 0.35
            style = {"ha": "center", "va": "center", "fontsize": font}
            axes.text(column, row, f"{count}", color="white" if light else INK, **style)


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / max(1, whole):.2f} %"
