"""Proper scores and calibration, by hand and against scikit-learn and torchmetrics."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor
from torchmetrics.functional.classification import multiclass_calibration_error

from ibdrop.merit import (
    adaptive_calibration_error,
    brier_score,
    expected_calibration_error,
    negative_log_likelihood,
)
from ibdrop.sampling.predictive import Predictive

SATURATED = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05], [0.95, 0.05]])
ONE_WRONG = torch.tensor([0, 1, 0, 0])


def test_a_confidence_of_one_lies_in_the_last_bin() -> None:
    assert expected_calibration_error(SATURATED, ONE_WRONG, 10).item() == pytest.approx(0.225)
    # The defect of torchmetrics that is avoided here; should it go, use theirs.
    theirs = multiclass_calibration_error(SATURATED, ONE_WRONG, 2, n_bins=10)
    assert theirs.item() == pytest.approx(0.275)


def test_nll_and_brier_equal_scikit_learn(found: Predictive, labels: Tensor) -> None:
    p, y = found.mean, labels.numpy()
    p = p / p.sum(1, keepdim=True)
    classes = list(range(p.shape[1]))
    nll = log_loss(y, p.numpy(), labels=classes)
    assert negative_log_likelihood(p, labels).item() == pytest.approx(nll, rel=1e-12)
    brier = brier_score_loss(y, p.numpy(), labels=classes, scale_by_half=False)
    assert brier_score(p, labels).item() == pytest.approx(brier, rel=1e-12)


def test_nll_of_a_mixture_is_that_of_the_mean_probability(
    found: Predictive, labels: Tensor
) -> None:
    of_truth = found.means.log().gather(2, labels.expand(5, -1)[..., None])[..., 0]
    mixture = math.log(5) - of_truth.logsumexp(0)
    assert negative_log_likelihood(found.mean, labels).item() == pytest.approx(
        mixture.mean().item(), rel=1e-12
    )


def test_a_probability_of_zero_does_not_make_the_nll_infinite() -> None:
    nll = negative_log_likelihood(torch.tensor([[1.0, 0.0]]), torch.tensor([1]))
    assert nll.item() == pytest.approx(300 * math.log(10))


def test_adaptive_bins_by_hand() -> None:
    confidence = torch.tensor([0.9, 0.6, 0.8, 0.7], dtype=torch.float64)
    p = torch.stack([confidence, 1 - confidence], 1)
    labels = torch.tensor([0, 1, 1, 0])
    # Sorted: 0.6 wrong, 0.7 right | 0.8 wrong, 0.9 right.
    wanted = (abs(1 - 1.3) + abs(1 - 1.7)) / 4
    assert adaptive_calibration_error(p, labels, 2).item() == pytest.approx(wanted)
    assert adaptive_calibration_error(p, labels, 99).item() == pytest.approx(
        (0.6 + 0.3 + 0.8 + 0.1) / 4
    )


def test_adaptive_bins_against_a_loop(found: Predictive, labels: Tensor) -> None:
    p = found.mean
    order = p.max(1).values.argsort()
    right = (p.argmax(1) == labels)[order].double().numpy()
    confidence = p.max(1).values[order].numpy()
    wanted = sum(
        len(part) / 300 * abs(right[part].mean() - confidence[part].mean())
        for part in np.arange(300).reshape(15, 20)
    )
    assert adaptive_calibration_error(p, labels).item() == pytest.approx(wanted, rel=1e-12)


def test_adaptive_bins_share_ties_whatever_the_order() -> None:
    p, labels = SATURATED.double(), ONE_WRONG
    orders = torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [3, 1, 2, 0]])
    values = {adaptive_calibration_error(p[o], labels[o], 4).item() for o in orders}
    assert len(values) == 1
    assert values.pop() == pytest.approx((0.5 + 0.5 + 0.05 + 0.05) / 4)
