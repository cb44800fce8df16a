from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from ibdrop.explain.curves import BoxScores, Curve, box_scores, deletion, insertion, order


class Linear(NamedTuple):
    """The weighted sum of an image's pixels, each image with weights of its own."""

    weights: Tensor

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        return (self.weights[image] * pixels[:, 0].double()).sum((1, 2))

    def probability(self, pixels: Tensor, image: Tensor) -> Tensor:
        return self(pixels, image)


class Blank(NamedTuple):
    """Fills with one grey level."""

    x: Tensor
    level: float = 0.0

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        m, x = m[:, :, None], self.x[:, None]
        return torch.where(m == 1, x, m * x + (1 - m) * self.level)


class Counted(NamedTuple):
    """A perturbation that notes how many composites are made at once."""

    inner: Blank
    counts: list[int]

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        self.counts.append(m.shape[0] * m.shape[1])
        return self.inner(m, step, shift)


def weights(batch: int = 3, height: int = 6, width: int = 5, seed: int = 0) -> Tensor:
    draws = torch.rand(
        batch, height, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
    return draws / draws.sum((1, 2), keepdim=True)


def ones(like: Tensor) -> Tensor:
    return torch.ones(len(like), 1, *like.shape[1:])


def test_curves_of_a_linear_score_are_sums_of_sorted_weights() -> None:
    w = weights()
    score, over, index = Linear(w), Blank(ones(w)), torch.arange(3)
    sums = w.flatten(1).sort(descending=True)[0].cumsum(1)
    sums = torch.cat([torch.zeros(3, 1, dtype=torch.float64), sums], 1)
    falls = deletion(w, score, over, index, steps=30)
    rises = insertion(w, score, over, index, steps=30)
    assert falls.fractions.tolist() == [k / 30 for k in range(31)]
    torch.testing.assert_close(falls.p, 1 - sums)
    torch.testing.assert_close(rises.p, sums)
    torch.testing.assert_close(rises.auc(), ((sums[:, 1:] + sums[:, :-1]) / 60).sum(1))
    torch.testing.assert_close(falls.auc() + rises.auc(), torch.ones(3, dtype=torch.float64))


def test_equal_weights_fall_along_the_diagonal_whatever_the_map() -> None:
    w = torch.full((2, 7, 3), 1 / 21, dtype=torch.float64)
    curve = deletion(torch.rand(2, 7, 3), Linear(w), Blank(ones(w)), torch.arange(2), steps=5)
    assert curve.fractions.tolist() == [n / 21 for n in (0, 4, 8, 12, 16, 21)]
    torch.testing.assert_close(curve.p, (1 - curve.fractions).expand(2, -1))
    assert curve.auc().tolist() == pytest.approx([0.5, 0.5])


def test_flat_map_falls_along_the_diagonal_on_average() -> None:
    w = weights(1, 8, 8).expand(500, 8, 8)
    flat, index = torch.ones(500, 8, 8), torch.arange(500)
    curve = deletion(flat, Linear(w), Blank(ones(w)), index, steps=8)
    error = curve.p.std(0) / math.sqrt(500)
    assert ((curve.p.mean(0) - (1 - curve.fractions)).abs() <= 5 * error + 1e-6).all()


def test_perfect_map_is_better_than_every_random_one() -> None:
    w = weights()
    score, over, index = Linear(w), Blank(ones(w)), torch.arange(3)
    low = deletion(w, score, over, index).auc()
    high = insertion(w, score, over, index).auc()
    for seed in range(20):
        other = weights(seed=seed + 1)
        assert (low < deletion(other, score, over, index).auc()).all()
        assert (high > insertion(other, score, over, index).auc()).all()


def test_ends_are_the_plain_image_and_the_blank_one() -> None:
    w, x = weights(), torch.rand(3, 1, 6, 5)
    score, over, image = Linear(w), Blank(x, level=0.3), torch.arange(3)
    plain, blank = score(x, image), score(torch.full_like(x, 0.3), image)
    falls = deletion(weights(seed=9), score, over, image, steps=7)
    rises = insertion(weights(seed=9), score, over, image, steps=7)
    for curve, ends in ((falls, (plain, blank)), (rises, (blank, plain))):
        assert torch.equal(curve.p[:, 0], ends[0])
        torch.testing.assert_close(curve.p[:, -1], ends[1], atol=1e-7, rtol=0)
    scaled = falls.normalised(plain, blank)
    usual = plain > blank
    assert usual.any()
    assert torch.allclose(scaled.p[usual, 0], torch.ones(1).double())
    assert scaled.p[usual, -1].abs().max() < 1e-6
    assert scaled.p[~usual].isnan().all()


def test_what_scores_no_more_than_the_blank_has_no_normalised_curve() -> None:
    curve = Curve(torch.tensor([0.0, 1.0]), torch.tensor([[0.2, 0.4], [0.4, 0.4], [0.9, 0.4]]))
    scaled = curve.normalised(curve.p[:, 0], curve.p[:, 1])
    assert scaled.p.isnan().all(1).tolist() == [True, True, False]


def test_maps_that_say_nothing_have_no_curve() -> None:
    w = weights()
    heat = w.clone()
    heat[0], heat[1, 2, 2] = 0, torch.nan
    score, over = Linear(w), Blank(ones(w))
    curve = deletion(heat, score, over, torch.arange(3))
    assert curve.p.isnan().all(1).tolist() == [True, True, False]
    assert curve.auc().isnan().tolist() == [True, True, False]
    found = box_scores(heat, score, over)
    assert found.smallest().isnan().tolist() == [True, True, False]


def test_nothing_depends_on_the_batch_and_little_is_made_at_once() -> None:
    w, counts = weights().round(decimals=2), list[int]()
    score, index = Linear(w), torch.tensor([4, 9, 2])
    whole = deletion(w, score, Counted(Blank(ones(w)), counts), index, together=7)
    assert max(counts) <= 7
    assert sum(counts) == 3 * 31
    for row in range(3):
        one = w[row : row + 1]
        alone = deletion(one, Linear(one), Blank(ones(one)), index[row : row + 1])
        assert torch.equal(alone.p[0], whole.p[row])


def test_ties_are_shuffled_by_seed_and_image_only() -> None:
    heat = torch.tensor([[[1.0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0]]]).expand(2, 2, 6)
    ranks = order(heat, torch.tensor([3, 8]))
    assert (ranks[:, 0, 5] == 0).all()
    assert (ranks[:, 0, 0] == 1).all()
    assert not torch.equal(ranks[0], ranks[1])
    assert torch.equal(ranks[1], order(heat[:1], torch.tensor([8]))[0])
    assert not torch.equal(ranks, order(heat, torch.tensor([3, 8]), seed=1))
    assert ranks.flatten(1).sort()[0].tolist() == [list(range(12))] * 2


def test_boxes_are_tight_and_their_scores_exact() -> None:
    heat = torch.zeros(1, 6, 8)
    heat[0, 1:5, 2:7] = 0.4
    heat[0, 2:4, 3:5] = 1.0
    w = heat.double() / heat.double().sum()
    found = box_scores(heat, Linear(w), Blank(ones(w)), alphas=(0.0, 0.2, 0.6, 0.99))
    assert found.boxes[0].tolist() == [[0, 0, 6, 8], [1, 2, 5, 7], [2, 3, 4, 5], [2, 3, 4, 5]]
    torch.testing.assert_close(found.areas[0], torch.tensor([48, 20, 4, 4]) / 48)
    left = 16 * 0.4 / (16 * 0.4 + 4)
    assert found.scores[0].tolist() == pytest.approx([0, 0, left, left], abs=1e-6)
    assert found.smallest(0.9).tolist() == pytest.approx([20 / 48])
    assert found.smallest(0.3).tolist() == pytest.approx([4 / 48])


class Redrawn(NamedTuple):
    """Fills with another grey level at every step."""

    x: Tensor

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        return Blank(self.x, level=-0.1 * step)(m, step, shift)


def test_random_fills_are_averaged_over_draws_that_no_optimisation_sees() -> None:
    w = weights()
    score, index = Linear(w), torch.arange(3)
    curve = deletion(w, score, Redrawn(ones(w)), index, draws=3)
    mean = deletion(w, score, Blank(ones(w), level=0.2), index)
    torch.testing.assert_close(curve.p, mean.p)
    boxes = box_scores(w, score, Redrawn(ones(w)), draws=3)
    torch.testing.assert_close(
        boxes.scores, box_scores(w, score, Blank(ones(w), level=0.2)).scores, atol=1e-6, rtol=0
    )


def test_a_drop_no_box_reaches_has_no_area() -> None:
    scores = torch.tensor([[1.0, 0.5], [torch.nan, torch.nan]])
    found = BoxScores(torch.zeros(2), torch.zeros(2, 2, 4), torch.rand(2, 2), scores)
    assert found.smallest().isnan().tolist() == [True, True]
    assert found.smallest(0.5).isnan().tolist() == [False, True]


def test_wrong_settings_are_told() -> None:
    w = weights()
    with pytest.raises(ValueError, match="steps=0: a curve needs at least 1 step"):
        deletion(w, Linear(w), Blank(ones(w)), torch.arange(3), steps=0)
    with pytest.raises(ValueError, match="draws=0: must be 1 or more"):
        deletion(w, Linear(w), Blank(ones(w)), torch.arange(3), draws=0)
    found = box_scores(w, Linear(w), Blank(ones(w)), alphas=(0.5,))
    with pytest.raises(ValueError, match="drop=90: must be a share of the score"):
        found.smallest(90)
