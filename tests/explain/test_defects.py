"""Published defects of other implementations, each of which must be impossible in this one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import UnitRange
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.fills import Average, Blend, Blur, Constant, Movable, Noise
from ibdrop.explain.mask import Grid, variation
from ibdrop.explain.meaningful import Meaningful
from ibdrop.explain.presets import meaningful
from ibdrop.models.mlp import MLP
from ibdrop.noise.baselines import NoNoise


def pictures(count: int = 2, side: int = 16) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(3))


def blank(fill: Blur | Noise | Constant, x: Tensor, step: int = 0) -> Tensor:
    m = torch.zeros(len(x), 1, *x.shape[2:])
    return fill.over(x, torch.arange(len(x)))(m, step)[:, 0]


def test_the_blur_is_ten_pixels_wide_and_not_cut_at_one_sigma() -> None:
    x = torch.zeros(1, 3, 224, 224, dtype=torch.float64)
    x[..., 112, 112] = 1
    away = torch.arange(224, dtype=torch.float64) - 112
    cut = torch.exp(-0.5 * (away[107:118] / 5) ** 2)
    assert math.sqrt(float((cut * away[107:118] ** 2).sum() / cut.sum())) == pytest.approx(
        2.9, 0.02
    )
    for channel in blank(Blur(), x)[0]:
        assert float(channel.sum()) == pytest.approx(1, abs=1e-6)
        for line in (channel.sum(0), channel.sum(1)):
            assert math.sqrt(float((line * away**2).sum())) == pytest.approx(10, rel=1e-3)


def test_blurs_do_not_darken_towards_the_edge() -> None:
    assert torch.allclose(blank(Blur(), torch.full((1, 3, 64, 64), 0.8)), torch.tensor(0.8))


@pytest.mark.parametrize("deviation", [0.2, 0.05])
def test_noise_has_the_stated_deviation_on_every_channel(deviation: float) -> None:
    x = torch.full((1, 3, 224, 224), 0.5)
    found = blank(Noise(deviation=deviation), x)[0]
    spread = found.std((1, 2))
    assert spread.tolist() == pytest.approx([deviation] * 3, rel=0.02)
    between = torch.corrcoef(found.flatten(1)) - torch.eye(3)
    assert between.abs().max() < 0.03


@pytest.mark.parametrize("fill", [Constant(), Blur(60), Noise(), Average(sigma=60)])
def test_the_probability_is_that_of_the_very_composite_optimised(fill: Noise) -> None:
    torch.manual_seed(1)
    model = MLP(3, (16, 16), 4, NoNoise, width=16, depth=2).eval()
    for p in model.parameters():
        p.data.mul_(3)
    x, index, classes = pictures(), torch.tensor([7, 8]), torch.tensor([0, 2])
    method = Meaningful(l1=0.01, steps=12, grid=8, jitter=1)
    explainer = Explainer(method, fill)
    before = explainer(model, UnitRange(), x, index, classes)
    longer = Explainer(Meaningful(l1=0.01, steps=13, grid=8, jitter=1), fill)
    last = longer(model, UnitRange(), x, index, classes).scores[12, :, 0]
    again = fill.over(x, index)(before.masks, 12)[:, 0]
    score = explainer.score(model, UnitRange(), index, classes)
    torch.testing.assert_close(score.probability(again, torch.arange(2)), last)


def test_an_untouched_mask_deletes_nothing_and_a_flat_one_is_not_stretched() -> None:
    x = pictures()

    class Indifferent:
        def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
            return 0 * pixels.mean((1, 2, 3))

        probability = __call__

    perturbed = Constant(0).over(x, torch.arange(2))
    for method in (Meaningful(start="ones", steps=3), meaningful("paper", steps=3)):
        explained = method.explain(Indifferent(), perturbed, x.shape, x.device)
        assert torch.all(explained.masks == 1)
        assert torch.all(explained.heat == 0)
        assert torch.equal(perturbed(explained.masks, 0)[:, 0], x)
    for level in (0.0, 0.4):
        m = torch.full((2, 1, 16, 16), level)
        torch.testing.assert_close(perturbed(m, 0)[:, 0], level * x)


def test_a_mask_of_zeros_divides_by_nothing() -> None:
    x = pictures()

    class Greedy:
        def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
            return pixels.mean((1, 2, 3))

        probability = __call__

    perturbed = Constant(0).over(x, torch.arange(2))
    explained = Meaningful(l1=0, tv=0, steps=100).explain(Greedy(), perturbed, x.shape, x.device)
    assert torch.all(explained.masks.abs() < 1e-6)
    assert torch.all((explained.heat - 1).abs() < 1e-6)
    assert explained.trace.isfinite().all()


def wave(cells: int) -> Tensor:
    """The mask of one and the same picture, on a grid."""
    place = (torch.arange(cells, dtype=torch.float64) + 0.5) / cells
    bumps = torch.sin(torch.pi * place) ** 2
    return (1 - 0.8 * bumps[:, None] * bumps)[None]


@pytest.mark.parametrize("preset", ["paper", "blog", "default"])
@pytest.mark.parametrize("game", ["deletion", "preservation"])
def test_weights_mean_the_same_on_every_grid(preset: str, game: str) -> None:
    method, zero = meaningful(preset, game=game), torch.zeros(1, dtype=torch.float64)
    fine = float(method.cost(wave(448), zero))
    for cells, near in ((14, 0.05), (28, 0.02), (56, 0.01)):
        assert float(method.cost(wave(cells), zero)) == pytest.approx(fine, rel=near)


@pytest.mark.parametrize("power", [1.0, 2.0, 3.0])
@pytest.mark.parametrize("isotropic", [True, False])
def test_variation_is_the_integral_over_the_picture(power: float, isotropic: bool) -> None:
    slope = 0.6
    ramp = slope * (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    m = (ramp[:, None] / 2 + ramp / 2)[None]
    length = slope / math.sqrt(2) if isotropic else slope / 2
    expected = length**power * (1 if isotropic else 2)
    assert float(variation(m, power, isotropic)) == pytest.approx(expected, rel=0.01)


def test_jitter_is_a_shift_of_four_and_not_noise() -> None:
    method, shape = meaningful("paper"), torch.Size((2, 3, 224, 224))
    shifts = {method.shift(step, shape) for step in range(400)}
    assert shifts == set(method.shifts(shape))
    assert len(shifts) == 16
    assert {down for down, _ in shifts} == {-1, 0, 1, 2}
    seen: list[tuple[int, int]] = []

    class Watched(Blend):
        def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
            seen.append(shift)
            found = super().__call__(m, step, shift)
            assert torch.equal(
                super().__call__(torch.ones_like(m), step, shift)[:, 0], Movable(x)(shift)
            )
            return found

    class Sum:
        def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
            return pixels.sum((1, 2, 3))

        probability = __call__

    x = torch.rand(1, 1, 112, 112)
    perturbed = Watched(x, Constant(0).over(x, torch.arange(1)).fill)
    Meaningful(start="ones", steps=20).explain(Sum(), perturbed, x.shape, x.device)
    assert set(seen) == {(0, 0), (0, 1), (1, 0), (1, 1)}


def test_the_mask_is_bilinear_and_smooth_not_blocks() -> None:
    m = torch.ones(1, 28, 28)
    m[:, 14, 14] = 0
    smooth = 1 - Grid(28, 224, 224).smooth(m)[0]
    assert smooth.diff(dim=0).abs().max() < 0.1
    away = torch.arange(224) - 115.5
    line = smooth.sum(0) / smooth.sum()
    assert math.sqrt(float((line * away**2).sum())) == pytest.approx(
        math.hypot(5, 8 / 6**0.5), rel=0.02
    )
