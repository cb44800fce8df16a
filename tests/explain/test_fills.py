from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.explain.base import Fill
from ibdrop.explain.blur import blurred, gaussian
from ibdrop.explain.fills import Average, Blur, Constant, Movable, Noise

FILLS: list[Fill] = [Constant(), Constant(0), Noise(), Blur(), Average()]


def pictures(count: int = 3, side: int = 12, channels: int = 3) -> Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_a_mask_of_ones_gives_the_image_bitwise(fill: Fill) -> None:
    x = pictures()
    perturbed = fill.over(x, torch.arange(3))
    for step in range(3):
        found = perturbed(torch.ones(3, 2, 12, 12), step)
        assert torch.equal(found, x[:, None].expand(3, 2, 3, 12, 12))


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_masks_blend_picture_and_fill(fill: Fill) -> None:
    x, m = pictures().double(), torch.rand(3, 2, 12, 12, dtype=torch.float64)
    perturbed = fill.over(x, torch.arange(3))
    blank = perturbed(torch.zeros(3, 1, 12, 12), 4)
    found = perturbed(m, 4)
    expected = m[:, :, None] * x[:, None] + (1 - m[:, :, None]) * blank
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_what_fills_an_image_depends_on_no_batch(fill: Fill) -> None:
    x, index = pictures(), torch.tensor([4, 90, 7])
    m = torch.zeros(3, 1, 12, 12)
    for step in range(3):
        together = fill.over(x, index)(m, step)
        alone = fill.over(x[1:2], index[1:2])(m[:1], step)
        torch.testing.assert_close(together[1:2], alone, rtol=0, atol=1e-6)


def test_constant_is_the_median_or_mean_colour_or_a_level() -> None:
    x, m = pictures(side=13)[..., :-2, :], torch.zeros(3, 1, 11, 13)
    median = Constant().over(x, torch.arange(3))(m, 0)
    torch.testing.assert_close(median[:, 0, :, 0, 0], x.flatten(2).quantile(0.5, dim=2))
    x, m = pictures(), torch.zeros(3, 1, 12, 12)
    mean = Constant("mean").over(x, torch.arange(3))(m, 0)
    torch.testing.assert_close(mean[:, 0, :, 0, 0], x.mean((2, 3)))
    assert torch.all(mean == mean[..., :1, :1])
    assert torch.all(Constant(0).over(x, torch.arange(3))(m, 0) == 0)


def test_noise_is_gaussian_independent_and_new_at_every_step() -> None:
    x = torch.full((2, 3, 200, 200), 0.5)
    perturbed = Noise(deviation=0.3).over(x, torch.tensor([5, 6]))
    m = torch.zeros(2, 1, 200, 200)
    one, other = perturbed(m, 0)[:, 0], perturbed(m, 1)[:, 0]
    values = one.reshape(6, -1)
    assert (values.mean(1) - 0.5).abs().max() < 5 * 0.3 / 200
    kurtosis = ((values - 0.5) / 0.3).pow(4).mean()
    assert abs(kurtosis - 3) < 0.1
    rows = torch.cat([values, other.reshape(6, -1)])
    correlation = torch.corrcoef(rows) - torch.eye(12)
    assert correlation.abs().max() < 5 / 200
    assert torch.equal(one, perturbed(m, 0)[:, 0])


def test_average_shows_each_fill_once_in_three_steps() -> None:
    x, index, m = pictures(), torch.arange(3), torch.zeros(3, 1, 12, 12)
    perturbed = Average(level=0.25, sigma=30, deviation=0.1, seed=3).over(x, index)
    parts = (Constant(0.25), Blur(30), Noise(0.25, 0.1, 3))
    for step in range(3, 6):
        assert torch.equal(perturbed(m, step), parts[step % 3].over(x, index)(m, step))


@pytest.mark.parametrize("shift", [(0, 0), (2, 0), (0, -3), (-1, 4), (20, 0)])
def test_pictures_move_and_their_edge_is_repeated(shift: tuple[int, int]) -> None:
    x = pictures()
    found = Movable(x)(shift)
    for row, column in ((0, 0), (5, 6), (11, 11), (0, 11)):
        y = min(max(row - shift[0], 0), 11)
        z = min(max(column - shift[1], 0), 11)
        assert torch.equal(found[:, :, row, column], x[:, :, y, z])


def test_one_move_knows_nothing_of_the_last() -> None:
    x = pictures()
    movable = Movable(x)
    for shift in ((1, 0), (-3, 2), (0, 1), (0, 0), (5, -5)):
        assert torch.equal(movable(shift), Movable(x)(shift))
    assert torch.equal(movable((0, 0)), x)


@pytest.mark.parametrize("fill", [Constant(), Blur()], ids=lambda fill: fill.name)
def test_fill_and_picture_move_together_below_the_mask(fill: Fill) -> None:
    x = pictures()
    m = torch.rand(3, 1, 1, 1).expand(3, 1, 12, 12)
    perturbed = fill.over(x, torch.arange(3))
    found = perturbed(m, 0, (2, -1))
    torch.testing.assert_close(found, Movable(perturbed(m, 0))((2, -1)))


def test_blur_is_separable_gaussian_with_repeated_edges() -> None:
    x = torch.rand(1, 1, 9, 14, dtype=torch.float64)
    sigma, reach = 1.7, 12
    axis = torch.arange(-reach, reach + 1, dtype=torch.float64)
    line = torch.exp(-0.5 * (axis / sigma) ** 2)
    kernel = torch.outer(line, line)[None, None] / line.sum() ** 2
    around = torch.nn.functional.pad(x, (reach,) * 4, mode="replicate")
    expected = torch.nn.functional.conv2d(around, kernel)
    torch.testing.assert_close(blurred(x, sigma), expected, rtol=0, atol=1e-6)


def test_a_flat_picture_stays_flat_to_its_edges() -> None:
    x = torch.full((1, 3, 20, 30), 0.7, dtype=torch.float64)
    torch.testing.assert_close(blurred(x, 15.0), x)
    assert torch.equal(gaussian(5, 0), torch.eye(5, dtype=torch.float64))


@pytest.mark.parametrize("side", [56, 224])
def test_widths_scale_with_the_picture(side: int) -> None:
    x = torch.zeros(1, 1, side, side, dtype=torch.float64)
    x[..., side // 2, side // 2] = 1
    blurry = Blur(10).over(x, torch.arange(1))(torch.zeros(1, 1, side, side), 0)[0, 0, 0]
    away = torch.arange(side, dtype=torch.float64) - side // 2
    width = math.sqrt(float((blurry.sum(0) * away**2).sum() / blurry.sum()))
    assert width == pytest.approx(10 * side / 224, rel=1e-3)


def test_the_median_of_digits_is_their_empty_canvas() -> None:
    x = torch.zeros(1, 1, 20, 20)
    x[..., 5:15, 5:15] = 1
    assert torch.all(Constant().over(x, torch.arange(1))(torch.zeros(1, 1, 20, 20), 0) == 0)


def test_impossible_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"level=2: must be a brightness in \[0, 1\]"):
        Constant(2)
    with pytest.raises(ValueError, match="level=grey: must be a brightness"):
        Constant("grey")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"mean=-1: must be a brightness in \[0, 1\], or median"):
        Noise(-1)
    with pytest.raises(ValueError, match="deviation=0: must be positive"):
        Noise(deviation=0)
    with pytest.raises(ValueError, match="sigma=-1: must be a positive width"):
        Blur(-1)
    with pytest.raises(ValueError, match="sigma=0"):
        Average(sigma=0)
