"""The Lagrangian: each term, its normalisation, and what beta means."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.learning.objective import InformationWeight, objective
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy


def prediction(batch: int = 6, *, kl: bool = True) -> tuple[Prediction, Tensor]:
    torch.manual_seed(0)
    logits = torch.randn(batch, 4, dtype=torch.float64, requires_grad=True)
    z = torch.rand(batch, 3, 2, 2, dtype=torch.float64)
    layers = {"D0": Noisy(z, z.square() if kl else None), "D1": Noisy(z, z if kl else None)}
    return Prediction(logits, layers), torch.arange(batch) % 4


def test_terms_add_up() -> None:
    predicted, labels = prediction()
    terms = objective(predicted, labels, b=0.25)
    by_hand = sum(kl.sum().item() for kl in predicted.kls.values()) / 6
    assert terms.kl.item() == pytest.approx(by_hand)
    cross_entropy = F.cross_entropy(predicted.logits.float(), labels).item()
    assert terms.cross_entropy.item() == pytest.approx(cross_entropy)
    assert terms.loss.item() == pytest.approx(cross_entropy + 0.25 * by_hand)
    assert list(terms.layers) == ["D0", "D1"]


def test_zero_beta_is_cross_entropy_exactly() -> None:
    predicted, labels = prediction()
    assert (
        objective(predicted, labels, 0.0).loss == objective(predicted, labels, 0.0).cross_entropy
    )


def test_without_kl_beta_has_no_effect() -> None:
    predicted, labels = prediction(kl=False)
    terms = objective(predicted, labels, 1e9)
    assert terms.loss == terms.cross_entropy
    assert terms.kl == 0


def test_duplicating_a_batch_changes_nothing() -> None:
    predicted, labels = prediction()
    layers = {
        name: Noisy(torch.cat([z, z]), torch.cat([kl, kl]))
        for name, (z, kl, _, _) in predicted.layers.items()
        if kl is not None
    }
    twice = Prediction(torch.cat([predicted.logits] * 2), layers)
    once, doubled = objective(predicted, labels, 0.1), objective(twice, labels.repeat(2), 0.1)
    assert doubled.kl.item() == pytest.approx(once.kl.item(), rel=1e-12)
    assert doubled.loss.item() == pytest.approx(once.loss.item(), rel=1e-6)


def test_paper_units_divide_by_the_number_of_training_images() -> None:
    assert InformationWeight(0.5, "paper", 50_000).at(3) == pytest.approx(1e-5)
    assert InformationWeight(1.0, "nats", 50_000).at(3) == 1.0


def test_warm_up_is_linear_in_epochs() -> None:
    weight = InformationWeight(2.0, "nats", 1, warmup=4)
    assert [weight.at(epoch) for epoch in (0, 1, 2.5, 4, 9)] == [0, 0.5, 1.25, 2, 2]


def test_unknown_units() -> None:
    with pytest.raises(ValueError, match="beta_units: 'bits' is not one of 'paper', 'nats'"):
        InformationWeight(1.0, "bits", 10)


def test_keras_normalisation_weighs_one_nat_as_one_nat() -> None:
    """beta_keras 0.01 summed over a batch of 100 is 50,000 in the paper's units."""
    b = 0.01 * 100
    assert InformationWeight(50_000, "paper", 50_000).at(0) == b
    assert math.log(0.5 / 0.25) * 131_328 == pytest.approx(91_029.6329, abs=1e-3)
