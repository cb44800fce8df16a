from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.information import (
    WINDOW,
    entropy,
    kl_log_normal,
    kl_log_normal_of_logs,
    kl_log_uniform,
    kl_log_uniform_of_logs,
    log_normal_mean,
    log_normal_variance,
)

DRAWS = 2_000_000


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def log_normal_log_density(log_z: Tensor, mu: float, sigma: float) -> Tensor:
    """The density of z itself, at exp(log_z)."""
    normal = torch.distributions.Normal(number(mu), number(sigma))
    return normal.log_prob(log_z) - log_z


def draws(mu: float, sigma: float) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    n = torch.randn(DRAWS, dtype=torch.float64, generator=generator)
    return mu + sigma * n


@pytest.mark.parametrize(("f", "alpha"), [(1.0, 0.35), (0.02, 0.1), (7.0, 0.701)])
def test_log_uniform_by_monte_carlo(f: float, alpha: float) -> None:
    cap = 0.701
    c = 1 / (cap * WINDOW)
    log_z = draws(math.log(f), alpha)
    log_prior = math.log(c) - log_z
    estimate = (log_normal_log_density(log_z, math.log(f), alpha) - log_prior).mean()
    assert float(estimate) == pytest.approx(float(kl_log_uniform(number(alpha), cap)), abs=2e-3)


@pytest.mark.parametrize(
    ("f", "alpha", "mu", "sigma"),
    [(1.7, 0.4, 0.2, 1.1), (0.3, 0.25, 0.0, 1.0), (2.0, 0.9, 1.0, 0.6)],
)
def test_log_normal_by_monte_carlo(f: float, alpha: float, mu: float, sigma: float) -> None:
    log_z = draws(math.log(f), alpha)
    ratio = log_normal_log_density(log_z, math.log(f), alpha) - log_normal_log_density(
        log_z, mu, sigma
    )
    kl = kl_log_normal(number(f).log(), number(alpha), mu, sigma)
    assert float(ratio.mean()) == pytest.approx(float(kl), abs=4e-3)


def test_log_normal_agrees_with_torch() -> None:
    log_f, alpha = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64) + 0.01
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(log_f, alpha), torch.distributions.Normal(0.3, number(1.4))
    )
    torch.testing.assert_close(kl_log_normal(log_f, alpha, 0.3, 1.4), expected)


def test_log_normal_is_zero_on_its_prior_only() -> None:
    assert float(kl_log_normal(number(0.3), number(0.8), 0.3, 0.8)) == pytest.approx(0, abs=1e-15)
    assert float(kl_log_normal(number(0.4), number(0.8), 0.3, 0.8)) > 0


def test_logarithms_reach_where_alpha_underflows() -> None:
    log_alpha = torch.tensor(-200.0)
    assert log_alpha.exp() == 0
    assert float(kl_log_uniform_of_logs(log_alpha, 0.0)) == 200
    zero = torch.tensor(0.0)
    assert float(kl_log_normal_of_logs(zero, log_alpha, 0.0, zero)) == pytest.approx(199.5)


def test_gradient_reaches_a_learned_prior() -> None:
    mu, sigma = number(0.1).requires_grad_(), number(1.2).requires_grad_()
    kl_log_normal(number(0.5), number(0.4), mu, sigma).backward()
    assert mu.grad is not None
    assert sigma.grad is not None
    assert float(mu.grad) == pytest.approx((0.1 - 0.5) / 1.2**2)
    expected = 1 / 1.2 - (0.4**2 + 0.4**2) / 1.2**3
    assert float(sigma.grad) == pytest.approx(expected)


def test_entropy_of_zeros_and_of_the_uniform() -> None:
    p = torch.tensor([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0]])
    expected = torch.tensor([0, math.log(4), math.log(2)])
    torch.testing.assert_close(entropy(p), expected)
    torch.testing.assert_close(entropy(p.T, dim=0), expected)


@pytest.mark.parametrize("unit_mean", [False, True])
def test_moments_by_monte_carlo(unit_mean: bool) -> None:
    alpha = number(0.5)
    eps = draws(-0.125 if unit_mean else 0.0, 0.5).exp()
    assert float(eps.mean()) == pytest.approx(float(log_normal_mean(alpha, unit_mean)), abs=2e-3)
    expected = float(log_normal_variance(alpha, unit_mean))
    assert float(eps.var()) == pytest.approx(expected, abs=4e-3)


def test_window() -> None:
    assert pytest.approx(4.132731, abs=1e-6) == WINDOW
    assert math.log(WINDOW) == pytest.approx(1.418939, abs=1e-6)
