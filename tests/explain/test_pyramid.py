from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.explain.blur import blurred
from ibdrop.explain.pyramid import Pyramid

SIDE = 28
SIGMA = 20 * SIDE / 224


def pictures(channels: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(2)
    return torch.rand(2, channels, SIDE, SIDE, generator=random)


def whole(value: float, areas: int = 2) -> Tensor:
    return torch.full((2, areas, SIDE, SIDE), value)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_kept_stays_bitwise(channels: int) -> None:
    x = pictures(channels)
    found = Pyramid().over(x, torch.arange(2))(whole(1.0), 0)
    assert torch.equal(found, x[:, None].expand(-1, 2, -1, -1, -1))


def test_levels_are_blurs_of_evenly_spaced_widths() -> None:
    x = pictures()
    perturbation = Pyramid().over(x, torch.arange(2))
    for level in range(8):
        found = perturbation(whole(1 - level / 7), 0)
        expected = blurred(x, SIGMA * level / 7) if level else x
        assert torch.allclose(found[:, 0], expected, atol=1e-5)


def test_between_two_levels_it_is_linear() -> None:
    x = pictures()
    found = Pyramid().over(x, torch.arange(2))(whole(1 - 2.25 / 7), 0)
    sharp, soft = blurred(x, SIGMA * 2 / 7), blurred(x, SIGMA * 3 / 7)
    assert torch.allclose(found[:, 1], 0.75 * sharp + 0.25 * soft, atol=1e-5)


def test_flat_pictures_stay_flat_up_to_their_edges() -> None:
    x = torch.full((2, 1, SIDE, SIDE), 0.6)
    found = Pyramid().over(x, torch.arange(2))(whole(0.0), 0)
    assert torch.allclose(found, torch.tensor(0.6), atol=1e-6)


def test_every_pixel_has_its_own_width() -> None:
    x = pictures(1)
    perturbation = Pyramid().over(x, torch.arange(2))
    m = whole(1.0, 1)
    m[..., : SIDE // 2] = 0
    found = perturbation(m, 0)[:, 0]
    assert torch.equal(found[..., SIDE // 2 :], x[..., SIDE // 2 :])
    assert torch.equal(found[..., : SIDE // 2], perturbation(whole(0.0, 1), 0)[:, 0, ..., :14])


def test_the_slope_is_that_of_the_interpolation() -> None:
    x = pictures(1).double()
    perturbation = Pyramid().over(x, torch.arange(2))
    random = torch.Generator().manual_seed(4)
    level = torch.randint(0, 7, (2, 1, SIDE, SIDE), generator=random)
    inside = torch.rand(2, 1, SIDE, SIDE, generator=random, dtype=torch.float64)
    m = (1 - (level + 0.1 + 0.8 * inside) / 7).requires_grad_()
    (slope,) = torch.autograd.grad(perturbation(m, 0).square().sum(), m)
    step = torch.full_like(m, 1e-5)
    ends = [perturbation((m + sign * step).detach(), 0).square() for sign in (1, -1)]
    assert torch.allclose(slope, ((ends[0] - ends[1]) / 2e-5)[:, :, 0], atol=1e-6)


def test_picture_and_blurs_move_together() -> None:
    x = pictures(1)
    perturbation = Pyramid().over(x, torch.arange(2))
    still, moved = perturbation(whole(0.4), 0), perturbation(whole(0.4), 0, (2, 1))
    assert torch.equal(moved[..., 2:, 1:], still[..., :-2, :-1])


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"sigma is 0 px; the widest blur must be above 0\."):
        Pyramid(sigma=0)
    with pytest.raises(ValueError, match=r"levels is 1; it must be at least 2\."):
        Pyramid(levels=1)
