"""Noise has the moments it should have; light and covers are exact."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.data import pollution

INDEX = torch.arange(50)


def grey(level: int, side: int = 40) -> Tensor:
    return torch.full((50, 1, side, side), level, dtype=torch.uint8)


def test_gaussian_noise_has_its_deviation() -> None:
    noise = pollution.gaussian_noise(grey(128), INDEX, 0.1, 7).double() - 128
    assert noise.mean().abs() < 0.3
    assert noise.std().item() == pytest.approx(25.5, rel=0.01)
    between = noise.flatten(1).mean(1).std()
    assert between.item() == pytest.approx(25.5 / 40, rel=0.35)


def test_quantiles_are_standard_normal() -> None:
    z = pollution.quantiles()
    assert z.mean().abs() < 1e-10
    assert z.square().mean().item() == pytest.approx(1, abs=1e-3)
    assert z.pow(4).mean().item() == pytest.approx(3, abs=1e-2)


def test_speckle_follows_the_brightness() -> None:
    assert not pollution.speckle_noise(grey(0), INDEX, 0.5, 7).any()
    for level in (40, 120):
        noisy = pollution.speckle_noise(grey(level), INDEX, 0.2, 7).double()
        assert noisy.std().item() == pytest.approx(0.2 * level, rel=0.02)


@pytest.mark.parametrize("level", [0, 30, 102])
def test_shot_noise_is_poisson(level: int) -> None:
    photons = 50.0
    counts = pollution.shot_noise(grey(level), INDEX, photons, 7).double() / 255 * photons
    mean = level / 255 * photons
    assert counts.mean().item() == pytest.approx(mean, abs=0.05)
    assert counts.var().item() == pytest.approx(mean, rel=0.03, abs=1e-9)
    if mean:
        empty = (counts.round() == 0).double().mean().item()
        assert empty == pytest.approx(torch.tensor(-mean).exp().item(), abs=2e-3)


def test_impulse_noise_is_half_salt_and_half_pepper() -> None:
    noisy = pollution.impulse_noise(grey(128), INDEX, 0.2, 7)
    assert noisy.unique().tolist() == [0, 128, 255]
    for value in (0, 255):
        assert (noisy == value).double().mean().item() == pytest.approx(0.1, abs=0.004)


def test_contrast_and_brightness_by_hand() -> None:
    image = torch.tensor([[[[0, 100], [200, 100]]]], dtype=torch.uint8)
    index = torch.tensor([0])
    assert pollution.contrast(image, index, 0.5, 0).flatten().tolist() == [50, 100, 150, 100]
    assert pollution.contrast(image, index, 0, 0).flatten().tolist() == [100] * 4
    light = pollution.brightness(image, index, 0.4, 0)
    assert light.flatten().tolist() == [102, 202, 255, 202]


def test_occlusion_covers_one_square_anywhere() -> None:
    covered = pollution.occlusion(grey(0), INDEX, 0.3, 7) == pollution.GREY
    assert (covered.sum((1, 2, 3)) == 12 * 12).all()
    assert (covered.any(2).sum(2) == 12).all()
    left = covered.any(2)[:, 0].int().argmax(1)
    assert left.min() < 6
    assert left.max() > 22
    assert len(left.unique()) > 15


def test_stripe_is_a_negative_band_of_either_kind() -> None:
    image = torch.arange(40, dtype=torch.uint8).expand(50, 1, 40, 40)
    changed = pollution.stripe(image, INDEX, 0.25, 7)
    inside = changed == 255 - image
    assert torch.equal(changed, torch.where(inside, 255 - image, image))
    assert (inside.sum((1, 2, 3)) == 10 * 40).all()
    standing = inside.all(2).any(2)[:, 0]
    assert 10 < standing.sum() < 40
