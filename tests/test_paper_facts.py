"""Numbers that the paper states, or that follow from it and its code."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from ibdrop.information import (
    WINDOW,
    kl_log_normal,
    kl_log_uniform,
    log_normal_mean,
    log_normal_variance,
)
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.base import Prediction
from ibdrop.noise.base import NoiseFactory
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise

CLUTTER = partial(InformationNoise, max_alpha=1.0)
UNITS_96 = {"D0": 73_728, "D1": 36_864, "D2": 13_824, "D3": 6_912}


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def standard_draws() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(2_000_000, dtype=torch.float64, generator=generator)


# Fact 1: the log-uniform divergence.


@pytest.mark.parametrize(
    ("alpha", "cap", "expected"),
    [(0.701, 0.701, 0), (0.35, 0.701, 0.6946), (0.001, 0.701, 6.5525), (0.001, 1.001, 6.9088)],
)
def test_log_uniform(alpha: float, cap: float, expected: float) -> None:
    assert float(kl_log_uniform(number(alpha), cap)) == pytest.approx(expected, abs=5e-5)


def test_log_uniform_by_monte_carlo() -> None:
    alpha, cap = 0.35, 0.701
    n = standard_draws()
    log_z = math.log(1.7) + alpha * n
    log_p = -n.square() / 2 - math.log(alpha * math.sqrt(2 * math.pi)) - log_z
    log_q = -math.log(cap * 4.132731) - log_z
    estimate = float((log_p - log_q).mean())
    assert estimate == pytest.approx(float(kl_log_uniform(number(alpha), cap)), abs=2e-3)


@pytest.mark.parametrize(
    ("max_alpha", "largest", "start"), [(0.7, 6.5525, 0.69172), (1.0, 6.9088, 0.692149)]
)
def test_range_of_the_price(max_alpha: float, largest: float, start: float) -> None:
    a = torch.tensor([-100.0, 0.0, 100.0])
    noisy = InformationNoise(1, max_alpha=max_alpha)(torch.ones(3), a, sample=False)
    assert noisy.kl.tolist() == pytest.approx([largest, start, 0], abs=5e-5)
    assert float(noisy.kl[-1]) == 0
    assert noisy.cap == pytest.approx(max_alpha + 0.001)
    assert WINDOW * noisy.cap == pytest.approx(2.897 if max_alpha == 0.7 else 4.137, abs=5e-4)


# Fact 2: the log-normal divergence.


@pytest.mark.parametrize(
    ("f", "alpha", "mu", "sigma", "expected"),
    [(1.7, 0.4, 0.2, 1.1, 0.62289), (0.3, 0.25, 0.0, 1.0, 1.64232)],
)
def test_log_normal(f: float, alpha: float, mu: float, sigma: float, expected: float) -> None:
    kl = kl_log_normal(number(f).log(), number(alpha), mu, sigma)
    assert float(kl) == pytest.approx(expected, abs=5e-6)
    n = standard_draws()
    log_z = math.log(f) + alpha * n
    log_p = -n.square() / 2 - math.log(alpha)
    log_q = -(((log_z - mu) / sigma) ** 2) / 2 - math.log(sigma)
    assert float((log_p - log_q).mean()) == pytest.approx(expected, abs=2e-3)


# Fact 3: the noise.


def test_moments_at_the_papers_cap() -> None:
    alpha = number(0.7)
    assert float(log_normal_mean(alpha)) == pytest.approx(1.27762, abs=5e-6)
    assert float(log_normal_variance(alpha)) == pytest.approx(1.03214, abs=5e-6)
    assert float(log_normal_mean(alpha, unit_mean=True)) == 1


@pytest.mark.parametrize(
    ("cap", "mean", "variance"), [(0.701, 1.2785, 1.0373), (1.001, 1.6504, 4.695)]
)
def test_moments_of_drawn_noise_at_the_cap(cap: float, mean: float, variance: float) -> None:
    assert float(log_normal_mean(number(cap))) == pytest.approx(mean, abs=5e-5)
    assert float(log_normal_variance(number(cap))) == pytest.approx(variance, abs=5e-4)
    torch.manual_seed(0)
    ones = torch.ones(2_000_000, dtype=torch.float64)
    noise = InformationNoise(1, max_alpha=cap - 0.001)
    z = noise(ones, 50 * ones, sample=True).z
    assert float(z.mean()) == pytest.approx(mean, abs=5e-3)
    assert float(z.var()) == pytest.approx(variance, rel=0.03)


def test_mean_with_the_shift() -> None:
    torch.manual_seed(0)
    ones = torch.ones(2_000_000, dtype=torch.float64)
    z = InformationNoise(1, unit_mean=True)(ones, 50 * ones, sample=True).z
    assert float(z.mean()) == pytest.approx(1, abs=2e-3)


def test_without_noise_it_is_f_bitwise() -> None:
    torch.manual_seed(0)
    f, a = torch.randn(4, 3, 5, 5).relu(), torch.randn(4, 3, 5, 5)
    for options in ({}, {"unit_mean": True}, {"parametrisation": "squareplus"}):
        assert torch.equal(InformationNoise(3, **options)(f, a, sample=False).z, f)


# Fact 4: the atom at zero.


def test_inactive_units() -> None:
    f, a = torch.zeros(2), torch.tensor([0.3, -2.0], requires_grad=True)
    exact = InformationNoise(1, atom="exact", q0=0.5)(f, a, sample=True)
    assert exact.kl.tolist() == pytest.approx([math.log(2)] * 2)
    (gradient,) = torch.autograd.grad(exact.kl.sum(), a)
    assert gradient.tolist() == [0, 0]
    paper = InformationNoise(1, atom="paper")(f, a, sample=True)
    torch.testing.assert_close(paper.kl, kl_log_uniform(paper.alpha, 0.701))


# Fact 5: a fresh network.


def fresh(side: int, noise: NoiseFactory, channels: int) -> Prediction:
    model = AllCNN(channels, (side, side), 10, noise)
    for layer in model.noisy.values():
        nn.init.zeros_(layer.raw.weight)
    with torch.no_grad():
        prediction: Prediction = model(torch.rand(2, channels, side, side))
    return prediction


@pytest.mark.parametrize(
    ("side", "channels", "noise", "units", "nats", "scaled"),
    [
        (96, 1, CLUTTER, 131_328, 90_898.5, 1.818),
        (32, 3, InformationNoise, 36_864, 25_500, 0.5100),
    ],
)
def test_fresh_network(
    side: int, channels: int, noise: NoiseFactory, units: int, nats: float, scaled: float
) -> None:
    kls = fresh(side, noise, channels).kls.values()
    assert sum(kl[0].numel() for kl in kls) == units
    total = sum(float(kl.double().sum()) for kl in kls) / 2
    assert total == pytest.approx(nats, abs=0.5)
    assert total / 50_000 == pytest.approx(scaled, abs=5e-4)


# Fact 6: parameters, units and the mean over the batch.


def count(side: int, noise: NoiseFactory, **options: object) -> int:
    model = AllCNN(3 if side == 32 else 1, (side, side), 10, noise, **options)
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize(
    ("side", "width", "official_info", "official_none", "clean_info", "clean_none"),
    [
        (32, 1.0, 1_784_856, 1_369_848, 1_786_004, 1_370_996),
        (32, 0.75, 1_005_168, 771_672, 1_006_004, 772_508),
        (32, 0.5, 447_816, 343_992, 448_340, 344_516),
        (32, 0.25, 112_800, 86_808, 113_012, 87_020),
        (96, 1.0, 1_994_904, 1_533_720, 1_996_340, 1_535_156),
    ],
)
def test_parameters(
    side: int,
    width: float,
    official_info: int,
    official_none: int,
    clean_info: int,
    clean_none: int,
) -> None:
    official = {"width": width, "norm_scale": False, "dense": True}
    assert count(side, InformationNoise, **official) == official_info
    assert count(side, NoNoise, **official) == official_none
    assert count(side, InformationNoise, width=width) == clean_info
    assert count(side, NoNoise, width=width) == clean_none
    assert count(side, BinaryNoise, width=width) == clean_none


def test_parameters_of_keras_and_of_softplus() -> None:
    assert count(96, CLUTTER, conv_bias=True) == 1_997_886
    log_normal = partial(InformationNoise, prior="log_normal")
    assert count(96, log_normal, activation="softplus") == 1_996_340 + 4 * 2
    assert count(32, log_normal, activation="softplus") == 1_786_004 + 2 * 2


@pytest.mark.parametrize(
    ("width", "units"),
    [
        (0.25, {"D1": 6_144, "D2": 3_072}),
        (0.5, {"D1": 12_288, "D2": 6_144}),
        (0.75, {"D1": 18_432, "D2": 9_216}),
        (1.0, {"D1": 24_576, "D2": 12_288}),
    ],
)
def test_units_of_allcnn_32(width: float, units: dict[str, int]) -> None:
    model = AllCNN(3, (32, 32), 10, InformationNoise, width=width)
    with torch.no_grad():
        kls = model(torch.rand(1, 3, 32, 32), sample=False).kls
    assert {name: kl.numel() for name, kl in kls.items()} == units


def test_units_of_allcnn_96() -> None:
    kls = fresh(96, CLUTTER, 1).kls
    assert {name: kl[0].numel() for name, kl in kls.items()} == UNITS_96
    assert kls["D0"].shape[1:] == (32, 48, 48)
    assert kls["D3"].shape[1:] == (192, 6, 6)


def test_duplicating_a_batch_leaves_the_mean_price() -> None:
    torch.manual_seed(0)
    model = AllCNN(1, (16, 16), 3, InformationNoise, blocks=[4, 6]).eval()
    images = torch.rand(3, 1, 16, 16)
    once, twice = model(images).kls, model(images.repeat(2, 1, 1, 1)).kls
    for name in once:
        mean = [float(kls[name].double().flatten(1).sum(1).mean()) for kls in (once, twice)]
        summed = [float(kls[name].double().sum()) for kls in (once, twice)]
        assert mean[1] == pytest.approx(mean[0], rel=1e-6)
        assert summed[1] == pytest.approx(2 * summed[0], rel=1e-6)
