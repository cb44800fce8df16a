r"""Coarse masks, what they cost whatever their resolution, and the smooth masks made of them."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.explain.blur import gaussian, to_pixels

__all__ = ["UPSAMPLINGS", "Grid", "Upsampling", "undecided", "variation"]

Upsampling = Literal["bilinear", "nearest"]
UPSAMPLINGS: tuple[str, ...] = get_args(Upsampling)

TINY = 1e-12


class Grid:
    r"""Enlarges coarse masks to the size of a picture and smooths them, differentiably.

    Both are linear in rows and columns, so two small matrices do it:

    .. math:: M = R_\downarrow (m - 1) R_\rightarrow^\top + 1, \qquad R = G_{\sigma} U

    A mask of ones stays one exactly, since rows of :math:`R` are applied to zeros.

    Arguments:
        cells: Cells along the shorter side, no more than its pixels are taken; as many to a
            length along the other.
        height: Of the picture in pixels.
        width: Likewise.
        smoothing: :math:`\sigma_m` in pixels of a picture of 224 px; 0 for none.
        upsampling: How cells are enlarged, see `Upsampling`.
        device: Where to compute.

    Attributes:
        size: Rows and columns of the coarse mask.
    """

    def __init__(
        self,
        cells: int,
        height: int,
        width: int,
        *,
        smoothing: float = 5.0,
        upsampling: Upsampling = "bilinear",
        device: torch.device | str = "cpu",
    ) -> None:
        short = min(height, width)
        cells = min(cells, short)
        self.size = (round(cells * height / short), round(cells * width / short))
        sigma = to_pixels(smoothing, height, width)
        self.down, self.right = (
            (gaussian(side, sigma) @ _enlarging(few, side, upsampling)).float().to(device)
            for few, side in zip(self.size, (height, width), strict=True)
        )

    def smooth(self, m: Tensor) -> Tensor:
        """The mask at the size of the picture, from one with shape (*, rows, columns)."""
        return self.down @ (m - 1) @ self.right.T + 1


def _enlarging(few: int, side: int, upsampling: str) -> Tensor:
    """The matrix of shape (side, few) that enlarges a line; beyond the last centre it is flat."""
    place = ((torch.arange(side, dtype=torch.float64) + 0.5) * few / side - 0.5).clamp(0, few - 1)
    cell = torch.arange(few, dtype=torch.float64)
    if upsampling == "nearest":
        middle = (torch.arange(side, dtype=torch.float64) + 0.5) * few / side
        return (middle.floor()[:, None] == cell).double()
    return (1 - (place[:, None] - cell).abs()).clamp_min(0)


def variation(m: Tensor, power: float = 3.0, isotropic: bool = True) -> Tensor:
    r"""How rough a mask is, as an integral over the picture, so that cells may be of any size.

    .. math:: \int \lVert \nabla m \rVert^\beta \, du \approx
        \frac{1}{N} \sum_u (n \lVert \Delta m(u) \rVert)^\beta

    Forward differences :math:`\Delta`, zero beyond the last cell; :math:`N` cells, :math:`n` of
    them along the shorter side, whose length is 1. A sum :math:`\lambda \sum \lVert \Delta m
    \rVert^\beta` over :math:`n \times n` cells is this times :math:`\lambda n^{2 - \beta}`.

    Arguments:
        m: Masks with shape :math:`(*, h, w)`.
        power: :math:`\beta`, at least 1.
        isotropic: Whether lengths are Euclidean, or
            :math:`|\Delta_x m|^\beta + |\Delta_y m|^\beta` is summed.

    Returns:
        With shape (*).
    """
    down, right = m.diff(dim=-2), m.diff(dim=-1)
    rows, columns = m.shape[-2:]
    scale: float = min(rows, columns) ** power / (rows * columns)
    if not isotropic:
        return scale * (_total(down.square(), power) + _total(right.square(), power))
    return scale * _total(
        F.pad(down.square(), (0, 0, 0, 1)) + F.pad(right.square(), (0, 1)), power
    )


def _total(squared: Tensor, power: float) -> Tensor:
    """Sums d^power from d^2; below 2 with corners rounded off, where slopes are infinite."""
    rounded = squared if power >= 2 else squared + TINY
    total: Tensor = rounded.pow(power / 2).sum((-2, -1))
    return total


def undecided(m: Tensor) -> Tensor:
    r"""How far masks are from black and white, the mean of :math:`1/2 - |m - 1/2|`."""
    return 0.5 - (m - 0.5).abs().mean((-2, -1))
