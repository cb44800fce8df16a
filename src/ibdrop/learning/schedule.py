"""Learning-rate schedules: pure functions of how much of the run is done.

A schedule maps the share of the run that is done, in [0, 1), to a factor on the learning rate
of the optimiser. It has no state, so a resumed run continues it exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

__all__ = ["Constant", "Cosine", "MultiStep", "OneCycle", "Schedule"]

Schedule = Callable[[float], float]


class Constant:
    """Keeps the learning rate."""

    def __call__(self, done: float) -> float:
        return 1.0


class MultiStep:
    """Multiplies the learning rate by `gamma` at each milestone.

    Arguments:
        milestones: Shares of the run in (0, 1); 30 and 60 of 80 epochs are 0.375 and 0.75.
        gamma: The factor at each milestone.

    Raises:
        ValueError: A milestone lies outside (0, 1).
    """

    def __init__(self, milestones: Sequence[float], gamma: float = 0.1) -> None:
        if not all(0 < milestone < 1 for milestone in milestones):
            raise ValueError(
                f"milestones: {list(milestones)} must be shares of the run between 0 and 1, "
                "for example [0.375, 0.75] for epochs 30 and 60 of 80"
            )
        self.milestones = tuple(milestones)
        self.gamma = gamma

    def __call__(self, done: float) -> float:
        return float(self.gamma ** sum(done >= milestone for milestone in self.milestones))


class Cosine:
    r"""Lowers the learning rate along half a cosine, from 1 to `end`.

    .. math:: e + (1 - e) \, \tfrac{1}{2} (1 + \cos \pi t)
    """

    def __init__(self, end: float = 0.0) -> None:
        self.end = end

    def __call__(self, done: float) -> float:
        return self.end + (1 - self.end) * 0.5 * (1 + math.cos(math.pi * done))


class OneCycle:
    """Rises linearly from `start` to `peak`, then falls along a cosine to `end`.

    References:
        Smith & Topin, Super-Convergence, 2018 (arXiv 1708.07120).

    Arguments:
        rise: The share of the run spent rising, in (0, 1).
        start: The first factor on the learning rate.
        peak: The largest factor.
        end: The last factor.

    Raises:
        ValueError: `rise` lies outside (0, 1).
    """

    def __init__(
        self, rise: float = 0.25, start: float = 1.0, peak: float = 10.0, end: float = 0.0
    ) -> None:
        if not 0 < rise < 1:
            raise ValueError(f"rise: {rise} must be a share of the run between 0 and 1")
        self.rise, self.start, self.peak = rise, start, peak
        self.fall = Cosine(end / peak)

    def __call__(self, done: float) -> float:
        if done < self.rise:
            return self.start + (self.peak - self.start) * done / self.rise
        return self.peak * self.fall((done - self.rise) / (1 - self.rise))
