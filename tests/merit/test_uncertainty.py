"""Scores by name, and detection: by hand, against scikit-learn and torchmetrics."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

from ibdrop.merit import detection, scores
from ibdrop.sampling.predictive import Predictive, entropy


def test_scores_of_two_passes_by_hand() -> None:
    p = torch.tensor([[[0.9, 0.1]], [[0.3, 0.7]]], dtype=torch.float64)
    plain = torch.tensor([[0.8, 0.2]], dtype=torch.float64)
    values = {k: v.item() for k, v in scores(Predictive.of_logits(p.log(), plain)).items()}

    def h(x: float) -> float:
        return entropy(torch.tensor([x, 1 - x], dtype=torch.float64)).item()

    geometric = torch.tensor([[0.27, 0.07]], dtype=torch.float64).sqrt()
    wanted = {
        "max_probability": 0.4,
        "entropy": h(0.6),
        "expected_entropy": (h(0.9) + h(0.3)) / 2,
        "mutual_information": h(0.6) - (h(0.9) + h(0.3)) / 2,
        "variance": 2 * 0.3**2,
        "variation_ratio": 0.5,
        "logit_mean_entropy": entropy(geometric / geometric.sum()).item(),
        "energy": -geometric.sum().log().item(),
        "deterministic_entropy": h(0.8),
        "deterministic_max_probability": 0.2,
    }
    assert values == pytest.approx(wanted, rel=1e-12)


def test_groups_of_unequal_size_weigh_by_their_passes() -> None:
    logits = torch.tensor([[[1.0, 0.0]], [[0.0, 4.0]]], dtype=torch.float64)
    one = Predictive.of_logits(logits)
    found = Predictive(
        (3, 1), one.means, one.entropies, one.squares, one.votes, one.logits, one.deterministic
    )
    wanted = -torch.tensor([0.75, 1.0], dtype=torch.float64).logsumexp(0)
    assert scores(found)["energy"].item() == pytest.approx(wanted.item())


def test_fpr_at_95_percent_by_hand() -> None:
    """20 outliers score 1 to 20: flagging 19 needs the threshold 2."""
    outside = torch.arange(1, 21).double()
    inside = torch.tensor([0.0, 1.0, 1.5, 2.0, 2.5, 30.0], dtype=torch.float64)
    assert detection(inside, outside)["fpr95"] == 3 / 6
    # One more outlier at the bottom: 20 of 21 must be flagged, 19 of 21 are too few.
    outside = torch.cat([outside, torch.tensor([0.5], dtype=torch.float64)])
    assert detection(inside, outside)["fpr95"] == 5 / 6


def test_fpr_against_a_loop() -> None:
    random = torch.Generator().manual_seed(0)
    for outliers in (1, 7, 20, 40, 57, 100):
        inside = torch.randint(0, 30, (50,), generator=random).double()
        outside = torch.randint(5, 35, (outliers,), generator=random).double()
        enough = [t for t in outside.tolist() if 20 * (outside >= t).sum() >= 19 * outliers]
        wanted = (inside >= max(enough)).double().mean().item()
        assert detection(inside, outside)["fpr95"] == wanted


def test_detection_equals_scikit_learn() -> None:
    random = torch.Generator().manual_seed(1)
    inside = torch.randint(-30, 40, (80,), generator=random).double()
    outside = torch.randint(-10, 90, (50,), generator=random).double()
    score = torch.cat([inside, outside]).numpy()
    outlying = [0] * 80 + [1] * 50
    found = detection(inside, outside)
    assert found["auroc"] == pytest.approx(roc_auc_score(outlying, score))
    assert found["aupr_out"] == pytest.approx(average_precision_score(outlying, score), abs=1e-6)
    known = [1 - y for y in outlying]
    assert found["aupr_in"] == pytest.approx(average_precision_score(known, -score), abs=1e-6)


def test_perfect_and_useless_detection() -> None:
    low, high = torch.zeros(5).double(), torch.ones(3).double()
    perfect = detection(low, high)
    assert perfect == {"auroc": 1, "aupr_in": 1, "aupr_out": 1, "fpr95": 0}
    useless = detection(low, low[:3])
    assert useless == pytest.approx(
        {"auroc": 0.5, "aupr_in": 5 / 8, "aupr_out": 3 / 8, "fpr95": 1}
    )


def test_detection_needs_both_kinds() -> None:
    words = "^0 images of the known kind and 2 outliers; detection needs at least one of each$"
    with pytest.raises(ValueError, match=words):
        detection(torch.zeros(0), torch.zeros(2))


def test_entropy_of_outliers_is_that_of_outliers(found: Predictive) -> None:
    """A known library reported the entropy of the known images for the outliers as well."""
    flat = torch.zeros_like(found.logits)
    outside = scores(Predictive.of_logits(flat))["entropy"]
    inside: Tensor = scores(found)["entropy"]
    assert outside.tolist() == pytest.approx([torch.tensor(4.0).log().item()] * 300)
    assert inside.max() < outside.min()
    assert detection(inside, outside)["auroc"] == 1
