from __future__ import annotations

import math
import re

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from ibdrop.noise.relaxed import bin_concrete, check_relaxation, kl_bernoulli, logistic, logit

PRIORS = [0.001, 0.1, 0.5, 0.9, 0.999]


def distances(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.logspace(-8, 4, 97, dtype=torch.float64).to(dtype)


def by_integral(delta: float, pi: float) -> float:
    """d KL / d delta = delta q (1 - q), so that no difference is ever taken."""

    def slope(s: float) -> float:
        tail = math.exp(-abs(logit(pi) + s))
        return s * tail / (1 + tail) ** 2

    centre = min(max(-logit(pi), 0.0), delta)
    parts = [quad(slope, *ends, epsrel=1e-12, epsabs=0) for ends in edges(centre, delta)]
    return float(sum(value for value, _ in parts))


def edges(centre: float, delta: float) -> list[tuple[float, float]]:
    inner = sorted({0.0, centre, min(centre + 20, delta), min(centre + 60, delta)})
    return list(zip(inner[:-1], inner[1:], strict=True))


@pytest.mark.parametrize("pi", PRIORS)
def test_divergence_is_its_integral_in_float32(pi: float) -> None:
    delta = distances(torch.float32)
    exact = torch.tensor([by_integral(float(d), pi) for d in delta], dtype=torch.float64)
    found = kl_bernoulli(delta, pi)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("pi", PRIORS)
def test_divergence_is_that_of_torch(pi: float) -> None:
    delta = torch.linspace(0, 12, 121, dtype=torch.float64)
    prior = torch.full_like(delta, pi)
    theirs = kl_divergence(Bernoulli(logits=logit(pi) + delta), Bernoulli(prior))
    torch.testing.assert_close(kl_bernoulli(delta, pi), theirs, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("pi", PRIORS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_divergence_rises_from_nothing_to_its_limit(pi: float, dtype: torch.dtype) -> None:
    delta = torch.cat([torch.zeros(1, dtype=dtype), distances(dtype)])
    kl = kl_bernoulli(delta, pi)
    assert float(kl[0]) == 0
    assert (kl.diff() >= 0).all()
    assert float(kl[-1]) == pytest.approx(-math.log(pi), rel=1e-6)


@pytest.mark.parametrize("pi", PRIORS)
def test_slope_of_the_divergence(pi: float) -> None:
    delta = torch.cat([torch.zeros(1), distances(torch.float32), torch.tensor([1e30])])
    delta.requires_grad_()
    (found,) = torch.autograd.grad(kl_bernoulli(delta, pi).sum(), delta)
    wide = delta.detach().double()
    theta = logit(pi) + wide
    exact = wide * torch.sigmoid(theta) * torch.sigmoid(-theta)
    assert found.isfinite().all()
    torch.testing.assert_close(found.double(), exact, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("pi", PRIORS)
def test_gradient_by_differences(pi: float) -> None:
    delta = torch.tensor([0.01, 0.05, 0.2, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: kl_bernoulli(d, pi), (delta,))


def test_exchanged_outcomes_cost_the_same() -> None:
    q = torch.tensor(0.05, dtype=torch.float64)
    below = kl_bernoulli(logit(0.3) - torch.logit(q), 0.7)
    expected = kl_divergence(Bernoulli(q), Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
    torch.testing.assert_close(below, expected)


def test_logistic_noise() -> None:
    torch.manual_seed(0)
    noise = logistic(torch.empty(400_000, dtype=torch.bfloat16))
    assert noise.dtype == torch.float32
    assert noise.isfinite().all()
    assert float(noise.mean()) == pytest.approx(0, abs=4 * math.pi / math.sqrt(3 * 400_000))
    assert float(noise.std()) == pytest.approx(math.pi / math.sqrt(3), rel=6e-3)


@pytest.mark.parametrize("temperature", [0.01, 0.1, 2 / 3, 2.0, 10.0])
def test_relaxed_draws_round_to_bernoulli_draws(temperature: float) -> None:
    torch.manual_seed(1)
    q = torch.tensor([0.05, 0.5, 0.786, 0.99])
    draws = bin_concrete(torch.logit(q), logistic(torch.empty(200_000, 4)), temperature)
    share = (draws > 0.5).double().mean(0)
    error = (q * (1 - q) / 200_000).sqrt()
    assert ((share - q).abs() < 4 * error).all()


@pytest.mark.parametrize("temperature", [0.1, 2 / 3, 2.0])
def test_relaxed_draws_have_their_distribution_function(temperature: float) -> None:
    torch.manual_seed(2)
    theta = 0.7
    like = torch.empty(200_000, dtype=torch.float64)
    draws = bin_concrete(torch.tensor(theta, dtype=torch.float64), logistic(like), temperature)
    at = torch.tensor([0.02, 0.2, 0.5, 0.8, 0.98], dtype=torch.float64)
    share = (draws[:, None] <= at).double().mean(0)
    expected = torch.sigmoid(temperature * torch.logit(at) - theta)
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 200_000).sqrt()).all()


def test_small_temperatures_give_zeros_and_ones() -> None:
    torch.manual_seed(3)
    draws = bin_concrete(torch.tensor(1.0), logistic(torch.empty(100_000)), 1e-4)
    assert ((draws < 1e-3) | (draws > 1 - 1e-3)).double().mean() > 0.998
    assert float(draws.mean()) == pytest.approx(float(torch.sigmoid(torch.tensor(1.0))), abs=6e-3)


@pytest.mark.parametrize("temperature", [0.01, 2 / 3, 10.0])
def test_relaxed_draws_are_finite_at_both_ends(temperature: float) -> None:
    theta = torch.tensor([-1e4, -50.0, 0.0, 30.0, 1e4], requires_grad=True)
    draws = bin_concrete(theta, logistic(torch.empty(1000, 5)), temperature)
    draws.sum().backward()
    assert draws.isfinite().all()
    assert theta.grad is not None
    assert theta.grad.isfinite().all()


@pytest.mark.parametrize(
    ("temperature", "evaluation", "message"),
    [
        (0.0, "hard", "temperature=0.0: must be a positive number."),
        (-1.0, "hard", "temperature=-1.0: must be a positive number."),
        (math.inf, "hard", "temperature=inf: must be a positive number."),
        (math.nan, "hard", "temperature=nan: must be a positive number."),
        (1.0, "firm", "evaluation=firm: must be one of hard, soft."),
    ],
)
def test_ranges(temperature: float, evaluation: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_relaxation(temperature, evaluation)
