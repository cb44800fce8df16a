r"""Extremal perturbations: of all smooth masks of a given area, the one that does the most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from ibdrop.explain.area import area_penalty
from ibdrop.explain.base import Explanation, Method, Perturbation, Score
from ibdrop.explain.blur import blurred, to_pixels
from ibdrop.explain.smooth import MaxConvolution

__all__ = ["AREAS", "Extremal", "ExtremalGame"]

ExtremalGame = Literal["deletion", "preservation", "dual"]
"""`deletion` deletes the area and lowers the score; `preservation` keeps the area, deletes the
rest and raises it; `dual` does both with one mask."""

AREAS = (0.025, 0.05, 0.1, 0.2)

PAPER_STEPS = 800
"""Rates are given for so many steps; with fewer, each step goes as much further."""

NEAR = 0.5
"""Areas are centred once they are wrong by less than this part of themselves and by less than
0.05 of the picture; what is wrong at the start must not add up."""


class Extremal(Method):
    r"""Seeks, for each area :math:`a`, the smooth mask of that area with the largest effect.

    .. math:: \min_p \; s\bigl(\Phi(x_0; m)\bigr) + \lambda_t R_a(e), \qquad
              R_a(e) = \frac{1}{HW} \sum_j \bigl(\mathrm{sort}(e)_j - [\,j > (1 - a) HW\,]\bigr)^2

    where :math:`e` is the smooth max-convolution of the parameters :math:`p \in [0, 1]` (see
    `ibdrop.explain.smooth.MaxConvolution`) and :math:`\lambda_t = \lambda_0 g^t`. In `deletion`
    :math:`m = 1 - e`; in `preservation` :math:`m = e` and the score counts negatively; `dual`
    has :math:`s(\Phi(1 - e)) - s(\Phi(e))`. So `areas` are what is deleted, or what is kept. The
    masks of all images and areas are sought at once, and none depends on another.

    The published reward is the logit, or its margin over the best other class, as it is. Here
    any score will do, since it is multiplied such that the whole image and the wholly deleted
    one are `span` apart: :math:`\lambda` then means the same for probabilities and logits.
    Where pixels are equal at the threshold of the sort they share it evenly, and parameters are
    mirrored at the edge, so that a flat start prefers no corner. Kernels have soft edges, which
    makes masks larger than asked for by up to 0.02; so the share in :math:`R_a` is lowered or
    raised, by `centring` times the error in each step, until the mean of :math:`e` is
    near :math:`a`. One kernel alone has about 0.0175 of the picture: areas of one or two of them
    are met less closely than larger ones.

    Arguments:
        areas: Areas :math:`a` as shares of the picture.
        game: See `ExtremalGame`. Masks of `dual` keep, as those of `preservation`.
        steps: Steps of gradient descent. With fewer than 800 each goes as much further: `lr` and
            `centring` are multiplied by 800 / `steps`, and `growth` is raised to that power.
        lr: The learning rate with 800 steps.
        momentum: The momentum.
        dampening: The dampening of the momentum.
        weight: The weight :math:`\lambda_0` of the area.
        growth: The factor :math:`g` by which it grows in each of 800 steps.
        grid: Pixels between parameters, of a picture of 224; rounded to whole ones here.
        radius: The radius of the kernel in pixels of a picture of 224.
        temperature: The inverse temperature of the smooth maximum.
        span: How far apart the score of the image and of what is left of it when all is deleted
            are made; 0 leaves the score as it is, as published.
        centring: How fast the share asked for follows the area reached, per step of 800.
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
        Smooth Masks (ICCV 2019, arXiv 1910.08485).
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
        span: float = 100.0,
        centring: float = 0.0025,
        flip: bool = False,
        smoothing: float = 0.0,
        patience: int = 0,
        tolerance: float = 1e-3,
    ) -> None:
        _check(areas, game, steps, patience)
        _positive(lr=lr, weight=weight, growth=growth, grid=grid, radius=radius)
        _not_negative(momentum=momentum, span=span, centring=centring, smoothing=smoothing)
        self.areas, self.game, self.steps = tuple(areas), game, steps
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight, self.growth = weight, growth
        self.grid, self.radius, self.temperature = grid, radius, temperature
        self.span, self.centring = span, centring
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
        heat = blurred(e.mean(1), width)
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
        self.pace = PAPER_STEPS / how.steps
        self.how, self.score, self.perturbation = how, score, perturbation
        self.shape = (count, len(how.areas), height, width)
        like = torch.zeros((), device=device)
        step = max(1, round(to_pixels(how.grid, height, width)))
        radius = to_pixels(how.radius, height, width)
        self.smooth = MaxConvolution((height, width), step, radius, how.temperature, like)
        masks = count * len(how.areas)
        self.p = torch.ones(masks, *self.smooth.grid, device=device, requires_grad=True)
        self.rule = torch.optim.SGD(
            [self.p], lr=how.lr * self.pace, momentum=how.momentum, dampening=how.dampening
        )
        self.image = torch.arange(count, device=device).repeat_interleave(len(how.areas))
        self.taken = torch.zeros(self.shape[:2], dtype=torch.int64, device=device)
        self.stopped = torch.zeros(self.shape[:2], dtype=torch.bool, device=device)
        self.areas = torch.tensor(how.areas, device=device)
        self.share = self.areas.expand(self.shape[:2])
        self.factor = torch.ones((), device=device)
        self.trace: list[Tensor] = []
        self.scores: list[Tensor] = []
        self.before: Tensor | None = None
        self.done = False

    def effect(self) -> Tensor:
        """The masks :math:`e`, with shape (B, A, H, W)."""
        return self.smooth.cropped(self._whole())

    def _whole(self) -> Tensor:
        whole = self.smooth.whole(self.p)
        return whole.view(*self.shape[:2], *whole.shape[1:])

    def take(self, step: int) -> None:
        """Takes one step with every mask that has not stopped."""
        whole = self._whole()
        e = self.smooth.cropped(whole)
        if self._settled(e.detach(), step):
            return
        reward, shown = self._reward(e, step)
        if not step:
            self.factor = self._factor()
        weight = self.how.weight * self.how.growth ** (self.pace * step)
        objective = self.factor * reward + weight * area_penalty(whole, self.share)
        going = ~self.stopped
        self.trace.append(objective.detach().where(going, torch.nan))
        self.scores.append(shown.detach().where(going, torch.nan))
        self.p.grad = torch.autograd.grad(objective.sum(), self.p)[0]
        old = self.p.detach().clone()
        self.rule.step()
        with torch.no_grad():
            self.p.clamp_(0, 1).copy_(self.p.where(going.view(-1, 1, 1), old))
            self._centre(e.detach(), going)
        self.taken += going

    def _centre(self, e: Tensor, going: Tensor) -> None:
        """Asks for less where a mask is too large, and for more where it is too small."""
        wrong = e.mean((2, 3)) - self.areas
        near = going & (wrong.abs() < (NEAR * self.areas).clamp_max(0.05))
        rate = self.how.centring * self.pace
        share = self.share - rate * wrong * near
        self.share = share.clamp(self.areas / 2, self.areas * 1.5).clamp_max(1)

    @torch.no_grad()
    def _factor(self) -> Tensor:
        """What the reward is multiplied by, with shape (B, 1)."""
        if not self.how.span:
            return torch.ones((), device=self.p.device)
        count, _, height, width = self.shape
        kept = torch.ones(count, 1, height, width, device=self.p.device)
        image = torch.arange(count, device=self.p.device)
        first, last = (self.score(self.perturbation(m, 0)[:, 0], image) for m in (kept, 0 * kept))
        between = (first - last).abs()
        least = 0.01 * torch.maximum(first.abs(), last.abs()).clamp_min(1e-6)
        return (self.how.span / between.maximum(least))[:, None]

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


def _check(areas: Sequence[float], game: str, steps: int, patience: int) -> None:
    if not areas or not all(0 < area < 1 for area in areas):
        raise ValueError(
            f"areas are {list(areas)}; give one or more shares of the picture, each between 0"
            " and 1, such as 0.05 0.1."
        )
    if game not in get_args(ExtremalGame):
        raise ValueError(f"game={game}: must be one of {', '.join(get_args(ExtremalGame))}.")
    if steps < 1 or patience < 0:
        raise ValueError(f"steps={steps}, patience={patience}: must be at least 1, and 0 or more.")


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value:g}; it must be above 0.")


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise ValueError(f"{name} is {value:g}; it must be 0 or more.")
