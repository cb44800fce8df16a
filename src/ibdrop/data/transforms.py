"""What the network reads in place of pixels: from 0 to 1, standardised, or whitened."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from ibdrop.data.base import ImageSet, ImageSpec, Transform, UnitRange
from ibdrop.data.samples import samples
from ibdrop.data.whitening import whitened

__all__ = ["Normalise", "PerChannel", "normalisation", "per_channel"]

Normalise = Literal["unit", "standard", "zca"]

SAMPLE = 10_000
"""The most images that are read from disk for the moments of the channels."""


def normalisation(kind: Normalise, train: ImageSet, spec: ImageSpec) -> Transform:
    """Chooses what turns pixels into what the network reads.

    Arguments:
        kind: `unit`, pixels from 0 to 1; `standard`, channels of mean 0 and standard deviation 1
            (see `per_channel`); `zca`, the whitening of the Information Dropout paper (see
            `ibdrop.data.whitening.whitened`).
        train: The training images, from which moments are taken (as epoch 0 shows them).
        spec: Their shape.

    Raises:
        ValueError: No such kind, or `zca` for images too large, too few or all of one colour.
    """
    if kind == "unit":
        return UnitRange()
    if kind == "standard":
        return per_channel(train)
    if kind == "zca":
        return whitened(train, spec)
    raise ValueError(f"normalise is '{kind}'; it must be unit, standard or zca")


class PerChannel(Transform):
    r"""Standardises channels: :math:`(x - m_c) / s_c`, with pixels from 0 to 1.

    Arguments:
        mean: The mean :math:`m` of each channel, of full white, with shape :math:`(C)`.
        deviation: The standard deviation :math:`s` of each channel, likewise.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean, deviation
        # In grey levels and divided by a tensor, so that every device rounds alike.
        self._middle = (255 * mean.double()).float().view(-1, 1, 1)
        self._spread = (255 * deviation.double()).float().view(-1, 1, 1)

    def __call__(self, images: Tensor) -> Tensor:
        copied = images.to(torch.float32, copy=True)
        return copied.sub_(self._middle).div_(self._spread)

    def to(self, device: torch.device) -> PerChannel:
        return PerChannel(self.mean.to(device), self.deviation.to(device))


def per_channel(train: ImageSet) -> PerChannel:
    """Counts the grey levels of each channel: mean and standard deviation follow exactly.

    A channel that is the same everywhere is divided by 1. A set that is read from disk is judged
    by 10,000 evenly spaced images, or all if there are fewer.

    Arguments:
        train: The training images.
    """
    counts = torch.stack([_levels(images) for images in samples(train, SAMPLE)]).sum(0)
    moments = [_moments(row) for row in counts.tolist()]
    mean, deviation = torch.tensor(moments, dtype=torch.float64).T
    return PerChannel(mean, deviation)


def _levels(images: Tensor) -> Tensor:
    """How often each grey level occurs in each channel, with shape (C, 256)."""
    channels = images.transpose(0, 1).flatten(1)
    return torch.stack([torch.bincount(channel, minlength=256) for channel in channels])


def _moments(counts: list[int]) -> tuple[float, float]:
    """Mean and standard deviation of grey levels, of full white."""
    n = sum(counts)
    total = sum(count * level for level, count in enumerate(counts))
    squares = sum(count * level**2 for level, count in enumerate(counts))
    return total / n / 255, math.sqrt(n * squares - total**2) / n / 255 or 1.0
