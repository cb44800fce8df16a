"""Canvases of tiles laid side by side, rendered in batches anywhere."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.placement import Grid

__all__ = ["Crowd", "frames", "outline", "paint", "shelved"]

CPU_CHUNK = 64
CUDA_CHUNK = 4096
WORDS = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}


class Crowd(NamedTuple):
    """What lies where on each canvas: the target, then the :math:`D` distractors.

    Attributes:
        tile: Their numbers on the shelf, with shape :math:`(B, 1 + D)`.
        cell: The cell in which each lies, with the same shape.
        down: The row of pixels in the cell in which each begins, with the same shape.
        over: The column in which it begins, likewise.
    """

    tile: Tensor
    cell: Tensor
    down: Tensor
    over: Tensor


def shelved(digits: Tensor, grid: Grid) -> Tensor:
    """Lays digits into the lower right corners of tiles, with a black tile before and after.

    Read from further on, a tile has its digit further up and further to the left, and black
    follows: so one tile serves for all places in a cell.

    Arguments:
        digits: Pixels as uint8, with shape :math:`(N, S, S)`.
        grid: The cells.

    Returns:
        The tiles as uint8, with shape :math:`(N + 2, height, width)`.
    """
    shelf = digits.new_zeros(len(digits) + 2, grid.height, grid.width)
    shelf[1:-1, -grid.side :, -grid.side :] = digits
    return shelf


def paint(shelf: Tensor, crowd: Crowd, grid: Grid) -> Tensor:
    """Paints canvases without a sum: a tile for each cell, and tiles are laid side by side.

    Arguments:
        shelf: The tiles, as made by `shelved`.
        crowd: What lies where, on the device of `shelf`.
        grid: The cells.

    Returns:
        The canvases as uint8, with shape :math:`(B, H, W)`.
    """
    count, device = len(crowd.tile), shelf.device
    starts = shelf.new_zeros(count, grid.cells, dtype=torch.int64)
    starts.scatter_(1, crowd.cell, _starts(crowd, grid))
    height, width = grid.rows * grid.height, grid.columns * grid.width
    inner = shelf.new_empty(count, height, width)
    tiles = shelf.view(-1).unfold(0, grid.height * grid.width, 1)
    chunk = max(1, min(count, CPU_CHUNK if device.type == "cpu" else CUDA_CHUNK))
    for start, image in zip(starts.split(chunk), inner.split(chunk), strict=True):
        cells = tiles.index_select(0, start.view(-1))
        columns = cells.view(-1, grid.columns, grid.height, grid.width).unbind(1)
        torch.cat(columns, 2, out=image.view(-1, grid.height, width))
    if height == width == grid.canvas:
        return inner
    images = shelf.new_zeros(count, grid.canvas, grid.canvas)
    images[:, grid.top : grid.top + height, grid.left : grid.left + width] = inner
    return images


def outline(shelf: Tensor, crowd: Crowd, grid: Grid, stroke: int) -> Tensor:
    """Marks the strokes of the targets, several pixels at a time where they can be read as one.

    Arguments:
        shelf: The tiles, as made by `shelved`.
        crowd: What lies where, on the device of `shelf`.
        grid: The cells.
        stroke: Pixels brighter than this grey level are strokes.

    Returns:
        The strokes as bool, with shape :math:`(B, H, W)`.
    """
    word = math.gcd(8, grid.canvas, grid.left, grid.width)
    tiles = shelf.view(-1).unfold(0, grid.height * grid.width, 1)
    greys = tiles.index_select(0, _starts(crowd, grid)[:, 0])
    strokes = greys.clamp_(min=stroke).sub_(stroke).bool()  # Many times as fast as a comparison.
    cell = crowd.cell[:, 0]
    top, left = grid.corners(cell, torch.zeros_like(cell), torch.zeros_like(cell)).unbind(1)
    row = torch.arange(grid.height, device=cell.device) * (grid.canvas // word)
    column = torch.arange(grid.width // word, device=cell.device)
    first = (top * grid.canvas + left).div_(word, rounding_mode="floor")
    place = first[:, None] + (row[:, None] + column).view(-1)
    masks = strokes.new_zeros(len(cell), grid.canvas**2)
    masks.view(WORDS[word]).scatter_(1, place, strokes.view(WORDS[word]))
    return masks.view(-1, grid.canvas, grid.canvas)


def _starts(crowd: Crowd, grid: Grid) -> Tensor:
    """Where the tile of each thing begins on the flat shelf, read so that it lies in its place."""
    up = (crowd.tile + 1) * grid.height + (grid.height - grid.side) - crowd.down
    return up * grid.width + (grid.width - grid.side) - crowd.over


def frames(corner: Tensor, grid: Grid) -> Tensor:
    """Marks square frames as large as a digit.

    Arguments:
        corner: Their corners (top, left) on the canvas, with shape :math:`(B, 2)`.
        grid: The cells.

    Returns:
        The pixels in them as bool, with shape :math:`(B, H, W)`.
    """
    away = torch.arange(grid.canvas, device=corner.device) - corner[..., None]
    inside = (away >= 0).logical_and_(away < grid.side)
    return inside[:, 0, :, None] & inside[:, 1, None, :]
