"""How much ink a digit has, where it is, and what else has as much."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["WINDOW", "Matches", "ink", "tight_boxes"]

ENDS = ("left", "right")
WINDOW = 16
"""Ranks of ink that count as equal; at most a quarter of all, where there are few.

Drawn so, target and distractor differ on average by 0.04 % in the training set of MNIST, by 1.7 %
among the 141 embedded digits of validation that may be scrambled, and by 3.6 % in the smallest
case here, the 38 of them that are zeros, ones and sixes.
"""


def ink(digits: Tensor) -> Tensor:
    """The sum of the grey levels of each digit, as int64 with shape :math:`(N)`.

    Arguments:
        digits: Pixels as uint8, with shape :math:`(N, S, S)`.
    """
    return digits.flatten(1).sum(1, dtype=torch.int64)


class Matches(NamedTuple):
    """Which things may stand beside a digit, in the order of their ink.

    Attributes:
        ordered: Numbers of the things, least ink first, with shape :math:`(M)`.
        rank: For each digit the place of its ink in that order, with shape :math:`(N)`.
        window: The number :math:`w` of neighbours among which is drawn.
    """

    ordered: Tensor
    rank: Tensor
    window: int

    @classmethod
    def of(cls, digits: Tensor, things: Tensor, repeats: int) -> Matches:
        """Sorts the things.

        Arguments:
            digits: The ink of each digit, with shape :math:`(N)`.
            things: The ink of each thing, with shape :math:`(M)`.
            repeats: How many things have the very same ink, being made of the same digit.
        """
        amounts, ordered = things.sort(stable=True)
        window = max(1, min(WINDOW * repeats, len(things) // 4))
        below, above = (torch.searchsorted(amounts, digits, side=end) for end in ENDS)
        return cls(ordered, below.add_(above).div_(2, rounding_mode="floor"), window)

    def drawn(self, target: Tensor, choice: Tensor) -> Tensor:
        r"""Picks things whose ink is next to that of a target.

        A window of :math:`w` ranks is laid so that :math:`o` things in it have less ink than the
        target, :math:`o` in 0 to :math:`w` with half the weight for either end: the target has
        the most ink, or the least, as often as each of :math:`D` things beside it, by the
        trapezoidal rule for :math:`\int_0^1 s^D \, ds = 1 / (1 + D)`. At the ends of the order
        the window stays inside.

        Arguments:
            target: Numbers of the targets, with shape :math:`(B)`.
            choice: Integers drawn from 0 to :math:`2 w - 1`: one for the window, then one for
                each thing, with shape :math:`(B, 1 + D)`.

        Returns:
            Numbers of things, with shape :math:`(B, D)`.
        """
        below = (choice[:, 0] + 1) >> 1
        first = (self.rank[target] - below).clamp_(0, len(self.ordered) - self.window)
        return self.ordered[first[:, None] + (choice[:, 1:] >> 1)]

    def to(self, device: torch.device) -> Matches:
        """Gives the same on `device`."""
        return self._replace(ordered=self.ordered.to(device), rank=self.rank.to(device))


def tight_boxes(strokes: Tensor) -> Tensor:
    """Smallest boxes (top, left, bottom, right) around strokes; (0, 0, 0, 0) if there are none.

    Arguments:
        strokes: Strokes as bool, with shape :math:`(N, H, W)`.
    """
    sides = []
    for axis in (2, 1):
        lit = strokes.any(axis)
        first = lit.byte().argmax(1)
        last = lit.shape[1] - lit.flip(1).byte().argmax(1)
        sides.append((first, torch.where(lit.any(1), last, 0)))
    (top, bottom), (left, right) = sides
    return torch.stack((top, left, bottom, right), 1)
