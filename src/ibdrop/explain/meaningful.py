r"""Meaningful perturbations: the least that must go for a network to change its mind."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from ibdrop.explain.asked import Asked
from ibdrop.explain.base import GAMES, Explanation, Game, Method, Perturbation, Score
from ibdrop.explain.blur import to_pixels
from ibdrop.explain.disc import smallest
from ibdrop.explain.lbfgsb import bounded
from ibdrop.explain.mask import UPSAMPLINGS, Grid, Upsampling, undecided, variation
from ibdrop.seeds import key

__all__ = ["OPTIMISERS", "STARTS", "Meaningful", "Optimiser", "Start"]

Start = Literal["disc", "ones"]
STARTS: tuple[str, ...] = get_args(Start)
Optimiser = Literal["adam", "lbfgsb"]
OPTIMISERS: tuple[str, ...] = get_args(Optimiser)


class Meaningful(Method):
    r"""Searches a smooth mask of small area that lowers, or that keeps, a score.

    .. math::
        \min_{m \in [0, 1]^{h \times w}} \; \lambda_1 \int |1 - m|
        + \lambda_2 \int \lVert \nabla m \rVert^\beta
        + \lambda_3 \int \left( \tfrac12 - |m - \tfrac12| \right)
        + \mathbb{E}_\tau \, f(\Phi(x_0(\cdot - \tau); M))

    with :math:`M` the mask enlarged and smoothed, through which gradients flow; in preservation
    :math:`m` stands for :math:`1 - m` and :math:`-f` for :math:`f`. Integrals are over the
    picture, its shorter side being 1, so that weights mean the same on any grid: the paper's sums
    over 28 x 28 cells are :math:`\lambda_1 = 784 \cdot 10^{-4}` and
    :math:`\lambda_2 = 28^{2 - \beta} \cdot 10^{-2}`.

    Adam sees one shift :math:`\tau` per step, the same for all images, keyed by seed and step;
    its last mask is taken, for the lowest cost on the way is as a rule the luckiest shift.
    L-BFGS-B needs a cost that stands still: the mean over all shifts, each `draws` times.

    Arguments:
        game: See `ibdrop.explain.base.Game`.
        l1: :math:`\lambda_1`, the price of the whole picture in units of the score.
        tv: :math:`\lambda_2`.
        tv_power: :math:`\beta`, at least 1.
        isotropic: See `ibdrop.explain.mask.variation`.
        binarise: :math:`\lambda_3`; 0 for none, as in the paper.
        grid: Cells along the shorter side; never more than it has pixels.
        upsampling: See `ibdrop.explain.mask.Upsampling`.
        smoothing: The deviation of the Gaussian over the mask, in pixels of a picture of 224 px.
        jitter: The number of shifts along each axis, around no shift, likewise scaled; 1 for none.
        start: The smallest centred disc with 99 % of the effect, or a mask of ones.
        steps: Steps of Adam, or the evaluations after which L-BFGS-B stops.
        lr: Adam's step.
        optimiser: See `Optimiser`.
        patience: Images stop when the mean cost over so many steps is not better than over as
            many before by `tolerance`; `None` never stops. Adam only.
        tolerance: Relative to that cost.
        draws: Draws of a random fill for each shift, for L-BFGS-B.
        seed: What shifts are keyed by.

    Raises:
        ValueError: A value is outside its range, or a word is unknown.

    Source: Fong & Vedaldi, Interpretable Explanations of Black Boxes by Meaningful Perturbation
    (2017), equation 4.
    """

    name: ClassVar[str] = "meaningful"

    def __init__(
        self,
        *,
        game: Game = "deletion",
        l1: float = 0.0784,
        tv: float = 0.01 / 28,
        tv_power: float = 3.0,
        isotropic: bool = True,
        binarise: float = 0.0,
        grid: int = 28,
        upsampling: Upsampling = "bilinear",
        smoothing: float = 5.0,
        jitter: float = 4,
        start: Start = "disc",
        steps: int = 300,
        lr: float = 0.1,
        optimiser: Optimiser = "adam",
        patience: int | None = None,
        tolerance: float = 0.01,
        draws: int = 1,
        seed: int = 0,
    ) -> None:
        _check_words(game=game, upsampling=upsampling, start=start, optimiser=optimiser)
        _check_least(0, l1=l1, tv=tv, binarise=binarise, smoothing=smoothing, tolerance=tolerance)
        _check_least(1, tv_power=tv_power, jitter=jitter, steps=steps, draws=draws)
        _check_least(2, grid=grid)
        if lr <= 0:
            raise ValueError(f"lr={lr}: must be positive; the paper's is 0.1.")
        if patience is not None and patience < 1:
            raise ValueError(f"patience={patience}: must be 1 step or more, or none to go on.")
        self.game, self.l1, self.tv, self.tv_power = game, l1, tv, tv_power
        self.isotropic, self.binarise = isotropic, binarise
        self.grid, self.upsampling, self.smoothing = grid, upsampling, smoothing
        self.jitter, self.start, self.steps, self.lr = jitter, start, steps, lr
        self.optimiser, self.patience, self.tolerance = optimiser, patience, tolerance
        self.draws, self.seed = draws, seed

    def explain(
        self,
        score: Score,
        perturbation: Perturbation,
        shape: torch.Size,
        device: torch.device,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> Explanation:
        height, width = shape[2:]
        grid = Grid(
            self.grid,
            height,
            width,
            smoothing=self.smoothing,
            upsampling=self.upsampling,
            device=device,
        )
        asked = Asked(score, perturbation, grid, shape[0], device)
        m = self._first(asked)
        if self.optimiser == "adam":
            m, trace, scores, steps = self._adam(asked, m, shape, on_step)
        else:
            m, trace, scores, steps = self._bounded(asked, m, shape, on_step)
        masks = grid.smooth(m).clamp(0, 1)[:, None]
        heat = masks[:, 0] if self.game == "preservation" else 1 - masks[:, 0]
        return Explanation(masks, heat, trace[..., None], scores[..., None], steps[:, None])

    def cost(self, m: Tensor, score: Tensor) -> Tensor:
        """What is minimised, from coarse masks of shape (B, h, w) and scores of shape (B)."""
        kept = self.game == "preservation"
        part = m if kept else 1 - m
        total: Tensor = self.l1 * part.abs().mean((1, 2)) + (-score if kept else score)
        if self.tv:
            total = total + self.tv * variation(m, self.tv_power, self.isotropic)
        if self.binarise:
            total = total + self.binarise * undecided(m)
        return total

    def shift(self, step: int, shape: torch.Size) -> tuple[int, int]:
        """How far picture and fill are moved below the mask at this step."""
        shifts = self.shifts(shape)
        return shifts[key(self.seed, "explain", "shift", step) % len(shifts)]

    def shifts(self, shape: torch.Size) -> list[tuple[int, int]]:
        """All shifts in pixels of pictures of this shape, around no shift."""
        count = max(1, round(to_pixels(self.jitter, *shape[2:])))
        ways = [way - (count - 1) // 2 for way in range(count)]
        return [(down, right) for down in ways for right in ways]

    def _first(self, asked: Asked) -> Tensor:
        if self.start == "ones":
            return torch.ones(asked.count, *asked.grid.size, device=asked.device)

        def scored(m: Tensor) -> Tensor:
            return asked(m.to(asked.device).expand(asked.count, -1, -1), 0, (0, 0))

        return smallest(scored, asked.grid.size, self.game == "preservation")

    def _adam(
        self, asked: Asked, m: Tensor, shape: torch.Size, on_step: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        m = m.requires_grad_()
        adam = torch.optim.Adam([m], self.lr)
        trace = torch.full((2, self.steps, asked.count), torch.nan, device=asked.device)
        taken = torch.full((asked.count,), self.steps, device=asked.device)
        rows: Tensor | None = None
        for step in range(self.steps):
            on_step(step)
            s = asked(m, step, self.shift(step, shape), rows)
            total = self.cost(m if rows is None else m[rows], s)
            (m.grad,) = torch.autograd.grad(total.sum(), m)
            trace[:, step, slice(None) if rows is None else rows] = torch.stack(
                [total, s]
            ).detach()
            m = _stepped(adam, m, rows)
            if self.patience and self._looks(step):
                idle = self._idle(trace[0], step) & (taken == self.steps)
                taken[idle] = step + 1
                rows = (taken == self.steps).nonzero()[:, 0]
                if not len(rows):
                    break
        last = int(taken.max())
        return m.detach(), trace[0, :last], trace[1, :last], taken

    def _looks(self, step: int) -> bool:
        assert self.patience is not None
        done = step + 1
        return done < self.steps and done % self.patience == 0 and done >= 2 * self.patience

    def _idle(self, trace: Tensor, step: int) -> Tensor:
        """Which images gained less than the tolerance over the last steps; true if stopped."""
        assert self.patience is not None
        window = trace[step + 1 - 2 * self.patience : step + 1].unflatten(0, (2, self.patience))
        before, after = window.mean(1)
        gains: Tensor = before - after > self.tolerance * before.abs()
        return ~gains

    def _bounded(
        self, asked: Asked, m: Tensor, shape: torch.Size, on_step: Callable[[int], None]
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        shifts = self.shifts(shape)
        pairs = [(step, shifts[step % len(shifts)]) for step in range(self.draws * len(shifts))]
        found, traces = m.clone(), []
        for row in range(asked.count):
            one = torch.tensor([row], device=asked.device)

            def cost(coarse: Tensor, one: Tensor = one) -> tuple[Tensor, Tensor]:
                masks = m.index_copy(0, one, coarse[None])
                s = asked.mean(masks, pairs, one)
                return self.cost(coarse[None], s)[0], s[0]

            found[row], trace = bounded(cost, m[row], self.steps, on_step)
            traces.append(torch.tensor(trace, device=asked.device))
        steps = torch.tensor([len(trace) for trace in traces], device=asked.device)
        both = torch.nn.utils.rnn.pad_sequence(traces, padding_value=torch.nan)
        return found, both[..., 0], both[..., 1], steps


def _stepped(adam: torch.optim.Adam, m: Tensor, rows: Tensor | None) -> Tensor:
    """One step within [0, 1]; rows that have stopped stay where they are."""
    with torch.no_grad():
        before = m.clone() if rows is not None else m
        adam.step()
        m.clamp_(0, 1)
        if rows is not None:
            m.copy_(before.index_copy(0, rows, m[rows]))
    return m


def _check_words(**words: str) -> None:
    choices = {
        "game": GAMES,
        "upsampling": UPSAMPLINGS,
        "start": STARTS,
        "optimiser": OPTIMISERS,
    }
    for name, word in words.items():
        if word not in choices[name]:
            raise ValueError(f"{name}={word}: must be one of {', '.join(choices[name])}.")


def _check_least(least: float, **values: float) -> None:
    for name, value in values.items():
        if not value >= least:
            raise ValueError(f"{name}={value}: must be {least} or more.")
