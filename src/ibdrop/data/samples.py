"""Going through the pixels of a set, or through enough of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ibdrop.data.base import ImageSet

__all__ = ["samples"]

CHUNK = 2**23
"""Values given at once."""


def samples(images: ImageSet, most: int) -> Iterator[Tensor]:
    """Goes through the pixels of all images, or of `most` evenly spaced ones if read from disk.

    Arguments:
        images: The images.
        most: The number of images that are read from disk at the most.

    Yields:
        Pixels as uint8 on the CPU, with shape :math:`(B, C, H, W)`.
    """
    count = len(images) if images.resident else min(len(images), most)
    index = torch.arange(count) * len(images) // count
    values = images.batch(index[:1]).images.numel()
    parts = index.split(max(1, CHUNK // values))
    for part, after in zip(parts, (*parts[1:], None), strict=True):
        pixels = images.batch(part).images
        if after is not None:
            images.prefetch(after)
        yield pixels.cpu()
