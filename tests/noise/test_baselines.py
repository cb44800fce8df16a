from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from ibdrop.noise.base import Noise
from ibdrop.noise.baselines import BinaryNoise, ConstantLogNormalNoise, GaussianNoise, NoNoise

ALL: list[Callable[[], Noise]] = [
    lambda: NoNoise(3),
    lambda: BinaryNoise(3),
    lambda: GaussianNoise(3),
    lambda: ConstantLogNormalNoise(3),
]
ONES = torch.ones(1_000_000, dtype=torch.float64)


@pytest.mark.parametrize("make", ALL)
def test_without_sampling_it_is_the_very_tensor(make: Callable[[], Noise]) -> None:
    f = torch.randn(2, 3, 4, 4)
    noisy = make()(f, None, sample=False)
    assert noisy.z is f
    assert (noisy.kl, noisy.alpha, noisy.cap) == (None, None, None)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_dtype_and_shape_stay(make: Callable[[], Noise], dtype: torch.dtype) -> None:
    f = torch.rand(2, 3, 4, 4, dtype=dtype)
    z = make()(f, None, sample=True).z
    assert (z.dtype, z.shape) == (dtype, f.shape)


@pytest.mark.parametrize("make", ALL)
def test_it_needs_no_maps_and_has_no_price(make: Callable[[], Noise]) -> None:
    noise = make()
    assert (noise.maps, noise.has_kl, noise.positive) == (0, False, False)
    assert not list(noise.parameters())


@pytest.mark.parametrize(
    ("noise", "mean", "variance"),
    [
        (BinaryNoise(1), 1, 1),
        (BinaryNoise(1, rate=0.2), 1, 0.25),
        (GaussianNoise(1), 1, 1),
        (GaussianNoise(1, sd=0.3), 1, 0.09),
        (ConstantLogNormalNoise(1), 1.27762, 1.03214),
        (ConstantLogNormalNoise(1, unit_mean=True), 1, math.expm1(0.49)),
    ],
)
def test_moments(noise: Noise, mean: float, variance: float) -> None:
    torch.manual_seed(0)
    eps = noise(ONES, None, sample=True).z
    assert float(eps.mean()) == pytest.approx(mean, abs=5e-3)
    assert float(eps.var()) == pytest.approx(variance, abs=0.02)


def test_noise_is_elementwise() -> None:
    torch.manual_seed(0)
    for make in ALL[2:]:
        eps = make()(torch.ones(2, 3, 4, 4), None, sample=True).z
        assert len(eps.unique()) == eps.numel()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BinaryNoise(1, rate=1.0), "rate=1.0: the share of units switched off must be in"),
        (lambda: GaussianNoise(1, sd=-1.0), "sd=-1.0: a standard deviation cannot be negative."),
        (
            lambda: ConstantLogNormalNoise(1, alpha=-0.1),
            "alpha=-0.1: a standard deviation cannot be negative.",
        ),
    ],
)
def test_ranges(make: Callable[[], Noise], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
