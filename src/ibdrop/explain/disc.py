"""Where the search for a mask starts: the smallest centred disc that does most of the work."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ibdrop.explain.base import PAPER_SIDE

__all__ = ["RADII", "disc", "smallest"]

RADII = tuple(range(0, 171, 5))
"""Radii that are tried, in pixels of a picture of 224 px; the last covers its corners."""


def disc(size: tuple[int, int], radius: float, device: torch.device) -> Tensor:
    """A centred disc of ones on a grid, its edge spread over one cell.

    Arguments:
        size: Rows and columns of the grid.
        radius: In pixels of a picture whose shorter side is 224 px.
        device: Where to make it.
    """
    rows, columns = (torch.arange(n, device=device) - (n - 1) / 2 for n in size)
    away = torch.hypot(rows[:, None].expand(size), columns.expand(size))
    edge = radius * min(size) / PAPER_SIDE
    return (edge - away + 0.5).clamp(0, 1) if radius else torch.zeros_like(away)


@torch.no_grad()
def smallest(
    score: Callable[[Tensor], Tensor], size: tuple[int, int], keeps: bool, share: float = 0.99
) -> Tensor:
    r"""For each image the smallest disc that has most of the effect of the whole picture.

    With the scores :math:`s_0` of the image and :math:`s_1` of the wholly filled one, deleting a
    disc must leave no more than :math:`s_1 + (1 - q)(s_0 - s_1)`, keeping one no less than
    :math:`s_1 + q (s_0 - s_1)`. Where there is nothing to lose, :math:`s_0 \le s_1`, the disc is
    empty.

    Arguments:
        score: Scores coarse masks of shape (h, w), the same for all images; gives shape (B).
        size: Rows and columns of the grid.
        keeps: Whether the disc is kept and the rest deleted, or the other way round.
        share: :math:`q`.

    Returns:
        Coarse masks with shape :math:`(B, h, w)`, 1 where the picture is kept.

    Source: Fong & Vedaldi (2017), section 4.3.
    """
    ones = torch.ones(size)
    start, filled = score(ones), score(0 * ones)
    goal = filled + (share if keeps else 1 - share) * (start - filled)
    nothing = start <= filled
    last = torch.ones(size, device=start.device)
    masks = (last if keeps else 1 - last).expand(len(start), *size).clone()
    found = torch.zeros_like(nothing)
    for radius in RADII:
        shape = disc(size, radius, start.device)
        m = shape if keeps else 1 - shape
        s = score(m)
        done = nothing | ((s >= goal) if keeps else (s <= goal))
        masks[done & ~found] = m
        found |= done
        if found.all():
            break
    return masks
