r"""Gaussian blurs of any width with repeated edges, as exact linear maps of rows and columns."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ibdrop.explain.base import PAPER_SIDE

__all__ = ["blurred", "gaussian", "to_pixels"]

REACH = 5
"""Standard deviations at which a kernel ends; what is cut off weighs less than 1e-6."""


def to_pixels(length: float, height: int, width: int) -> float:
    """Scales a length given for a picture of 224 px to one of this size, by its shorter side."""
    return length * min(height, width) / PAPER_SIDE


def gaussian(side: int, sigma: float) -> Tensor:
    r"""Makes the matrix that blurs a line of pixels whose ends go on for ever.

    .. math:: G_{ij} = \sum_{k : \operatorname{clip}(i + k) = j} w_k, \qquad
        w_k \propto e^{-k^2 / 2 \sigma^2}

    Arguments:
        side: The number :math:`n` of pixels.
        sigma: The standard deviation in pixels; 0 gives the identity.

    Returns:
        float64 of shape :math:`(n, n)`; rows sum to 1.
    """
    matrix = torch.zeros(side, side, dtype=torch.float64)
    reach = math.ceil(REACH * sigma)
    offset = torch.arange(-reach, reach + 1)
    weight = torch.exp(-0.5 * (offset / sigma) ** 2) if sigma else torch.ones(1)
    weight = weight.double() / weight.double().sum()
    here = torch.arange(side)[:, None]
    there = (here + offset).clamp(0, side - 1)
    return matrix.index_put_((here.expand_as(there), there), weight.expand_as(there), True)


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Blurs pictures with one Gaussian; edges are repeated, so a flat picture stays as it is.

    Arguments:
        x: With shape :math:`(*, H, W)`.
        sigma: The standard deviation in pixels.
    """
    down, right = (gaussian(side, sigma).to(x) for side in x.shape[-2:])
    return down @ x @ right.T
