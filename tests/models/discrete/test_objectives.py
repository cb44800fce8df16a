from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.models.discrete.binary import BinConcrete
from ibdrop.models.discrete.estimators import Draw
from ibdrop.models.discrete.objectives import (
    OBJECTIVES,
    check_objective,
    multi_sample,
    price,
)

UNITS = BinConcrete()
TEMPERATURES = (2 / 3, 1 / 2)
Y = torch.linspace(-100, 100, 8001, dtype=torch.float64)
POSTERIORS = torch.linspace(-8, 8, 161, dtype=torch.float64)[:, None]


class OneLatent(NamedTuple):
    """A binary latent with a prior, and pixels that depend on it."""

    prior: Tensor
    weight: Tensor
    bias: Tensor
    x: Tensor

    def log_likelihood(self, code: Tensor) -> Tensor:
        output = code[..., None] * self.weight + self.bias
        return -F.binary_cross_entropy_with_logits(
            output, self.x.expand_as(output), reduction="none"
        ).sum(-1)


def one_latent(seed: int, pixels: int = 5) -> OneLatent:
    random = torch.Generator().manual_seed(seed)
    draws = torch.randn(3, pixels, generator=random, dtype=torch.float64)
    return OneLatent(draws[0, :1], 2 * draws[1], draws[2], (draws[0] > 0).double())


def best(model: OneLatent, objective: str) -> float:
    """The optimum over the posterior of an objective, every expectation by quadrature."""
    z = UNITS.soft(Y)
    density = UNITS.log_density(Y, POSTERIORS, TEMPERATURES[0]).exp()
    draw = Draw(POSTERIORS.expand(-1, len(Y)), z.expand(len(POSTERIORS), -1), Y)
    cost = price(UNITS, draw, model.prior, objective, TEMPERATURES)
    inside = model.log_likelihood(UNITS.embed(z)) - cost
    return torch.trapezoid(density * inside, Y).max().item()


def relaxed_log_likelihood(model: OneLatent) -> float:
    prior = UNITS.log_density(Y, model.prior, TEMPERATURES[1])
    inside = prior + model.log_likelihood(UNITS.embed(UNITS.soft(Y)))
    return torch.trapezoid(inside.exp(), Y).log().item()


def test_only_densities_make_a_bound() -> None:
    """Forty random models: how often does the optimum lie above the relaxed log-likelihood?"""
    models = [one_latent(seed) for seed in range(40)]
    truth = [relaxed_log_likelihood(model) for model in models]
    above = {
        objective: sum(
            best(model, objective) > value + 1e-9
            for model, value in zip(models, truth, strict=True)
        )
        for objective in OBJECTIVES
    }
    assert above["density"] == 0
    assert above["relaxed_mass"] > 20
    assert above["analytic"] > 20


def test_prices_of_a_hard_draw_average_to_the_analytic_one() -> None:
    logits, prior = torch.tensor([0.8]), torch.tensor([-0.3])
    p = UNITS.probabilities(logits)
    masses = [
        price(UNITS, Draw(logits, torch.tensor([state])), prior, "relaxed_mass", TEMPERATURES)
        for state in (0.0, 1.0)
    ]
    exact = price(UNITS, Draw(logits, p), prior, "analytic", TEMPERATURES)
    torch.testing.assert_close((1 - p) * masses[0] + p * masses[1], exact)


def test_a_draw_that_was_not_relaxed_has_no_density() -> None:
    with pytest.raises(ValueError, match="a draw that was not relaxed has no density"):
        price(UNITS, Draw(Y, Y), Y, "density", TEMPERATURES)


def test_the_multi_sample_bound_rises_to_the_log_likelihood() -> None:
    """The mean of L_m over many draws of importance weights with mean 1."""
    random = torch.Generator().manual_seed(0)
    log_w = torch.randn(4000, 128, generator=random, dtype=torch.float64) - 0.5
    bounds = [multi_sample(log_w.view(-1, m), 1).mean().item() for m in (1, 2, 8, 32, 128)]
    assert bounds == sorted(bounds)
    assert bounds[0] == pytest.approx(-0.5, abs=0.01)
    assert -0.01 < bounds[-1] < 0


def test_one_sample_is_itself() -> None:
    log_w = torch.tensor([[-3.0], [-700.0]])
    assert multi_sample(log_w, 1).tolist() == [-3.0, -700.0]
    assert multi_sample(torch.full((4,), -900.0)).item() == pytest.approx(-900)
    assert math.isfinite(multi_sample(torch.tensor([-1e5, -1.0])).item())


@pytest.mark.parametrize(
    ("objective", "estimator", "sentence"),
    [
        ("elbo", "concrete", "objective=elbo: must be one of density, relaxed_mass, analytic"),
        ("density", "reinforce", "estimator=reinforce: must be one of concrete, gumbel_softmax"),
        ("density", "straight_through", "is for estimator=concrete only; with straight_through"),
    ],
)
def test_what_does_not_go_together(objective: str, estimator: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        check_objective(objective, estimator)
