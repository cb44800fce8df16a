from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ibdrop.data.base import UnitRange
from ibdrop.explain.base import Explanation, Fill
from ibdrop.explain.disc import RADII, disc, smallest
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.fills import Average, Blur, Constant, Noise
from ibdrop.explain.lbfgsb import bounded
from ibdrop.explain.mask import Grid, undecided, variation
from ibdrop.explain.meaningful import Meaningful
from ibdrop.models.mlp import MLP
from ibdrop.noise.information import InformationNoise

SIDE = 24
PATCH = (slice(4, 10), slice(12, 20))


class PatchScore:
    """The planted evidence: the mean brightness of one patch, and nothing else."""

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        return pixels[..., PATCH[0], PATCH[1]].mean((1, 2, 3))

    def probability(self, pixels: Tensor, image: Tensor) -> Tensor:
        return self(pixels, image).detach()


class LogisticScore(PatchScore):
    """A curved one, whose strength differs by image."""

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        return torch.sigmoid((2.0 + 5 * image) * (super().__call__(pixels, image) - 0.5))


def pictures(count: int = 3) -> Tensor:
    x = torch.rand(count, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(2))
    return 0.5 + 0.5 * x


def found(
    score: PatchScore, fill: Fill | None = None, rows: slice = slice(None), **changes: Any
) -> Explanation:
    index = torch.arange(3)[rows]
    x = pictures()[rows]
    settings = {"grid": 12, "smoothing": 8.0, "steps": 60} | changes
    perturbed = (fill or Constant(0)).over(x, index)
    method = Meaningful(**settings)  # type: ignore[arg-type]
    return method.explain(score, perturbed, x.shape, x.device)


def inside(heat: Tensor) -> Tensor:
    return heat[:, PATCH[0], PATCH[1]].sum((1, 2)) / heat.sum((1, 2))


@pytest.mark.parametrize("game", ["deletion", "preservation"])
@pytest.mark.parametrize("optimiser", ["adam", "lbfgsb"])
def test_the_planted_patch_is_found(game: str, optimiser: str) -> None:
    explained = found(PatchScore(), game=game, optimiser=optimiser, l1=4.0, tv=1e-5, jitter=1)
    share = 6 * 8 / SIDE**2
    assert explained.masks.shape == (3, 1, SIDE, SIDE)
    assert torch.all(inside(explained.heat) > 0.6)
    assert torch.all(inside(explained.heat) > 7 * share)
    left = PatchScore()(explained.masks, torch.arange(3))
    assert torch.all(left < 0.25 if game == "deletion" else left > 0.75)


@pytest.mark.parametrize("fill", [Noise(0.1), Blur(60), Average(0.0, 60)], ids=lambda f: f.name)
def test_every_fill_finds_it(fill: Fill) -> None:
    explained = found(PatchScore(), fill, l1=0.1, tv=1e-4)
    assert torch.all(inside(explained.heat) > 3 * 6 * 8 / SIDE**2)


def test_a_higher_price_never_buys_a_larger_area() -> None:
    areas = torch.stack(
        [
            found(LogisticScore(), l1=l1, jitter=1, steps=120).heat.mean((1, 2))
            for l1 in (0.01, 0.1, 0.4, 1.0, 4.0, 20.0)
        ]
    )
    assert torch.all(areas.diff(dim=0) < 1e-3)
    assert torch.all(areas[0] > areas[-1] + 0.05)


@pytest.mark.parametrize("patience", [None, 5])
def test_an_image_does_not_see_its_neighbours(patience: int | None) -> None:
    settings = {"l1": 0.5, "patience": patience, "tolerance": 0.2}
    together = found(LogisticScore(), **settings)
    for row in range(3):

        class Alone(LogisticScore):
            def __call__(self, pixels: Tensor, image: Tensor, row: int = row) -> Tensor:
                return super().__call__(pixels, image + row)

        alone = found(Alone(), rows=slice(row, row + 1), **settings)
        assert alone.steps[0] == together.steps[row]
        torch.testing.assert_close(alone.masks[0], together.masks[row], rtol=0, atol=1e-5)
        done = int(alone.steps[0])
        torch.testing.assert_close(alone.trace[:done, 0], together.trace[:done, row])
        assert together.trace[done:, row].isnan().all()
    if patience:
        assert len(together.steps.unique()) > 1
        assert together.steps.max() < 60


def test_stopping_early_costs_next_to_nothing() -> None:
    early = found(LogisticScore(), l1=0.5, patience=10, tolerance=0.01, jitter=1, steps=200)
    late = found(LogisticScore(), l1=0.5, jitter=1, steps=200)
    assert early.steps.max() < 200
    for row, steps in enumerate(early.steps[:, 0].tolist()):
        assert float(early.trace[steps - 1, row]) < 1.05 * float(late.trace[-1, row])


def test_second_order_gets_lower_with_fewer_evaluations() -> None:
    settings = {"l1": 0.5, "tv": 1e-3, "jitter": 8, "start": "ones"}
    newton = found(LogisticScore(), optimiser="lbfgsb", steps=40, **settings)
    adam = found(LogisticScore(), steps=40, **settings)
    last = newton.trace.nan_to_num(torch.inf).amin(0)
    assert torch.all(last < adam.trace[-4:].mean(0) + 1e-3)
    assert torch.all(newton.steps <= 60)
    again = found(LogisticScore(), optimiser="lbfgsb", steps=40, **settings)
    assert torch.equal(newton.masks, again.masks)


def test_a_random_fill_stands_still_under_second_order() -> None:
    settings = {"l1": 0.5, "jitter": 8, "draws": 2, "optimiser": "lbfgsb", "steps": 8}
    one = found(LogisticScore(), Noise(0.1), **settings)
    other = found(LogisticScore(), Noise(0.1), **settings)
    assert torch.equal(one.trace.nan_to_num(0), other.trace.nan_to_num(0))


def test_second_order_ends_at_the_bounds_of_a_linear_cost() -> None:
    slope = torch.linspace(-1, 1, 12, dtype=torch.float64).view(3, 4)
    mask, trace = bounded(
        lambda m: ((slope * m).sum(), m.sum()),
        torch.full((3, 4), 0.5).double(),
        50,
        lambda step: 0,
    )
    torch.testing.assert_close(mask, (slope < 0).double())
    assert trace[-1][0] == pytest.approx(float(slope.clamp_max(0).sum()))


def test_gradients_flow_through_the_real_smoothing() -> None:
    grid = Grid(5, 11, 14, smoothing=20)
    grid.down, grid.right = grid.down.double(), grid.right.double()
    m = torch.rand(2, *grid.size, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(grid.smooth, m)
    assert torch.autograd.gradcheck(lambda m: variation(m, 3.0), m)
    assert torch.autograd.gradcheck(undecided, m)


@pytest.mark.parametrize("upsampling", ["bilinear", "nearest"])
def test_masks_are_enlarged_as_torch_does(upsampling: str) -> None:
    grid = Grid(7, 20, 20, smoothing=0, upsampling=upsampling)  # type: ignore[arg-type]
    m = torch.rand(2, 1, 7, 7)
    mode = "nearest-exact" if upsampling == "nearest" else upsampling
    expected = torch.nn.functional.interpolate(m, (20, 20), mode=mode)
    torch.testing.assert_close(grid.smooth(m), expected)


def test_oblong_pictures_have_square_cells_and_small_ones_no_more_than_pixels() -> None:
    assert Grid(28, 112, 224).size == (28, 56)
    assert Grid(28, 20, 30).size == (20, 30)


def test_the_disc_is_the_smallest_that_does_it() -> None:
    size = (28, 28)

    def score(m: Tensor) -> Tensor:
        kept = m[10:18, 10:18].mean()
        return torch.stack([kept, 1 - kept, m[13:15, 13:15].mean()])

    masks = smallest(score, size, keeps=False)
    deleted = (1 - masks).sum((1, 2))
    assert deleted[1] == 0
    assert 4 <= deleted[2] < deleted[0] < 160
    assert masks[0, 10:18, 10:18].mean() <= 0.01
    kept = smallest(score, size, keeps=True)
    assert kept[0, 10:18, 10:18].mean() >= 0.99
    assert 64 <= kept[0].sum() < 160
    assert disc(size, RADII[-1], torch.device("cpu")).min() == 1
    assert disc(size, 0, torch.device("cpu")).sum() == 0


def test_the_binarising_term_decides() -> None:
    settings = {"l1": 0.5, "tv": 0.01, "smoothing": 0.0, "steps": 100, "start": "ones"}
    plain = found(LogisticScore(), **settings)
    binary = found(LogisticScore(), binarise=1.0, **settings)
    assert torch.all(undecided(binary.heat) < undecided(plain.heat))


def test_the_network_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    model = MLP(1, (6, 6), 4, InformationNoise, width=8, depth=2).train()
    first = next(model.parameters())
    first.grad = torch.ones_like(first)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    x = torch.rand(2, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    explainer = Explainer(Meaningful(steps=4, grid=6), Noise())
    explainer(model, UnitRange(), x, torch.arange(2), torch.tensor([1, 2]))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(random, torch.get_rng_state())
    assert torch.equal(first.grad, torch.ones_like(first))
    assert all(p.grad is None for p in model.parameters() if p is not first)
    assert all(p.requires_grad for p in model.parameters())
    assert not any(module._forward_hooks for module in nn.Module.modules(model))


def test_progress_is_told_and_may_stop() -> None:
    seen: list[int] = []
    x = pictures()
    perturbed = Constant(0).over(x, torch.arange(3))
    Meaningful(steps=3, grid=6).explain(PatchScore(), perturbed, x.shape, x.device, seen.append)
    assert seen == [0, 1, 2]

    def stop(step: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Meaningful(grid=6).explain(PatchScore(), perturbed, x.shape, x.device, stop)


def test_impossible_settings_are_refused() -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"game": "hide"}, "game=hide: must be one of deletion, preservation."),
        ({"start": "zeros"}, "start=zeros: must be one of disc, ones."),
        ({"optimiser": "sgd"}, "optimiser=sgd: must be one of adam, lbfgsb."),
        ({"upsampling": "area"}, "upsampling=area: must be one of bilinear, nearest."),
        ({"l1": -1.0}, "l1=-1.0: must be 0 or more."),
        ({"tv_power": 0.5}, "tv_power=0.5: must be 1 or more."),
        ({"grid": 1}, "grid=1: must be 2 or more."),
        ({"lr": 0.0}, "lr=0.0: must be positive"),
        ({"patience": 0}, "patience=0: must be 1 step or more"),
    ]
    for changes, message in wrong:
        with pytest.raises(ValueError, match=message):
            Meaningful(**changes)
