"""Images in another size, the same bit for bit on every device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["resized", "whole_shares"]

ONE = 4096
"""What weights add to: products of matrices of such integers are exact in float64."""


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Resizes by antialiased bilinear interpolation.

    Arguments:
        images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
        height: The new height in pixels.
        width: The new width in pixels.
    """
    if images.shape[2:] == (height, width):
        return images
    down = _weights(images.shape[2], height).to(images.device)
    right = _weights(images.shape[3], width).to(images.device)
    return (down @ images.double() @ right.T / ONE**2).round().byte()


@lru_cache(maxsize=32)
def _weights(old: int, new: int) -> Tensor:
    """The weight of each old place in each new one, with shape (new, old)."""
    identity = torch.eye(old, dtype=torch.float64)[None, None]
    shares = F.interpolate(identity, (new, old), mode="bilinear", antialias=True)[0, 0]
    return whole_shares(shares).double()


def whole_shares(shares: Tensor) -> Tensor:
    """Rounds rows that add to 1 to whole numbers that add to `ONE`; the largest gives way.

    Arguments:
        shares: With shape :math:`(*, n)`.
    """
    whole = (shares * ONE).round().long()
    missing = ONE - whole.sum(-1, keepdim=True)
    return whole.scatter_add(-1, shares.argmax(-1, keepdim=True), missing)
