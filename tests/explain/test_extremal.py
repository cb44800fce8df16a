from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.explain.area import area_penalty
from ibdrop.explain.base import Explanation
from ibdrop.explain.extremal import Extremal, ExtremalGame

SIDE, PATCH = 28, 8


class Patch:
    """Scores the mean of a known patch of each image; its parts count the same."""

    def __init__(self, corners: list[tuple[int, int]], scale: float = 7.0) -> None:
        self.truth = torch.zeros(len(corners), SIDE, SIDE)
        for truth, (top, left) in zip(self.truth, corners, strict=True):
            truth[top : top + PATCH, left : left + PATCH] = 1
        self.scale = scale
        self.seen: list[Tensor] = []

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        self.seen.append(pixels.detach())
        truth = self.truth[image]
        return self.scale * (pixels[:, 0] * truth).sum((1, 2)) / truth.sum((1, 2))

    def probability(self, pixels: Tensor, image: Tensor) -> Tensor:
        raise NotImplementedError


class Black:
    """Deletes into black; counts the steps."""

    def __init__(self, x: Tensor) -> None:
        self.x = x
        self.steps: list[int] = []

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        self.steps.append(step)
        return m[:, :, None] * self.x[:, None]


def found(how: Extremal, score: Patch, x: Tensor | None = None) -> Explanation:
    x = torch.ones(len(score.truth), 1, SIDE, SIDE) if x is None else x
    return how.explain(score, Black(x), x.shape, x.device)


def kept(how: Extremal, explanation: Explanation) -> Tensor:
    return 1 - explanation.masks if how.game == "deletion" else explanation.masks


AREA = PATCH**2 / SIDE**2


@pytest.mark.slow
@pytest.mark.parametrize("game", ["deletion", "preservation", "dual"])
def test_planted_evidence_is_found(game: ExtremalGame) -> None:
    how = Extremal((AREA, 0.2), game, 60)
    score = Patch([(4, 6), (15, 12), (0, 20)])
    effect = kept(how, found(how, score))
    mask, truth = effect[:, 0] > 0.5, score.truth.bool()
    overlap = (mask & truth).sum((1, 2)) / (mask | truth).sum((1, 2))
    assert float(overlap.min()) > 0.65
    assert float((effect[:, 1] * score.truth).sum((1, 2)).min()) > 0.95 * PATCH**2


@pytest.mark.slow
def test_areas_are_what_was_asked_for() -> None:
    how = Extremal((0.05, 0.1, 0.2), "deletion", 150)
    areas = kept(how, found(how, Patch([(4, 6), (15, 12)]))).mean((2, 3))
    assert float((areas - torch.tensor(how.areas)).abs().max()) < 0.01


@pytest.mark.slow
def test_areas_do_not_depend_on_the_place() -> None:
    """A mask in the middle and one at the edge are as large; neither is drawn to a corner."""
    how = Extremal((0.1,), steps=150)
    effect = kept(how, found(how, Patch([(10, 10), (0, 0), (20, 10)])))
    areas = effect.mean((1, 2, 3))
    assert float(areas.max() - areas.min()) < 0.01


def test_the_area_goes_where_the_evidence_is() -> None:
    explanation = found(Extremal((AREA,), steps=40), Patch([(15, 12)]))
    effect = 1 - explanation.masks[0, 0]
    assert float(effect[15:23, 12:20].mean()) > 5 * float(effect.mean())


def test_masks_do_not_mix() -> None:
    score = Patch([(4, 6), (15, 12)])
    together = found(Extremal((0.05, 0.1), steps=25), score)
    for i in range(2):
        for a, area in enumerate((0.05, 0.1)):
            alone = Patch([(4, 6)])
            alone.truth = score.truth[i : i + 1]
            single = found(Extremal((area,), steps=25), alone)
            assert torch.allclose(together.masks[i, a], single.masks[0, 0], atol=1e-4)
            assert torch.allclose(together.trace[:, i, a], single.trace[:, 0, 0], rtol=1e-4)


def test_it_starts_from_ones_and_reports_every_step() -> None:
    score, x = Patch([(4, 6)]), torch.ones(1, 1, SIDE, SIDE)
    perturbation, seen = Black(x), list[int]()
    how = Extremal((0.1,), "preservation", 6, span=0)
    explanation = how.explain(score, perturbation, x.shape, x.device, seen.append)
    assert seen == perturbation.steps == list(range(6))
    assert explanation.trace.shape == explanation.scores.shape == (6, 1, 1)
    assert explanation.steps.tolist() == [[6]]
    assert explanation.areas == (0.1,)
    assert float(score.seen[0].min()) > 0.98
    first = score.seen[0][0, 0]
    penalty = area_penalty(first[None, None], torch.tensor([0.1]))
    assert explanation.trace[0, 0, 0].item() == pytest.approx(
        300 * penalty.item() - explanation.scores[0, 0, 0].item(), rel=1e-5
    )


def test_the_unit_of_the_score_does_not_matter() -> None:
    masks = [found(Extremal((0.1,), steps=20), Patch([(4, 6)], scale)).masks for scale in (1, 64)]
    assert torch.allclose(masks[0], masks[1], atol=1e-4)


def test_the_heat_is_the_mean_over_areas() -> None:
    how = Extremal((0.05, 0.2), "deletion", 20)
    explanation = found(how, Patch([(4, 6)]))
    assert torch.allclose(explanation.heat, 1 - explanation.masks.mean(1), atol=1e-5)
    smooth = found(Extremal((0.05, 0.2), "deletion", 20, smoothing=0.09), Patch([(4, 6)]))
    assert float(smooth.heat.std()) < float(explanation.heat.std())
    assert float(smooth.heat.max()) <= 1


def test_pictures_are_mirrored_only_if_asked() -> None:
    x = torch.zeros(1, 1, SIDE, SIDE)
    x[..., :14] = 1
    for flip, side in ((False, slice(0, 14)), (True, slice(14, 28))):
        score = Patch([(4, 6)])
        found(Extremal((0.1,), steps=2, lr=1e-6, flip=flip, game="preservation"), score, x)
        first, second = score.seen[0], score.seen[-1]
        assert float(first[..., :14].min()) > 0.9
        assert float(second[..., side].min()) > 0.9
        assert float(second[..., side].sum()) == pytest.approx(float(second.sum()))


@pytest.mark.slow
def test_masks_that_have_settled_stop_alone() -> None:
    score = Patch([(4, 6), (15, 12)])
    score.truth[1] = 0
    score.truth[1, 0, 0] = 1
    how = Extremal((AREA,), steps=300, patience=25, tolerance=2e-3)
    explanation = found(how, score)
    steps = int(explanation.steps.max())
    assert steps == len(explanation.trace) < 300
    for i in range(2):
        taken = int(explanation.steps[i, 0])
        assert taken % 25 == 0
        assert explanation.trace[:taken, i, 0].isfinite().all()
        assert explanation.trace[taken:, i, 0].isnan().all()
    alone = Patch([(4, 6)])
    assert torch.allclose(found(how, alone).masks[0], explanation.masks[0], atol=1e-4)


def test_the_penalty_is_that_of_sorted_values() -> None:
    random = torch.Generator().manual_seed(0)
    e = torch.rand(2, 3, 5, 8, generator=random, dtype=torch.float64).requires_grad_()
    share = torch.tensor([0.1, 0.25, 0.5], dtype=torch.float64)
    ours = area_penalty(e, share)
    ordered = e.flatten(2).sort(2).values
    step = torch.arange(40) >= 40 * (1 - share)[:, None]
    theirs = (ordered - step.double()).square().mean(2)
    assert torch.allclose(ours, theirs)
    slopes = [torch.autograd.grad(each.sum(), e)[0] for each in (ours, theirs)]
    assert torch.allclose(slopes[0], slopes[1])


def test_equal_pixels_share_the_area_evenly() -> None:
    e = torch.full((1, 1, 6, 7), 0.5, dtype=torch.float64, requires_grad=True)
    penalty = area_penalty(e, torch.tensor([0.3], dtype=torch.float64))
    assert penalty.item() == pytest.approx(0.25)
    (slope,) = torch.autograd.grad(penalty.sum(), e)
    assert torch.allclose(slope, torch.tensor(2 * (0.5 - 0.3) / 42, dtype=torch.float64))


def test_the_published_path_is_kept_with_fewer_steps() -> None:
    """After half the steps of 800 or 80 the weight has grown as much."""
    score = Patch([(4, 6)])
    for steps in (20, 40):
        trace = found(Extremal((0.1,), steps=steps, lr=1e-9, centring=0), score).trace[:, 0, 0]
        growth = (trace[steps // 2] - trace[0]) / (trace[steps // 4] - trace[0])
        assert growth.item() == pytest.approx(1.0035**200 + 1, rel=1e-3)
    assert math.isclose(300 * 1.0035**799, 4890, rel_tol=2e-3)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"areas": ()}, r"areas are \[\]; give one or more shares of the picture, each between"),
        ({"areas": (0.1, 5)}, r"areas are \[0.1, 5\]; give one or more shares"),
        ({"game": "both"}, r"game=both: must be one of deletion, preservation, dual\."),
        ({"steps": 0}, r"steps=0, patience=0: must be at least 1, and 0 or more\."),
        ({"lr": 0.0}, r"lr is 0; it must be above 0\."),
        ({"radius": -1.0}, r"radius is -1; it must be above 0\."),
        ({"span": -1.0}, r"span is -1; it must be 0 or more\."),
    ],
)
def test_values_out_of_range_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Extremal(**changes)
