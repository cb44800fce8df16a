"""The two rows: names, agreement with the single figures, standard errors."""

from __future__ import annotations

import math
import time

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, roc_auc_score
from torch import Tensor

from ibdrop.merit import aurc, figures, most_uncertain, plain_figures, scores
from ibdrop.sampling.predictive import Predictive

SHARED = (
    "images",
    "accuracy",
    "error",
    "nll",
    "brier",
    "ece",
    "adaptive_ece",
    "aurc",
    "mean_entropy",
    "auroc_of_error_by_entropy",
    "auroc_of_error_by_max_probability",
    "most_uncertain",
    "error_of_most_uncertain",
    "times_overall_error",
)
SAMPLED = (
    "mean_expected_entropy",
    "mean_mutual_information",
    "mean_variance",
    "auroc_of_error_by_expected_entropy",
    "auroc_of_error_by_mutual_information",
    "auroc_of_error_by_variance",
    "auroc_of_error_by_variation_ratio",
    "auroc_of_error_by_logit_mean_entropy",
)


def test_names(found: Predictive, labels: Tensor) -> None:
    plain, sampled = figures(found, labels)
    assert set(plain) == {"prediction", "passes", *SHARED}
    estimates = [name for name in SHARED + SAMPLED if name not in ("images", "most_uncertain")]
    errors = [f"{name}_se" for name in estimates]
    assert set(sampled) == {"prediction", "passes", *SHARED, *SAMPLED, *errors}
    assert (plain["prediction"], plain["passes"]) == ("deterministic", 1)
    assert (sampled["prediction"], sampled["passes"]) == ("monte carlo", 5)


def test_values(found: Predictive, labels: Tensor) -> None:
    _, row = figures(found, labels)
    p, y = found.mean, labels.numpy()
    wrong = p.argmax(1) != labels
    assert row["accuracy"] == pytest.approx(accuracy_score(y, p.argmax(1).numpy()))
    assert row["error"] == pytest.approx(1 - row["accuracy"])
    assert row["nll"] == pytest.approx(log_loss(y, p.numpy(), labels=range(4)))
    assert row["mean_mutual_information"] == pytest.approx(
        row["mean_entropy"] - row["mean_expected_entropy"]
    )
    assert row["aurc"] == aurc(found.entropy, wrong).item()
    for name, score in scores(found).items():
        if name == "energy" or name.startswith("deterministic"):
            continue
        wanted = roc_auc_score(wrong.numpy(), score.numpy())
        assert row[f"auroc_of_error_by_{name}"] == pytest.approx(wanted)
    assert row["times_overall_error"] == row["error_of_most_uncertain"] / row["error"]


def test_deterministic_row_is_that_of_the_probabilities(found: Predictive, labels: Tensor) -> None:
    plain, _ = figures(found, labels)
    wanted = plain_figures(found.deterministic, labels)
    assert plain == {"prediction": "deterministic", "passes": 1, **wanted}


def test_standard_error_of_the_accuracy_against_a_loop(found: Predictive, labels: Tensor) -> None:
    _, row = figures(found, labels)
    kept = [found.means[[s for s in range(5) if s != r]].mean(0) for r in range(5)]
    values = torch.stack([(p.argmax(1) == labels).double().mean() for p in kept])
    wanted = (4 / 5 * (values - values.mean()).square().sum()).sqrt()
    assert row["accuracy_se"] == pytest.approx(wanted.item())


def test_standard_error_of_a_mean_is_the_usual_one() -> None:
    """Means over groups are linear in them, so the jackknife equals s / sqrt(R)."""
    logits = torch.randn(8, 60, 3, generator=torch.Generator().manual_seed(0)).double()
    found = Predictive.of_logits(logits)
    _, row = figures(found, torch.zeros(60, dtype=torch.long))
    groups = found.entropies.mean(1)
    usual = groups.std() / math.sqrt(8)
    assert row["mean_expected_entropy_se"] == pytest.approx(usual.item())


def test_one_pass_has_no_standard_errors_and_equals_the_deterministic_row(
    found: Predictive, labels: Tensor
) -> None:
    single = Predictive.of_logits(found.logits[:1])
    plain, sampled = figures(single, labels)
    for name in SHARED:
        assert sampled[name] == pytest.approx(plain[name])
    assert sampled["mean_mutual_information"] == pytest.approx(0, abs=1e-15)
    assert math.isnan(sampled["nll_se"])


def test_no_mistake_leaves_no_multiple_of_it() -> None:
    row = plain_figures(torch.eye(3), torch.arange(3))
    assert row["error"] == 0
    assert math.isnan(row["times_overall_error"])
    assert math.isnan(row["auroc_of_error_by_entropy"])


@pytest.mark.parametrize(("images", "count"), [(5, 5), (20, 20), (450, 20), (10_000, 100)])
def test_the_most_uncertain_are_one_percent_and_at_least_twenty(images: int, count: int) -> None:
    assert most_uncertain(images) == count


def test_all_figures_of_ten_thousand_images_take_seconds_at_most() -> None:
    random = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(10, 10_000, 10, generator=random)
    found = Predictive.of_logits(logits)
    started = time.process_time()
    figures(found, torch.randint(10, (10_000,), generator=random))
    # A third of a second on a quiet machine.
    assert time.process_time() - started < 3
