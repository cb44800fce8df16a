"""Where two boxes may lie on a canvas without touching: every place as likely as any other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.counter import draw

__all__ = ["DRAWS", "Line", "corners_apart"]

DRAWS = 3
"""How many numbers in the stream one canvas uses up."""

BITS = 30


class Line(NamedTuple):
    r"""Pairs of places for two stretches on a line of :math:`C` pixels.

    Attributes:
        a: The length of the first stretch in pixels, with shape :math:`(B)`.
        b: The length of the second, likewise.
        length: The length of the line :math:`C`.
    """

    a: Tensor
    b: Tensor
    length: int

    @property
    def slack(self) -> Tensor:
        """The pixels left when the two are apart, :math:`s = C - a - b - 1`; below 0 if never."""
        return self.length - 1 - self.a - self.b

    @property
    def pairs(self) -> Tensor:
        """The number of pairs of places, :math:`(C - a + 1)(C - b + 1)`."""
        return (self.length + 1 - self.a) * (self.length + 1 - self.b)

    @property
    def apart(self) -> Tensor:
        """The number of pairs with a pixel or more between them, :math:`(s + 1)(s + 2)`."""
        return (self.slack + 1).clamp_min(0) * (self.slack + 2)

    def anywhere(self, u: Tensor, v: Tensor) -> Tensor:
        """Turns two fractions into any pair, each as likely as any other."""
        free = self.length + 1
        return torch.stack((_below(free - self.a, u), _below(free - self.b, v)), 1)

    def separate(self, u: Tensor, v: Tensor) -> Tensor:
        r"""Turns two fractions into a pair that is apart, each as likely as any other.

        A pair is an order of the two and :math:`0 \le l \le h \le s`, the free pixels before the
        one and before the other. The grid of :math:`i \le s` and :math:`j \le s + 1` is two such
        triangles: :math:`(i, j - 1)` where :math:`i < j`, and :math:`(j, i)` elsewhere.
        """
        i, j = _below(self.slack + 1, u), _below(self.slack + 2, v)
        first = torch.where(i < j, i, i + self.b + 1)
        second = torch.where(i < j, j + self.a, j)
        return torch.stack((first, second), 1)

    def together(self, u: Tensor) -> Tensor:
        """Turns a fraction into a pair that is not apart, each as likely as any other.

        For each place of the first stretch the places of the second are counted.
        """
        a, b = self.a[:, None], self.b[:, None]
        place = torch.arange(self.length + 1, device=u.device)
        lowest = (place - b).clamp_min_(0)
        highest = torch.minimum(place + a, self.length - b)
        counts = (highest - lowest + 1) * (place + a <= self.length)
        total = counts.cumsum(1)
        rank = _below(total[:, -1], u)[:, None]
        first = (total <= rank).sum(1, keepdim=True)
        before = (total - counts).gather(1, first)
        return torch.cat((first, rank - before + lowest.gather(1, first)), 1)


def corners_apart(stream: int, number: Tensor, sizes: Tensor, canvas: int) -> Tensor:
    r"""Draws corners of two boxes with a free row or column of pixels between the boxes.

    All such pairs of corners are equally likely, and none is drawn in vain. Of the :math:`n`
    pairs of places along a side :math:`m` are apart: the boxes are apart one above the other in
    :math:`m_y n_x` ways, and side by side alone in :math:`(n_y - m_y) m_x`. One of the two is
    chosen in this proportion, and then one of its ways.

    Arguments:
        stream: The stream of random integers.
        number: The number of each canvas as int64, with shape :math:`(B)`.
        sizes: Height and width of both boxes in pixels, with shape :math:`(B, 2, 2)`; there must
            be a place for them.
        canvas: The side of the canvas in pixels.

    Returns:
        Corners (top, left) of both boxes, with shape :math:`(B, 2, 2)`.
    """
    rows, columns = (Line(pair[:, 0], pair[:, 1], canvas) for pair in sizes.unbind(2))
    (choice,), (u, v), (p, q) = (
        draw(stream, number * DRAWS + n, (1 << BITS,) * count) for n, count in enumerate((1, 2, 2))
    )
    above = rows.apart * columns.pairs
    beside = (rows.pairs - rows.apart) * columns.apart
    # In float64, as such products of counts and fractions need more than 63 bits.
    is_above = choice.double() * (above + beside).double() < above.double() * 2**BITS
    top = torch.where(is_above[:, None], rows.separate(u, v), rows.together(p))
    left = torch.where(is_above[:, None], columns.anywhere(p, q), columns.separate(u, v))
    return torch.stack((top, left), 2)


def _below(count: Tensor, fraction: Tensor) -> Tensor:
    """Turns a fraction, in parts of 2 ** 30, into an integer from 0 to below `count`."""
    return (fraction * count) >> BITS
