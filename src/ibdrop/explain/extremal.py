r"""Extremal perturbations: of all smooth masks of a given area, the one that does the most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ibdrop.explain.base import PAPER_SIDE, Explanation, Method, Perturbation, Score
from ibdrop.explain.smooth import MaxConvolution, blurred

__all__ = ["AREAS", "Extremal", "ExtremalGame", "area_penalty"]

ExtremalGame = Literal["deletion", "preservation", "dual"]
"""`deletion` deletes the area and lowers the score; `preservation` keeps the area, deletes the
rest and raises it; `dual` does both with one mask."""

AREAS = (0.025, 0.05, 0.1, 0.2)


class Extremal(Method):
    r"""Seeks, for each area :math:`a`, the smooth mask of that area with the largest effect.

    .. math:: \min_p \; s\bigl(\Phi(x_0; m)\bigr) + \lambda_t R_a(e), \qquad
              R_a(e) = \frac{1}{HW} \sum_j \bigl(\mathrm{sort}(e)_j - [\,j > (1 - a) HW\,]\bigr)^2

    where :math:`e` is the smooth max-convolution of the parameters :math:`p \in [0, 1]` (see
    `ibdrop.explain.smooth.MaxConvolution`) and :math:`\lambda_t = \lambda_0 g^t`. In `deletion`
    :math:`m = 1 - e`; in `preservation` :math:`m = e` and the score counts negatively; `dual`
    has :math:`s(\Phi(1 - e)) - s(\Phi(e))`. So `areas` are what is deleted, or what is kept. The
    masks of all images and areas are sought at once, and none depends on another.

    The published reward is the logit, or its margin over the best other class; probabilities
    are small beside :math:`\lambda`, and the area settles before they can choose the place.
    Where pixels are equal at the threshold of the sort they share it evenly, so that a flat
    start prefers no corner.

    Arguments:
        areas: Areas :math:`a` as shares of the picture.
        game: See `ExtremalGame`. Masks of `dual` keep, as those of `preservation`.
        steps: Steps of stochastic gradient descent.
        lr: The learning rate.
        momentum: The momentum.
        dampening: The dampening of the momentum.
        weight: The weight :math:`\lambda_0` of the area.
        growth: The factor :math:`g` by which it grows in each step.
        grid: Pixels between parameters, of a picture of 224; rounded to whole ones here.
        radius: The radius of the kernel in pixels of a picture of 224.
        temperature: The inverse temperature of the smooth maximum.
        flip: Whether every second step sees the pictures mirrored, as published; wrong for
            digits, whose mirror images are none.
        smoothing: Width of a Gaussian over the heat, as a share of the short side; 0.09 in the
            published benchmarks.
        patience: A mask is left as it is once it has not changed in so many steps; 0 takes all.
        tolerance: How little counts as no change: the mean over pixels.

    Raises:
        ValueError: A value is out of its range.

    Reference:
        Fong, Patrick & Vedaldi, Understanding Deep Networks via Extremal Perturbations and
        Smooth Masks (ICCV 2019, arXiv 1910.08485), equations 3 to 6.
    """

    name = "extremal"

    def __init__(
        self,
        areas: Sequence[float] = AREAS,
        game: ExtremalGame = "deletion",
        steps: int = 800,
        *,
        lr: float = 0.01,
        momentum: float = 0.9,
        dampening: float = 0.9,
        weight: float = 300.0,
        growth: float = 1.0035,
        grid: float = 7.0,
        radius: float = 21.0,
        temperature: float = 20.0,
        flip: bool = False,
        smoothing: float = 0.0,
        patience: int = 0,
        tolerance: float = 1e-3,
    ) -> None:
        _check(areas, game, steps, patience, {"lr": lr, "weight": weight, "growth": growth})
        self.areas, self.game, self.steps = tuple(areas), game, steps
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight, self.growth = weight, growth
        self.grid, self.radius, self.temperature = grid, radius, temperature
        self.flip, self.smoothing = flip, smoothing
        self.patience, self.tolerance = patience, tolerance

    def explain(
        self,
        score: Score,
        perturbation: Perturbation,
        shape: torch.Size,
        device: torch.device,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> Explanation:
        search = _Search(self, score, perturbation, shape, device)
        for step in range(self.steps):
            on_step(step)
            search.take(step)
            if search.done:
                break
        e = search.effect().detach()
        masks = 1 - e if self.game == "deletion" else e
        width = self.smoothing * min(shape[2:])
        heat = blurred(e.mean(1, keepdim=True), width)[:, 0]
        trace, scores = (torch.stack(each) for each in (search.trace, search.scores))
        return Explanation(masks, heat, trace, scores, search.taken, self.areas)


class _Search:
    """The masks of a batch on their way, of shape (B, A, ...)."""

    def __init__(
        self,
        how: Extremal,
        score: Score,
        perturbation: Perturbation,
        shape: torch.Size,
        device: torch.device,
    ) -> None:
        count, height, width = shape[0], shape[2], shape[3]
        scale = min(height, width) / PAPER_SIDE
        self.how, self.score, self.perturbation = how, score, perturbation
        self.shape = (count, len(how.areas), height, width)
        like = torch.zeros((), device=device)
        step = max(1, round(how.grid * scale))
        radius = how.radius * scale
        self.smooth = MaxConvolution((height, width), step, radius, how.temperature, like)
        masks = count * len(how.areas)
        self.p = torch.ones(masks, *self.smooth.grid, device=device, requires_grad=True)
        self.rule = torch.optim.SGD(
            [self.p], lr=how.lr, momentum=how.momentum, dampening=how.dampening
        )
        self.image = torch.arange(count, device=device).repeat_interleave(len(how.areas))
        self.taken = torch.zeros(self.shape[:2], dtype=torch.int64, device=device)
        self.stopped = torch.zeros(self.shape[:2], dtype=torch.bool, device=device)
        self.trace: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.before: Tensor | None = None
        self.done = False

    def effect(self) -> Tensor:
        """The masks :math:`e`, with shape (B, A, H, W)."""
        return self.smooth(self.p).view(self.shape)

    def take(self, step: int) -> None:
        """Takes one step with every mask that has not stopped."""
        e = self.effect()
        if self._settled(e.detach(), step):
            return
        reward, shown = self._reward(e, step)
        weight = self.how.weight * self.how.growth**step
        objective = reward + weight * area_penalty(e, self.how.areas)
        going = ~self.stopped
        self.trace.append(objective.detach().where(going, torch.nan))
        self.scores.append(shown.detach().where(going, torch.nan))
        self.p.grad = torch.autograd.grad(objective.sum(), self.p)[0]
        old = self.p.detach().clone()
        self.rule.step()
        with torch.no_grad():
            self.p.clamp_(0, 1).copy_(self.p.where(going.view(-1, 1, 1), old))
        self.taken += going

    def _reward(self, e: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """What is to fall, and the score to report, both with shape (B, A)."""
        if self.how.game == "deletion":
            score = self._scored(1 - e, step)
            return score, score
        kept = self._scored(e, step)
        if self.how.game == "preservation":
            return -kept, kept
        return self._scored(1 - e, step) - kept, kept

    def _scored(self, m: Tensor, step: int) -> Tensor:
        pixels = self.perturbation(m, step).flatten(0, 1)
        if self.how.flip and step % 2:
            pixels = pixels.flip(-1)
        return self.score(pixels, self.image).view(self.shape[:2])

    def _settled(self, e: Tensor, step: int) -> bool:
        """Stops masks that have not changed for long; says whether all have."""
        patience = self.how.patience
        if not patience or step % patience:
            return False
        if self.before is not None:
            change = (e - self.before).abs().mean((2, 3))
            self.stopped |= change < self.how.tolerance
            self.done = bool(self.stopped.all())
        self.before = e
        return self.done


def area_penalty(e: Tensor, areas: Sequence[float]) -> Tensor:
    r"""How far masks are from being 1 on a share of the picture and 0 on the rest.

    .. math:: R_a(e) = \frac{1}{HW} \Bigl(\sum_u e_u^2 - 2 \sum_{j > (1 - a) HW} \mathrm{sort}(e)_j
              + a HW\Bigr)

    which is the mean squared distance of the sorted values to a step; a share that is no whole
    number of pixels takes part of one. Pixels equal to the threshold share what is left evenly.

    Arguments:
        e: Masks in [0, 1], with shape :math:`(B, A, H, W)`.
        areas: The area :math:`a` of each, of length :math:`A`.

    Returns:
        The penalties, with shape :math:`(B, A)`.
    """
    flat = e.flatten(2)
    total = flat.shape[2]
    share = torch.tensor(areas, device=e.device, dtype=e.dtype) * total
    with torch.no_grad():
        ranks = [min(total, max(1, total - int(area * total))) for area in areas]
        threshold = torch.stack(
            [flat[:, a].kthvalue(rank, dim=1).values for a, rank in enumerate(ranks)], 1
        )
        above, tied = flat > threshold[..., None], flat == threshold[..., None]
        part = (share - above.sum(2)) / tied.sum(2)
        wanted = torch.where(tied, part[..., None], above.to(e.dtype))
    return ((flat.square() - 2 * wanted * flat).sum(2) + share) / total


def _check(
    areas: Sequence[float], game: str, steps: int, patience: int, positive: dict[str, float]
) -> None:
    if not areas or not all(0 < area < 1 for area in areas):
        raise ValueError(
            f"areas are {list(areas)}; give one or more shares of the picture, each between 0"
            " and 1, such as 0.05 0.1."
        )
    if game not in get_args(ExtremalGame):
        raise ValueError(f"game={game}: must be one of {', '.join(get_args(ExtremalGame))}.")
    if steps < 1 or patience < 0:
        raise ValueError(f"steps={steps}, patience={patience}: must be at least 1, and 0 or more.")
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} is {value:g}; it must be above 0.")
