from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scipy.integrate import quad
from scipy.special import dawsn
from torch import Tensor, fx, nn

from ibdrop.noise.gaussian_kl import CONSTANT, dawson, kl_cubic, kl_exact, kl_sigmoid

LOG_ALPHAS = torch.linspace(math.log(1e-8), math.log(1e4), 120, dtype=torch.float64)


def integrated(log_alpha: float) -> float:
    """The definition: the expectation of log |1 + sqrt(alpha) n|, integrated by another library.

    Near the pole at n = -1 / sqrt(alpha) the logarithm is a weight that the rule takes in.
    """
    sd = math.exp(log_alpha / 2)

    def density(n: float) -> float:
        return math.exp(-n * n / 2) / math.sqrt(2 * math.pi)

    def integrand(n: float) -> float:
        return math.log(abs(1 + sd * n)) * density(n)

    pole, pieces = -1 / sd, 0.0
    options: dict[str, Any] = {"epsabs": 1e-13, "epsrel": 1e-11, "limit": 400}
    if pole < -20:
        return CONSTANT - log_alpha / 2 + quad(integrand, -19.0, 19.0, **options)[0]
    for weight, start, end in (("alg-logb", pole - 1, pole), ("alg-loga", pole, pole + 1)):
        pieces += quad(density, start, end, weight=weight, wvar=(0, 0), **options)[0]
        pieces += math.log(sd) * quad(density, start, end, **options)[0]
    pieces += quad(integrand, pole - 20, pole - 1, **options)[0]
    pieces += quad(integrand, pole + 1, 20.0, **options)[0]
    return CONSTANT - log_alpha / 2 + pieces


def test_exact_is_the_integral() -> None:
    expected = torch.tensor([integrated(x) for x in LOG_ALPHAS.tolist()], dtype=torch.float64)
    torch.testing.assert_close(kl_exact(LOG_ALPHAS), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("alpha", [0.01, 0.3, 1.0, 20.0])
def test_exact_by_monte_carlo(alpha: float) -> None:
    generator = torch.Generator().manual_seed(0)
    n = torch.randn(2_000_000, dtype=torch.float64, generator=generator)
    logs = (1 + math.sqrt(alpha) * n).abs().log()
    sampled = CONSTANT - math.log(alpha) / 2 + float(logs.mean())
    error = float(logs.std()) / math.sqrt(len(n))
    exact = float(kl_exact(torch.tensor(math.log(alpha), dtype=torch.float64)))
    assert abs(sampled - exact) < 4 * error


def test_dawson_is_that_of_scipy() -> None:
    s = torch.linspace(0, 12, 4001, dtype=torch.float64)
    torch.testing.assert_close(dawson(s), torch.from_numpy(dawsn(s.numpy())), rtol=0, atol=1e-15)


def test_exact_keeps_its_digits_where_it_is_small() -> None:
    log_alpha = torch.linspace(6, 40, 69, dtype=torch.float64)
    x = torch.exp(-log_alpha) / 2
    series = x - x**2 / 3 + 4 * x**3 / 45 - 2 * x**4 / 105
    torch.testing.assert_close(kl_exact(log_alpha), series, rtol=1e-11, atol=0)


def test_exact_in_float32() -> None:
    found = kl_exact(LOG_ALPHAS.float()).double()
    torch.testing.assert_close(found, kl_exact(LOG_ALPHAS.float().double()), rtol=1e-6, atol=1e-6)


def test_the_gradient_of_exact() -> None:
    log_alpha = torch.linspace(-18, 9, 55, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(kl_exact, (log_alpha,))
    assert torch.autograd.gradgradcheck(kl_exact, (log_alpha,))
    s = (1 / (2 * log_alpha.exp())).sqrt().detach()
    (found,) = torch.autograd.grad(kl_exact(log_alpha).sum(), log_alpha)
    torch.testing.assert_close(found, -s * torch.from_numpy(dawsn(s.numpy())), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kl", [kl_exact, kl_sigmoid])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_both_ends_are_finite(kl: Callable[[Tensor], Tensor], dtype: torch.dtype) -> None:
    log_alpha = torch.tensor([-1e4, -200.0, -5.663, 200.0, 1e4], dtype=dtype, requires_grad=True)
    nats = kl(log_alpha)
    (gradient,) = torch.autograd.grad(nats.sum(), log_alpha)
    assert nats.isfinite().all()
    assert float(nats.detach()[-1]) == 0
    assert gradient.isfinite().all()
    assert float(gradient[0]) == pytest.approx(-0.5)


def test_sigmoid_is_as_close_as_published() -> None:
    log_alpha = torch.linspace(-30, 30, 6001, dtype=torch.float64)
    assert float((kl_sigmoid(log_alpha) - kl_exact(log_alpha)).abs().max()) < 0.0094


def test_sigmoid_is_the_published_formula() -> None:
    log_alpha = torch.linspace(-6, 6, 25, dtype=torch.float64)
    k1, k2, k3 = 0.63576, 1.87320, 1.48695
    negative = k1 * torch.sigmoid(k2 + k3 * log_alpha) - torch.log1p(log_alpha.neg().exp()) / 2
    torch.testing.assert_close(kl_sigmoid(log_alpha), k1 - negative)


def test_cubic_is_as_close_as_a_constant_allows() -> None:
    alpha = torch.linspace(1e-6, 1, 20001, dtype=torch.float64)
    gap = kl_cubic(alpha.log()) - kl_exact(alpha.log())
    assert float(gap.max()) == pytest.approx(-float(gap.min()), abs=2e-5)
    assert float(gap.abs().max()) < 0.0202


def test_cubic_is_the_published_formula_up_to_its_constant() -> None:
    alpha = torch.linspace(0.01, 1, 100, dtype=torch.float64)
    published = 0.5 * alpha.log() + 1.16145124 * alpha - 1.50204118 * alpha**2
    published = published + 0.58629921 * alpha**3
    rest = kl_cubic(alpha.log()) + published
    torch.testing.assert_close(rest, torch.full_like(rest, 0.655352))


def test_the_numbers_in_the_docstrings() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    assert math.isclose(CONSTANT, (0.5772156649015329 + math.log(2)) / 2)
    assert round(float(kl_exact(zero)), 6) == 0.426686
    assert round(float(kl_cubic(zero)), 3) == 0.410


def test_exact_is_one_node_of_a_traced_network() -> None:
    class Price(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return kl_exact(x) + 1

    graph = fx.symbolic_trace(Price())
    x = torch.randn(5)
    assert torch.equal(graph(x), kl_exact(x) + 1)
    assert len(graph.graph.nodes) == 4
