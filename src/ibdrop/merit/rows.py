"""The two rows of every table: the deterministic network and its Monte Carlo average."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ibdrop.merit.calibration import (
    adaptive_calibration_error,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
)
from ibdrop.merit.selection import aurc, auroc_of_error, error_of_most_uncertain
from ibdrop.merit.uncertainty import scores
from ibdrop.sampling.predictive import Predictive, entropy

__all__ = ["figures", "most_uncertain", "plain_figures"]

LEAST = 20
FINDERS = (
    "entropy",
    "expected_entropy",
    "mutual_information",
    "variance",
    "variation_ratio",
    "logit_mean_entropy",
    "max_probability",
)
"""The uncertainties that are asked to find the mistakes."""

MEANS = ("expected_entropy", "mutual_information", "variance")
"""The uncertainties, besides entropy, whose mean is a figure."""

COUNTS = ("images", "most_uncertain")
"""Figures that are no estimates and have no standard error."""


def most_uncertain(images: int) -> int:
    """How many images are the most uncertain ones: 1 %, at least 20, at most all."""
    return max(min(LEAST, images), round(0.01 * images))


def figures(found: Predictive, labels: Tensor) -> list[dict[str, Any]]:
    """All figures of merit, as the rows "deterministic" and "monte carlo".

    The NLL of the second is that of the mixture, -log of the mean probability. Its figures have
    a Monte Carlo standard error each, `NAME_se`, by the jackknife over groups of passes: what
    more passes would change. NaN where there is one group only.

    Arguments:
        found: What the passes say of :math:`N` images.
        labels: True classes, with shape :math:`(N)`.
    """
    labels = labels.to(found.means.device)
    plain = {"prediction": "deterministic", "passes": 1}
    sampled: dict[str, Any] = {"prediction": "monte carlo", "passes": found.passes}
    values = _sampled(found, labels)
    spread = found.standard_error(lambda part: _estimates(_sampled(part, labels)))
    errors = dict(zip(_names(values), spread.tolist(), strict=True))
    for name, value in values.items():
        sampled[name] = value
        if name in errors:
            sampled[f"{name}_se"] = errors[name]
    return [plain | plain_figures(found.deterministic, labels), sampled]


def plain_figures(p: Tensor, labels: Tensor) -> dict[str, Any]:
    """The figures that need nothing but predictive distributions, of any origin.

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
    """
    p, labels = p.double(), labels.to(p.device)
    found = {"entropy": entropy(p), "max_probability": 1 - p.max(1).values}
    wrong = p.argmax(1) != labels
    return _quality(p, labels, found["entropy"]) | _of_error(found, wrong)


def _sampled(found: Predictive, labels: Tensor) -> dict[str, Any]:
    """The values of the Monte Carlo row."""
    p, unsure = found.mean, scores(found)
    means = {f"mean_{name}": unsure[name].mean().item() for name in MEANS}
    finders = {name: unsure[name] for name in FINDERS}
    quality = _quality(p, labels, unsure["entropy"])
    return quality | means | _of_error(finders, p.argmax(1) != labels)


def _quality(p: Tensor, labels: Tensor, unsure: Tensor) -> dict[str, Any]:
    wrong = p.argmax(1) != labels
    return {
        "images": len(p),
        "accuracy": (~wrong).double().mean().item(),
        "error": wrong.double().mean().item(),
        "nll": negative_log_likelihood(p, labels).item(),
        "brier": brier_score(p, labels).item(),
        "ece": expected_calibration_error(p, labels).item(),
        "adaptive_ece": adaptive_calibration_error(p, labels).item(),
        "aurc": aurc(unsure, wrong).item(),
        "mean_entropy": unsure.mean().item(),
    }


def _of_error(found: dict[str, Tensor], wrong: Tensor) -> dict[str, Any]:
    """How each uncertainty finds the mistakes, and how many the most entropy holds."""
    count, overall = most_uncertain(len(wrong)), wrong.double().mean().item()
    most = error_of_most_uncertain(found["entropy"], wrong, count).item()
    return {
        **{f"auroc_of_error_by_{name}": auroc_of_error(of, wrong) for name, of in found.items()},
        "most_uncertain": count,
        "error_of_most_uncertain": most,
        "times_overall_error": most / overall if overall else math.nan,
    }


def _names(values: dict[str, Any]) -> list[str]:
    return [name for name in values if name not in COUNTS]


def _estimates(values: dict[str, Any]) -> Tensor:
    return torch.tensor([values[name] for name in _names(values)], dtype=torch.float64)
