"""Explanations read back from their files, as pictures need them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ibdrop.files import read_csv

__all__ = ["Shown", "load", "percent", "spoken"]

Array = np.ndarray[Any, Any]
Row = dict[str, str]


class Shown(NamedTuple):
    """One image with everything found out about it.

    Attributes:
        arrays: The entries of the archive for this image alone.
        rows: The rows of `explanations.csv`, one for each area.
        curves: Columns of `explain_curves.csv`, each with a value for each share of pixels.
        traces: Objective and score over the steps of each area, each of shape (T, 2).
    """

    arrays: dict[str, Array]
    rows: list[Row]
    curves: dict[str, Array]
    traces: list[Array]

    @property
    def number(self) -> int:
        """The number of the image in its set."""
        return int(self.arrays["index"])

    @property
    def layers(self) -> list[str]:
        """Layers with a KL heat map."""
        return [name.removeprefix("kl_") for name in self.arrays if name.startswith("kl_")]

    @property
    def baselines(self) -> list[str]:
        """The words for other attributions."""
        start = "baseline_"
        return [name.removeprefix(start) for name in self.arrays if name.startswith(start)]

    @property
    def best(self) -> int:
        """The area that tells most: the smallest that does its work, else that nearest to it."""
        deletes = self.rows[0]["game"] == "deletion"
        ratios = [float(row["ratio"]) for row in self.rows]
        done = [ratio < 0.1 if deletes else ratio > 0.5 for ratio in ratios]
        areas = [float(row["area"]) for row in self.rows]
        if any(done):
            return min((place for place, well in enumerate(done) if well), key=areas.__getitem__)
        return (min if deletes else max)(range(len(ratios)), key=ratios.__getitem__)

    @property
    def result(self) -> Row:
        """The row of `best`."""
        return self.rows[self.best]

    @property
    def slimness(self) -> float:
        """Height over width of the image, at most 1: how tall a tile must be for its width."""
        height, width = self.arrays["images"].shape[1:]
        return float(min(1.0, height / width))

    @property
    def deletes(self) -> bool:
        """Whether the masks delete the least, and not keep it."""
        return self.rows[0]["game"] == "deletion"


def load(archive: Path, table: Path, curves: Path, trace: Path) -> list[Shown]:
    """Reads `explanations.npz` and the three tables, image by image."""
    with np.load(archive) as content:
        arrays = {name: content[name] for name in content.files}
    for shared in ("layers", "baselines", "box_alphas"):
        del arrays[shared]
    count = len(arrays["index"])
    rows = _parts(read_csv(table), count)
    points = _parts(read_csv(curves), count)
    steps: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in read_csv(trace):
        values = float(row["objective"]), float(row["score"])
        steps.setdefault((row["index"], row["area_number"]), []).append(values)
    return [
        Shown(
            {name: values[image] for name, values in arrays.items()},
            rows[image],
            {name: np.array([float(row[name]) for row in points[image]]) for name in points[0][0]},
            [
                np.array(steps.get((rows[image][0]["index"], str(area)), []), float).reshape(-1, 2)
                for area in range(len(rows[image]))
            ],
        )
        for image in range(count)
    ]


def percent(share: float | str) -> str:
    """A share in per cent, short."""
    value = 100 * float(share)
    if value != value:
        return "n/a"
    if 0 < value < 0.01:
        return "< 0.01 %"
    if value >= 10:
        return "> 99.9 %" if 99.95 <= value < 100 else f"{value:.3g} %"
    return f"{value:.2g} %"


def spoken(baseline: str) -> str:
    """The name of a baseline as it is written in prose."""
    return "Grad-CAM" if baseline == "grad_cam" else baseline.replace("_", " ")


def _parts(rows: Sequence[Row], count: int) -> list[list[Row]]:
    each = len(rows) // count
    return [list(rows[start : start + each]) for start in range(0, len(rows), each)]
