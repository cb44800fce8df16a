"""Digits cut into quarters and put together wrongly: all of the ink, none of the digit."""

from __future__ import annotations

from itertools import permutations, product

import torch
from torch import Tensor

from ibdrop.data.counter import draw

__all__ = ["scrambled", "scrambles"]

MOST = 1 << 16
"""Scrambled digits held at a time: with fewer than 2,048 digits all 32 of each."""

CHUNK = 2048

QUARTERS = range(4)
"""Upper left, upper right, lower left, lower right; 3 - q lies opposite to q."""


def scrambled(digits: Tensor, stream: int) -> tuple[Tensor, int]:
    """Scrambles each digit in as many ways as there is room for, at least in one.

    Arguments:
        digits: Pixels as uint8, with shape :math:`(N, S, S)`.
        stream: The number of the random stream that chooses the ways.

    Returns:
        The scrambled digits, with shape :math:`(N R, S, S)`, and the number of ways :math:`R`.

    Raises:
        ValueError: The side of the digits is odd.
    """
    table, count = scrambles(digits.shape[-1]), len(digits)
    repeats = min(len(table), max(1, MOST // max(1, count)))
    (first,) = draw(stream, torch.arange(count), (len(table),))
    ways = (first[:, None] + torch.arange(repeats)) % len(table)
    made = digits.new_empty(count, repeats, digits[:1].numel())
    for part, way, result in zip(*(x.split(CHUNK) for x in (digits, ways, made)), strict=True):
        for turn in range(repeats):
            result[:, turn] = part.flatten(1).gather(1, table[way[:, turn]])
    return made.view(-1, *digits.shape[1:]), repeats


def scrambles(side: int) -> Tensor:
    r"""The pixel permutations that scramble a digit, which conserve more than its ink.

    Let :math:`(u, v)` be the distances of a pixel from the horizontal and the vertical line
    through the centre. A quarter is carried to another place as the symmetry of the square does
    that keeps :math:`u` and :math:`v`, and may be mirrored in its diagonal, which exchanges them:
    each pixel keeps its distance from the centre, and a digit its radial profile, so that an
    isotropic blur gives the same value at the centre of the digit and of what is made of it.

    Of these :math:`4! \cdot 2^4 = 384` permutations 8 are symmetries of the square and leave the
    digit whole, and many more leave strokes whole. Those are taken in which

    - quarters that were opposite have become neighbours, which breaks every straight stroke
      through the centre, and
    - of two neighbours always just one is mirrored in its diagonal, so that at none of the four
      joints lie edges that belonged together, nor such that were alike: that breaks upright
      digits whose left and right are alike.

    There are :math:`16 \cdot 2 = 32`: four ways to put a digit together wrongly, each in the
    eight positions of a square.

    Arguments:
        side: The side :math:`S` of a digit in pixels, even.

    Returns:
        Numbers of pixels as int64, with shape :math:`(32, S^2)`: pixel `i` of scramble `k` is
        pixel `table[k, i]` of the digit.

    Raises:
        ValueError: The side is odd.
    """
    if side < 2 or side % 2:
        raise ValueError(
            f"a digit is cut into four equal quarters; its side is {side} px and must be even"
        )
    tables = [
        _assembled(side, order, mirrored)
        for order in permutations(QUARTERS)
        for mirrored in product((False, True), repeat=4)
        if _breaks_lines(order) and _breaks_joints(mirrored)
    ]
    return torch.stack(tables)


def _breaks_lines(order: tuple[int, ...]) -> bool:
    return order[0] + order[3] != 3


def _breaks_joints(mirrored: tuple[bool, ...]) -> bool:
    upper_left, upper_right, lower_left, lower_right = mirrored
    return upper_left == lower_right != upper_right == lower_left


def _assembled(side: int, order: tuple[int, ...], mirrored: tuple[bool, ...]) -> Tensor:
    """Puts quarter `order[q]` where quarter `q` was."""
    pixels = torch.arange(side**2).view(side, side)
    table = torch.empty_like(pixels)
    for place in QUARTERS:
        quarter = pixels[_from_centre(side, order[place])]
        table[_from_centre(side, place)] = quarter.T if mirrored[place] else quarter
    return table.flatten()


def _from_centre(side: int, quarter: int) -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels of a quarter, counted from the centre."""
    lower = side // 2 + torch.arange(side // 2)
    upper = side - 1 - lower
    rows, columns = lower if quarter >= 2 else upper, lower if quarter % 2 else upper
    return rows[:, None], columns
