"""Random numbers by counter: each is a function of what it is for, not of what was drawn before.

A draw belongs to a call (which random function of the network, in order), a pass, an image and a
unit. So the result depends neither on batches nor on tiles, on the order of the images or on the
device. Only 64-bit integer arithmetic is used, which is the same everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.splitmix import GOLDEN, mix

__all__ = ["keys", "uniform", "words"]

ODD = 0xD1342543DE82EF95 - (1 << 64)


def keys(stream: int, first: Tensor, second: Tensor) -> Tensor:
    """Gives a 64-bit key to each pair of numbers.

    Arguments:
        stream: A 63-bit seed from `ibdrop.seeds.key`.
        first: Numbers as int64, with shape :math:`(M)`.
        second: Numbers as int64, with shape :math:`(N)`.

    Returns:
        Keys as int64, with shape :math:`(M, N)`.
    """
    outer = mix(first * GOLDEN + stream)
    return mix(outer[:, None] + (second + 1) * ODD)


def words(key: Tensor, count: int) -> Tensor:
    """Draws 64-bit integers, `count` for each key, with shape :math:`(*, count)`."""
    place = torch.arange(1, count + 1, device=key.device) * GOLDEN
    return mix(key[..., None] + place)


def uniform(key: Tensor, count: int) -> Tensor:
    r"""Draws float32 from the multiples of :math:`2^{-23}`, plus :math:`2^{-24}`, in (0, 1).

    Arguments:
        key: Keys as int64, of any shape.
        count: The number of draws for each key.

    Returns:
        Draws with shape :math:`(*, count)`.
    """
    bits = words(key, -(-count // 2)).view(torch.int32)[..., :count]
    return (bits >> 9).float().mul_(2.0**-23).add_(0.5 + 2.0**-24)
