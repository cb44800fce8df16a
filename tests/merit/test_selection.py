"""Risk, coverage and ranks: by hand, by brute force over all orders, against scikit-learn."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

from ibdrop.merit import (
    aurc,
    auroc,
    auroc_of_error,
    error_of_most_uncertain,
    excess_aurc,
    risk_coverage,
)

SCORE = torch.tensor([0.3, 0.1, 0.2, 0.4])
WRONG = torch.tensor([True, False, False, False])
TIED = torch.tensor([0.1, 0.2, 0.2, 0.2, 0.7])
TIED_WRONG = torch.tensor([False, True, False, True, False])


def test_risk_and_coverage_by_hand() -> None:
    coverage, risk = risk_coverage(SCORE, WRONG)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 4])
    assert aurc(SCORE, WRONG).item() == pytest.approx(7 / 48)
    # An oracle would put the mistake last: 1/4 at full coverage, nothing before.
    assert excess_aurc(SCORE, WRONG).item() == pytest.approx(7 / 48 - 1 / 16)
    assert excess_aurc(WRONG.double(), WRONG).item() == 0


def every_order(score: Tensor, wrong: Tensor) -> list[Tensor]:
    """The mistakes in each order of rising score that ties permit."""
    return [
        wrong[list(order)].double()
        for order in permutations(range(len(score)))
        if (score[list(order)].diff() >= 0).all()
    ]


def test_ties_give_the_mean_over_all_their_orders() -> None:
    orders = every_order(TIED, TIED_WRONG)
    assert len(orders) == 6
    risks = torch.stack([order.cumsum(0) / torch.arange(1, 6) for order in orders])
    coverage, risk = risk_coverage(TIED, TIED_WRONG)
    assert risk.tolist() == pytest.approx(risks.mean(0).tolist())
    assert aurc(TIED, TIED_WRONG).item() == pytest.approx(risks.mean().item())
    most = torch.stack([order[-2:].mean() for order in orders]).mean()
    assert error_of_most_uncertain(TIED, TIED_WRONG, 2).item() == pytest.approx(most.item())


def test_nothing_depends_on_the_order_of_the_images() -> None:
    random = torch.Generator().manual_seed(0)
    score = torch.randint(0, 9, (200,), generator=random).double()
    wrong = torch.rand(200, generator=random) < 0.3
    shuffled = torch.randperm(200, generator=random)
    for figure in (aurc, excess_aurc, auroc_of_error):
        assert figure(score, wrong) == figure(score[shuffled], wrong[shuffled])
    one, other = (
        error_of_most_uncertain(score[order], wrong[order], 17)
        for order in (torch.arange(200), shuffled)
    )
    assert one == other


def test_a_constant_score_keeps_the_overall_error_at_every_coverage() -> None:
    _, risk = risk_coverage(torch.zeros(4), WRONG)
    assert risk.tolist() == [0.25] * 4


def test_oracle_approaches_the_published_integral() -> None:
    wrong = torch.arange(20_000) < 5_000
    r = 0.25
    wanted = r + (1 - r) * math.log(1 - r)
    assert aurc(wrong.double(), wrong).item() == pytest.approx(wanted, abs=1e-4)


def test_auroc_equals_scikit_learn_beyond_the_unit_interval() -> None:
    random = torch.Generator().manual_seed(0)
    score = torch.randint(-40, 60, (500,), generator=random).double()
    wrong = torch.rand(500, generator=random) < 0.2
    wanted = roc_auc_score(wrong.numpy(), score.numpy())
    assert auroc_of_error(score, wrong) == pytest.approx(wanted, rel=1e-12)
    assert auroc(score[~wrong], score[wrong]).dtype == torch.float64


def test_auroc_by_counting_pairs() -> None:
    pairs = [(a > b) + 0.5 * (a == b) for a in TIED[TIED_WRONG] for b in TIED[~TIED_WRONG]]
    assert auroc_of_error(TIED, TIED_WRONG) == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("wrong", [torch.zeros(4).bool(), torch.ones(4).bool()])
def test_auroc_needs_both_kinds(wrong: Tensor) -> None:
    assert math.isnan(auroc_of_error(SCORE, wrong))
