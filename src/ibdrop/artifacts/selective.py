"""Selective prediction: how right the network is on the images it is surest of."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ibdrop.artifacts.plotting import BLUE, COLOURS, GREEN, GREY, INK, RED, WIDTH, save, styled
from ibdrop.files import read_csv, write_csv
from ibdrop.merit import aurc, auroc_of_error, excess_aurc, risk_coverage, scores
from ibdrop.sampling.predictive import Predictive

__all__ = ["draw", "write_selective"]

POINTS = 1000
COVERAGES = (0.99, 0.95, 0.9, 0.8)
SAMPLED = ("entropy", "mutual_information", "variance")
PLAIN = "deterministic_entropy"

LOOKS: dict[tuple[str, str], dict[str, Any]] = {
    ("deterministic", "entropy"): {"color": BLUE, "linestyle": "--"},
    ("monte carlo", "entropy"): {"color": BLUE},
    ("monte carlo", "mutual_information"): {"color": RED},
    ("monte carlo", "variance"): {"color": GREEN},
    ("deterministic", "oracle"): {"color": GREY, "linestyle": "--", "linewidth": 1.2},
    ("monte carlo", "oracle"): {"color": GREY, "linewidth": 1.2},
    ("monte carlo", "random"): {"color": INK, "linestyle": ":", "linewidth": 1.2},
}


class Curve(NamedTuple):
    """What orders the images, and which of them are wrong."""

    prediction: str
    score: str
    values: Tensor
    wrong: Tensor


def write_selective(
    folder: Path, found: Predictive, labels: Tensor, sampled: bool = True
) -> list[Path]:
    """Writes risk against coverage for each score, their areas, and a picture.

    `selective.csv` has at most 1,000 coverages of each curve; the areas of
    `selective_summary.csv` are of all images. The oracle puts all mistakes last; at random the
    error is the same at every coverage.

    Arguments:
        folder: Where to write.
        found: What the passes say of :math:`N` images.
        labels: True classes, with shape :math:`(N)`.
        sampled: Whether the noise was on; if not, all is deterministic, and the disagreement is
            that of several networks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = _curves(found, labels.to(found.means.device), sampled)
    table = write_csv(folder / "selective.csv", [row for curve in curves for row in _rows(curve)])
    summary = write_csv(folder / "selective_summary.csv", [_areas(curve) for curve in curves])
    return [save(draw(table, summary), folder / "selective.png"), table, summary]


def _curves(found: Predictive, labels: Tensor, sampled: bool) -> list[Curve]:
    unsure = scores(found)
    plain, wrong = (p.argmax(1) != labels for p in (found.deterministic, found.mean))
    kind = "monte carlo" if sampled else "deterministic"
    beside = [
        Curve("deterministic", "entropy", unsure[PLAIN], plain),
        Curve("deterministic", "oracle", plain.double(), plain),
    ]
    names = SAMPLED if found.passes > 1 else SAMPLED[:1]
    return [
        *(beside if sampled else []),
        *(Curve(kind, name, unsure[name], wrong) for name in names),
        Curve(kind, "oracle", wrong.double(), wrong),
        Curve(kind, "random", torch.zeros_like(unsure["entropy"]), wrong),
    ]


def _rows(curve: Curve) -> list[dict[str, Any]]:
    coverage, risk = (values.cpu() for values in risk_coverage(curve.values, curve.wrong))
    places = torch.linspace(0, len(risk) - 1, min(POINTS, len(risk))).round().long()
    named = {"prediction": curve.prediction, "score": curve.score}
    pairs = zip(coverage[places].tolist(), risk[places].tolist(), strict=True)
    return [{**named, "coverage": c, "risk": r, "accuracy": 1 - r} for c, r in pairs]


def _areas(curve: Curve) -> dict[str, Any]:
    values, wrong = curve.values, curve.wrong
    risk = risk_coverage(values, wrong)[1]
    kept = {c: max(1, round(c * len(risk))) for c in COVERAGES}
    return {
        "prediction": curve.prediction,
        "score": curve.score,
        "aurc": aurc(values, wrong).item(),
        "excess_aurc": excess_aurc(values, wrong).item(),
        "auroc_of_error": auroc_of_error(values, wrong),
        **{f"accuracy_at_{c:g}": 1 - risk[n - 1].item() for c, n in kept.items()},
        "accuracy": 1 - risk[-1].item(),
    }


@styled
def draw(table: Path, summary: Path) -> Figure:
    """Draws accuracy and error of the surest images against their share.

    Arguments:
        table: `selective.csv`.
        summary: `selective_summary.csv`.
    """
    rows, areas = read_csv(table), read_csv(summary)
    figure = Figure(figsize=(WIDTH, 4.6))
    left, right = figure.subplots(1, 2)
    for area in areas:
        name = area["prediction"], area["score"]
        look = LOOKS.get(name) or LOOKS.get(("monte carlo", name[1]), {"color": COLOURS[-1]})
        points = [row for row in rows if (row["prediction"], row["score"]) == name]
        coverage, risk = (
            np.array([float(row[k]) for row in points]) for k in ("coverage", "risk")
        )
        label = f"{name[0]}: {name[1].replace('_', ' ')} (AURC {float(area['aurc']):.2g})"
        left.plot(100 * coverage, 100 * (1 - risk), label=label, **look)
        right.plot(100 * coverage, np.where(risk > 0, 100 * risk, np.nan), **look)
    worst = max(1 - float(area["accuracy"]) for area in areas)
    _label(left, right, worst)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _label(left: Axes, right: Axes, worst: float) -> None:
    left.set(title="Accuracy of the images kept", ylabel="accuracy (%)")
    right.set(title="Error of the images kept", ylabel="error (%), log scale", yscale="log")
    if worst > 0:
        left.set_ylim(100 - 130 * worst, 100 + 5 * worst)
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    for axes in (left, right):
        axes.set(xlabel="images kept, the least uncertain first (%)", xlim=(0, 100.5))
