"""Digits in many sizes, interpolated bilinearly and exactly: the same bits on every device."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["Sizes"]

ONE = 256
"""Parts of a weight: 8 bits, as in a grey level, so that even bfloat16 multiplies exactly."""


class Sizes(NamedTuple):
    r"""How digits of :math:`S` pixels look with :math:`s` pixels, for :math:`M` values of `s`.

    New row :math:`y` lies at :math:`(y + \frac12) S / s - \frac12` among the old ones, rounded to
    1/256, and is a mixture of the two next to it; before the first row and after the last there
    is more of the same. So it is for columns.

    Attributes:
        least: The smallest size in pixels; the others follow one by one.
        first: The first new row that shows something of old row :math:`r` or a later one, with
            shape :math:`(M, S + 1)` for size and `r`.
        end: The row after the last that shows something of a row before `r`, likewise.
        weights: The weights of old rows in new ones, both counted from the first with ink, as
            float32 with shape :math:`(M, S, W, I)` for the size, the first old row with ink, and
            the new and the old row.
    """

    least: int
    first: Tensor
    end: Tensor
    weights: Tensor

    @classmethod
    def of(cls, ink: Tensor, side: int, smallest: float, largest: float) -> Sizes:
        """Computes the weights that certain digits need.

        Arguments:
            ink: The box of the ink of each digit in pixels, with shape :math:`(N, 4)`.
            side: The side :math:`S` of a digit in pixels.
            smallest: The smallest size in units of the side; above 1/2, or rows would get lost.
            largest: The largest size likewise.

        Raises:
            ValueError: There is no such size.
        """
        sizes = _between(side, smallest, largest)
        made = [_size(side, size, sizes[-1]) for size in sizes]
        full, first, end = (torch.stack(parts) for parts in zip(*made, strict=True))
        bare = cls(sizes[0], first, end, full)
        wide = int(bare.extent(torch.arange(len(sizes))[:, None], ink).amax())
        deep = int((ink[:, 2:] - ink[:, :2]).amax())
        return bare._replace(weights=_aligned(full, first, wide, deep))

    def extent(self, size: Tensor, ink: Tensor) -> Tensor:
        """Height and width of the ink of new digits.

        Arguments:
            size: The number of the size of each, with any shape.
            ink: The box of the ink of the old one, with one more dimension of 4.
        """
        size = size[..., None]
        return self.end[size, ink[..., 2:]] - self.first[size, ink[..., :2]]

    def enlarged(self, crops: Tensor, size: Tensor, start: Tensor) -> Tensor:
        r"""Makes new digits, columns first; grey levels are rounded up, so that no ink is lost.

        All factors have 8 bits and all sums 16: no setting for faster products changes them.

        Arguments:
            crops: Pixels from the first row and column with ink on as uint8, with shape
                :math:`(n, I, I)`.
            size: The number of the size of each, with shape :math:`(n)`.
            start: The first row and column with ink, with shape :math:`(n, 2)`.

        Returns:
            Grey levels from the first row and column with ink on as float32, with shape
            :math:`(n, W, W)`.
        """
        number = size[:, None] * self.weights.shape[1] + start
        tables = self.weights.flatten(0, 1)
        down, right = (tables.index_select(0, side) for side in number.unbind(1))
        with torch.autocast(crops.device.type, enabled=False):
            wide = (crops.float() @ right.mT).ceil_()
            return (down @ wide).ceil_()

    def to(self, device: torch.device) -> Sizes:
        """Gives the same on `device`."""
        return Sizes(self.least, *(part.to(device) for part in self[1:]))


def _between(side: int, smallest: float, largest: float) -> range:
    """The sizes, of the numbers as they are written: 0.7 times 20 is 14 and not a little less."""
    if not 0.5 < smallest <= largest:
        raise ValueError(
            f"smallest is {smallest:g} and largest is {largest:g}; both must be above 0.5, and"
            " largest not below smallest"
        )
    least, most = (Fraction(str(scale)) * side for scale in (smallest, largest))
    if ceil(least) > floor(most):
        raise ValueError(
            f"smallest is {smallest:g} and largest is {largest:g}; no whole number of pixels lies"
            f" between so many times {side}, the side of a digit"
        )
    return range(ceil(least), floor(most) + 1)


def _size(side: int, size: int, rows: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weights with shape (rows, side), and which new rows show which old ones, (side + 1)."""
    y = torch.arange(size)
    middle = ((2 * y + 1) * side * ONE + size).div(2 * size, rounding_mode="floor")
    place = (middle - ONE // 2).clamp(0, (side - 1) * ONE)
    row, part = place // ONE, place % ONE
    weights = torch.zeros(rows, side + 1)
    weights[y, row] = (ONE - part) / ONE
    weights[y, row + 1] = part / ONE
    old = torch.arange(side + 1)[:, None]
    return weights[:, :side], (row + (part > 0) < old).sum(1), (row < old).sum(1)


def _aligned(full: Tensor, first: Tensor, wide: int, deep: int) -> Tensor:
    """Cuts from weights (M, rows, S), for each first row with ink, what follows of both."""
    count, _, side = full.shape
    padded = F.pad(full, (0, deep, 0, wide))
    new = first[:, :side, None, None] + torch.arange(wide)[:, None]
    old = torch.arange(side)[:, None, None] + torch.arange(deep)
    return padded[torch.arange(count)[:, None, None, None], new, old]
