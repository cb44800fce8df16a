r"""How a score falls and rises as a heat map's pixels are deleted and shown: curves and areas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.explain.base import Perturbation, Score
from ibdrop.seeds import generator

__all__ = ["ALPHAS", "BoxScores", "Curve", "box_scores", "deletion", "insertion", "order"]

ALPHAS = tuple(step / 100 for step in range(100))
"""Shares of a map's range at which Fong & Vedaldi threshold it."""

TOGETHER = 256


class Curve(NamedTuple):
    r"""The probability of the class asked for as a growing share of the pixels is changed.

    Attributes:
        fractions: Shares :math:`n_k / HW` of pixels changed, exact, from 0 to 1, of shape (S).
        p: Probabilities, with shape :math:`(B, S)`; NaN where the map is zero everywhere.
    """

    fractions: Tensor
    p: Tensor

    def auc(self) -> Tensor:
        r"""The area under the curve by the trapezoid rule, endpoints included, of shape (B).

        As in Petsiuk, Das & Saenko, RISE (2018): low is good in deletion, high in insertion.
        """
        return torch.trapezoid(self.p.double(), self.fractions.double(), dim=1)

    def normalised(self, p_start: Tensor, p_blank: Tensor) -> Curve:
        r"""The curve on a scale on which the plain image is 1 and the fully filled one 0.

        .. math:: \tilde p = (p - p_{\text{blank}}) / (p_{\text{start}} - p_{\text{blank}})

        NaN where the plain image scores no more than the blank one: there is nothing to lose.
        """
        return Curve(self.fractions, _normalised(self.p, p_start, p_blank))


class BoxScores(NamedTuple):
    """What is left of the score when the tight box around the hottest pixels is filled.

    Attributes:
        alphas: Shares of the map's range at which it was thresholded, with shape :math:`(K)`.
        boxes: Top, left, bottom and right in pixels, ends exclusive, with shape
            :math:`(B, K, 4)`.
        areas: Shares of the picture they cover, with shape :math:`(B, K)`.
        scores: Normalised probabilities, 1 for the image and 0 for the blank one, likewise; NaN
            where the map is zero everywhere or there is nothing to lose.
    """

    alphas: Tensor
    boxes: Tensor
    areas: Tensor
    scores: Tensor

    def smallest(self, drop: float = 0.9) -> Tensor:
        """The smallest box whose filling takes at least the share `drop` of the score.

        Returns:
            Its share of the picture, with shape :math:`(B)`; NaN where no box does.

        Raises:
            ValueError: `drop` is not a share.
        """
        if not 0 < drop <= 1:
            raise ValueError(f"drop={drop}: must be a share of the score, above 0 and at most 1.")
        enough = self.scores <= 1 - drop + 1e-12
        least = self.areas.double().masked_fill(~enough, torch.inf).amin(1)
        return least.masked_fill(least.isinf(), torch.nan)


def deletion(
    heat: Tensor,
    score: Score,
    perturbation: Perturbation,
    index: Tensor,
    *,
    steps: int = 50,
    seed: int = 0,
    draws: int = 1,
    together: int = TOGETHER,
) -> Curve:
    """Deletes pixels, the hottest first: from the plain image to the fully filled one.

    Arguments:
        heat: How much each pixel matters, with shape :math:`(B, H, W)`.
        score: Whose probability is followed.
        perturbation: What stands where pixels are deleted.
        index: The numbers of the images, which key the order of equally hot pixels, of shape (B).
        steps: Steps between the ends; no more than there are pixels are taken.
        seed: See `order`.
        draws: Draws of a random fill over which probabilities are averaged, of steps -1, -2, ...,
            which no optimisation sees.
        together: Composites made and scored at once; never fewer than the :math:`B` of one step.

    Raises:
        ValueError: There are no steps, or no draws.
    """
    return _curve(heat, score, perturbation, index, steps, seed, draws, together, inserts=False)


def insertion(
    heat: Tensor,
    score: Score,
    perturbation: Perturbation,
    index: Tensor,
    *,
    steps: int = 50,
    seed: int = 0,
    draws: int = 1,
    together: int = TOGETHER,
) -> Curve:
    """Shows pixels of the image, the hottest first: from the fully filled one to the plain one.

    Arguments and errors are those of `deletion`.
    """
    return _curve(heat, score, perturbation, index, steps, seed, draws, together, inserts=True)


def order(heat: Tensor, index: Tensor, seed: int = 0) -> Tensor:
    """Ranks pixels, 0 the hottest; equally hot ones in a random order, keyed by seed and image.

    Masks are exactly 0 or 1 over wide areas; an order by rows would draw a front through them.

    Returns:
        Ranks with the shape of `heat`, :math:`(B, H, W)`.
    """
    ranks = torch.empty_like(heat, dtype=torch.long)
    for row, (one, number) in enumerate(zip(heat, index.tolist(), strict=True)):
        draw = generator(seed, "explain", "ties", number)
        shuffled = torch.randperm(one.numel(), generator=draw).to(heat.device)
        hottest = shuffled[one.flatten()[shuffled].argsort(descending=True, stable=True)]
        ranks[row].view(-1)[hottest] = torch.arange(one.numel(), device=heat.device)
    return ranks


@torch.no_grad()
def box_scores(
    heat: Tensor,
    score: Score,
    perturbation: Perturbation,
    *,
    alphas: Sequence[float] = ALPHAS,
    draws: int = 1,
    together: int = TOGETHER,
) -> BoxScores:
    r"""Fills the tight box around what is hotter than a threshold, for many thresholds.

    .. math::
        \{u : h(u) \ge \min h + \alpha (\max h - \min h)\}, \qquad
        \tilde p = (p - p_{\text{blank}}) / (p_{\text{start}} - p_{\text{blank}})

    The other arguments are those of `deletion`; `alphas` are shares of the map's range.

    Source: Fong & Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation
    (2017), section 5.4.
    """
    heat = heat.double()
    low, high = heat.amin((1, 2))[:, None], heat.amax((1, 2))[:, None]
    levels = torch.tensor(alphas, dtype=heat.dtype, device=heat.device)
    cuts = low + levels * (high - low)
    boxes = torch.stack([_tight(heat >= cut[:, None, None]) for cut in cuts.T], 1)
    height, width = heat.shape[1:]
    ends = torch.tensor([[0, 0, 0, 0], [0, 0, height, width]], device=heat.device)
    tried = torch.cat([ends.expand(len(heat), 2, 4), boxes], 1)
    p = torch.cat(
        [
            _probabilities(score, perturbation, _outside(part, height, width), draws)
            for part in tried.split(max(1, together // len(heat)), 1)
        ],
        1,
    )
    scores = _normalised(p[:, 2:], p[:, 0], p[:, 1])
    top, left, bottom, right = boxes.unbind(-1)
    areas = (bottom - top) * (right - left) / (height * width)
    return BoxScores(levels, boxes, areas, scores.masked_fill(_silent(heat)[:, None], torch.nan))


@torch.no_grad()
def _curve(
    heat: Tensor,
    score: Score,
    perturbation: Perturbation,
    index: Tensor,
    steps: int,
    seed: int,
    draws: int,
    together: int,
    inserts: bool,
) -> Curve:
    if steps < 1:
        raise ValueError(f"steps={steps}: a curve needs at least 1 step between its ends.")
    ranks = order(heat, index, seed)
    pixels = heat[0].numel()
    steps = min(steps, pixels)
    counts = torch.arange(steps + 1, device=heat.device) * pixels // steps
    p = []
    for part in counts.split(max(1, together // len(heat))):
        changed = ranks[:, None] < part[:, None, None]
        kept = changed if inserts else ~changed
        p.append(_probabilities(score, perturbation, kept, draws))
    values = torch.cat(p, 1).masked_fill(_silent(heat)[:, None], torch.nan)
    return Curve(counts.double() / pixels, values)


def _probabilities(score: Score, perturbation: Perturbation, kept: Tensor, draws: int) -> Tensor:
    """Mean probabilities of composites for masks of shape (B, K, H, W), with shape (B, K)."""
    if draws < 1:
        raise ValueError(f"draws={draws}: must be 1 or more.")
    batch, count = kept.shape[:2]
    masks = kept.float()
    image = torch.arange(batch, device=kept.device).repeat_interleave(count)
    total = torch.zeros(batch * count, dtype=torch.float64, device=kept.device)
    for draw in range(draws):
        total += score.probability(perturbation(masks, -1 - draw).flatten(0, 1), image)
    return (total / draws).view(batch, count)


def _normalised(p: Tensor, p_start: Tensor, p_blank: Tensor) -> Tensor:
    start, blank = p_start.double()[:, None], p_blank.double()[:, None]
    return ((p.double() - blank) / (start - blank)).masked_fill(~(start > blank), torch.nan)


def _tight(hot: Tensor) -> Tensor:
    """The smallest boxes around what is true, with shape (B, 4), ends exclusive."""
    ends = []
    for line in (hot.any(2).int(), hot.any(1).int()):
        ends.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (top, bottom), (left, right) = ends
    return torch.stack([top, left, bottom, right], 1)


def _outside(boxes: Tensor, height: int, width: int) -> Tensor:
    """Masks of shape (B, K, H, W) that delete boxes of shape (B, K, 4)."""
    top, left, bottom, right = boxes[..., None, None].unbind(2)
    y = torch.arange(height, device=boxes.device)[:, None]
    x = torch.arange(width, device=boxes.device)
    return ~((y >= top) & (y < bottom) & (x >= left) & (x < right))


def _silent(heat: Tensor) -> Tensor:
    """Whether a map says nothing: zero everywhere, or not a number somewhere."""
    return ~((heat != 0).flatten(1).any(1) & heat.isfinite().flatten(1).all(1))
