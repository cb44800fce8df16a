from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm
from torch import Tensor, nn

from ibdrop.noise.base import Noise
from ibdrop.noise.baselines import BinaryNoise, ConstantLogNormalNoise, GaussianNoise, NoNoise
from ibdrop.noise.concrete import ConcreteNoise
from ibdrop.noise.information import InformationNoise
from ibdrop.noise.information_binary import InformationBinaryNoise
from ibdrop.noise.moments import relaxed_second_moment
from ibdrop.noise.relaxed import bin_concrete, logit
from ibdrop.noise.sparse import SparseVariationalNoise
from ibdrop.noise.variational import VariationalNoise

COUNT = 400_000


def drawn(noise: Noise, raw_sd: float) -> tuple[float, float]:
    """The second moment of many draws in training, and its standard error."""
    torch.manual_seed(0)
    f = torch.ones(COUNT, 1, dtype=torch.float64)
    a = torch.randn(COUNT, noise.maps, dtype=torch.float64) * raw_sd if noise.maps else None
    with torch.no_grad():
        squares = noise.train()(f, a, True).z.square()
    return float(squares.mean()), float(squares.std()) / math.sqrt(COUNT)


@pytest.mark.parametrize("raw_sd", [0.0, 1.0])
@pytest.mark.parametrize(
    "make",
    [
        NoNoise,
        partial(BinaryNoise, rate=0.3),
        partial(GaussianNoise, sd=0.8),
        partial(ConstantLogNormalNoise, alpha=0.7),
        partial(ConstantLogNormalNoise, alpha=0.7, unit_mean=True),
        partial(ConcreteNoise, rate=0.3),
        partial(InformationNoise, max_alpha=0.7),
        partial(InformationNoise, max_alpha=0.7, unit_mean=True),
        partial(InformationNoise, parametrisation="squareplus"),
        partial(InformationBinaryNoise, prior=0.4),
        partial(InformationBinaryNoise, prior=0.4, temperature=0.1),
        partial(VariationalNoise, per="layer"),
        partial(VariationalNoise, per="unit", initial_alpha=0.2),
        partial(VariationalNoise, per="input"),
    ],
)
def test_the_draws_of_training_have_it(make: Callable[[int], Noise], raw_sd: float) -> None:
    noise = make(1)
    mean, error = drawn(noise, raw_sd)
    assert noise.second_moment(raw_sd) == pytest.approx(mean, abs=4.5 * error + 1e-12)


def test_published_values() -> None:
    assert ConstantLogNormalNoise(1, alpha=0.7).second_moment() == pytest.approx(2.664, abs=5e-4)
    unit_mean = ConstantLogNormalNoise(1, alpha=0.7, unit_mean=True)
    assert unit_mean.second_moment() == pytest.approx(math.exp(0.49))
    assert BinaryNoise(1, rate=0.75).second_moment() == 4
    assert GaussianNoise(1, sd=1.0).second_moment() == 2
    assert InformationNoise(1, max_alpha=0.7).second_moment() == pytest.approx(
        math.exp(2 * 0.351**2)
    )
    squareplus = InformationNoise(1, max_alpha=0.7, parametrisation="squareplus")
    assert squareplus.second_moment() == pytest.approx(math.exp(2 * 0.3505**2))
    assert SparseVariationalNoise(1).second_moment() == 1


@pytest.mark.parametrize("max_alpha", [0.7, 2.0])
@pytest.mark.parametrize("raw_sd", [0.5, 1.0, 1.5])
def test_the_mean_over_raw_maps_agrees_with_quadrature(max_alpha: float, raw_sd: float) -> None:
    def integrand(n: float) -> float:
        alpha = 0.001 + max_alpha * expit(raw_sd * n)
        return float(np.exp(2 * alpha**2) * norm.pdf(n))

    expected, _ = quad(integrand, -12, 12, limit=200)
    found = InformationNoise(1, max_alpha=max_alpha).second_moment(raw_sd)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.05, 0.1, 2 / 3, 2.0])
@pytest.mark.parametrize("q", [0.05, 0.5, 0.95])
def test_the_relaxed_gate_agrees_with_a_sum_over_its_uniform(q: float, temperature: float) -> None:
    u = (torch.arange(1_000_000, dtype=torch.float64) + 0.5) / 1_000_000
    m = bin_concrete(torch.tensor(logit(q)).double(), torch.logit(u), temperature)
    expected = float(m.square().mean())
    assert relaxed_second_moment(q, temperature) == pytest.approx(expected, rel=1e-5)


def test_a_cold_gate_is_hard_and_a_sure_one_silent() -> None:
    assert relaxed_second_moment(0.3, 1e-3) == pytest.approx(0.3, abs=1e-3)
    assert relaxed_second_moment(1.0, 0.5) == 1


def test_noise_in_the_weights_counts_the_same() -> None:
    """Independent weight noise multiplies the mean square of W x by 1 + alpha."""
    torch.manual_seed(0)
    layer = nn.Linear(300, 200, bias=False).double()
    noise = VariationalNoise(200, at="weights", initial_alpha=0.5).double()
    x = torch.randn(400, 300, dtype=torch.float64)
    with torch.no_grad():
        still: Tensor = noise.affine(x, layer, False)
        loud: Tensor = noise.affine(x, layer, True)
    ratio = float(loud.square().mean() / still.square().mean())
    assert ratio == pytest.approx(noise.second_moment(), rel=0.02)
