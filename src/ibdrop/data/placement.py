"""A canvas cut into cells with one thing in each, so that nothing overlaps."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["MOST_CELLS", "Grid"]

MOST_ROWS = 32
MOST_CELLS = MOST_ROWS**2

LARGEST = 1.5
"""Cells are at most so many times as high and wide as a digit, if more of them fit."""


class Grid(NamedTuple):
    """Cells of equal size in the middle of a canvas.

    Attributes:
        rows: The number of rows of cells.
        columns: The number of columns of cells.
        height: The height of a cell in pixels.
        width: The width of a cell in pixels.
        top: The first row of pixels of the first cell.
        left: The first column of pixels of the first cell.
        side: The side of what lies in a cell in pixels.
        canvas: The side of the canvas in pixels.
    """

    rows: int
    columns: int
    height: int
    width: int
    top: int
    left: int
    side: int
    canvas: int

    @classmethod
    def fitting(cls, distractors: int, canvas: int, side: int, border: int) -> Grid:
        """The fewest cells that hold target and distractors and are not too large.

        Arguments:
            distractors: The number of distractors.
            canvas: The side of the canvas in pixels.
            side: The side of a digit in pixels.
            border: Pixels at the edge of the canvas that stay free.

        Raises:
            ValueError: They do not fit.
        """
        things, free = distractors + 1, canvas - 2 * border
        columns = math.isqrt(things - 1) + 1
        rows = math.ceil(things / columns)
        if columns * side > free:
            raise ValueError(_too_many(distractors, canvas, side, border, columns))
        least = min(MOST_ROWS, free // side, math.ceil(free / (LARGEST * side)))
        rows, columns = max(rows, least), max(columns, least)
        height, width = free // rows, free // columns
        top, left = (canvas - rows * height) // 2, (canvas - columns * width) // 2
        return cls(rows, columns, height, width, top, left, side, canvas)

    @property
    def cells(self) -> int:
        """The number of cells."""
        return self.rows * self.columns

    @property
    def slack(self) -> tuple[int, int]:
        """The number of places in a cell, down and across."""
        return self.height - self.side + 1, self.width - self.side + 1

    def corners(self, cell: Tensor, down: Tensor, over: Tensor) -> Tensor:
        """Corners (top, left) on the canvas, with one more dimension of 2.

        Arguments:
            cell: Numbers of cells, row by row.
            down: Pixels from the top of the cell, with the same shape.
            over: Pixels from its left, likewise.
        """
        row = cell.div(self.columns, rounding_mode="floor")
        column = cell - row * self.columns
        top = row.mul_(self.height).add_(down).add_(self.top)
        left = column.mul_(self.width).add_(over).add_(self.left)
        return torch.stack((top, left), -1)


def _too_many(distractors: int, canvas: int, side: int, border: int, columns: int) -> str:
    most = max(0, canvas - 2 * border) // side
    edge = f" and a border of {border} px" if border else ""
    fewer = f", or take {most**2 - 1} distractors at most" if most else ""
    return (
        f"{distractors} distractors and the target, whole digits of {side} px, do not fit beside"
        f" each other on a canvas of {canvas} px{edge}; make the canvas"
        f" {columns * side + 2 * border} px or larger{fewer}"
    )
