"""Images of another kind than a network was trained on, in the size and colours that it reads."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec
from ibdrop.data.counter import draw
from ibdrop.data.pollution import per_value, quantiles
from ibdrop.data.resize import resized
from ibdrop.seeds import key

__all__ = [
    "OUTLIERS",
    "Adapted",
    "Noise",
    "Permuted",
    "adapted",
    "gaussian_noise",
    "permuted",
    "uniform_noise",
]

BLOCK = 512
FINE = 2**31 - 1
LUMA = (299, 587, 114)
"""Thousandths of red, green and blue in grey (ITU-R BT.601)."""


class Noise(ImageSet):
    """Images of independent values, each drawn from the table of its channel.

    Arguments:
        tables: Equally likely values as uint8, with shape :math:`(C, n)`.
        size: Height and width in pixels.
        count: The number of images; their classes are all 0 and mean nothing.
        seed: Keys the draws.
    """

    def __init__(self, tables: Tensor, size: tuple[int, int], count: int, seed: int) -> None:
        self.tables = tables
        self.size = size
        self.count = count
        self.seed = seed

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        channels, values = self.tables.shape
        device = self.tables.device
        like = torch.empty(len(index), channels, *self.size, dtype=torch.uint8, device=device)
        drawn = per_value(like, index, key(self.seed, "outliers", "noise"), values)
        drawn += values * torch.arange(channels, device=device).view(-1, 1, 1)
        labels = torch.zeros(len(index), dtype=torch.long, device=device)
        return Batch(index, self.tables.flatten()[drawn], labels)

    def to(self, device: torch.device) -> Noise:
        return Noise(self.tables.to(device), self.size, self.count, self.seed)


class Permuted(ImageSet):
    """Images whose pixels are each in a random order of their own.

    Shapes are gone; every image keeps its grey levels or colours exactly.

    Arguments:
        images: The images.
        seed: Keys the orders.
    """

    def __init__(self, images: ImageSet, seed: int) -> None:
        self.images = images
        self.resident = images.resident
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        clean = self.images.batch(index, epoch)
        flat = clean.images.flatten(2)
        pixels, device = flat.shape[2], flat.device
        counter = index.to(device)[:, None] * pixels + torch.arange(pixels, device=device)
        drawn = draw(key(self.seed, "outliers", "permuted"), counter, (FINE,))[0]
        order = drawn.argsort(dim=1, stable=True)[:, None].expand_as(flat)
        mixed = flat.gather(2, order).view(clean.images.shape)
        return Batch(clean.index, mixed, clean.labels)

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.images.prefetch(index, epoch)

    def to(self, device: torch.device) -> Permuted:
        return Permuted(self.images.to(device), self.seed)


class Adapted(ImageSet):
    """Images in another size and with another number of channels.

    Colours become grey by their luma, grey levels become three equal channels, and the size
    changes by antialiased bilinear interpolation. The classes are those of the images.

    Arguments:
        images: The images.
        channels: The number of channels, 1 or 3.
        size: Height and width in pixels.
    """

    def __init__(self, images: ImageSet, channels: int, size: tuple[int, int]) -> None:
        self.images = images
        self.resident = images.resident
        self.channels = channels
        self.size = size

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        clean = self.images.batch(index, epoch)
        images = _coloured(clean.images, self.channels)
        return Batch(clean.index, resized(images, *self.size), clean.labels)

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.images.prefetch(index, epoch)

    def to(self, device: torch.device) -> Adapted:
        return Adapted(self.images.to(device), self.channels, self.size)


def _coloured(images: Tensor, channels: int) -> Tensor:
    if images.shape[1] == channels:
        return images
    if images.shape[1] == 1:
        return images.expand(-1, channels, -1, -1)
    weights = torch.tensor(LUMA, device=images.device).view(-1, 1, 1)
    return ((images * weights).sum(1, keepdim=True) + 500).div_(1000, rounding_mode="floor").byte()


def uniform_noise(data: ImageData, seed: int) -> ImageSet:
    """As many images as the test set of independent values, all 256 equally likely."""
    spec = data.spec
    device = data.test.batch(torch.tensor([0])).images.device
    tables = torch.arange(256, dtype=torch.uint8, device=device).expand(spec.channels, -1)
    return Noise(tables, (spec.height, spec.width), len(data.test), seed)


def gaussian_noise(data: ImageData, seed: int) -> ImageSet:
    """As many images as the test set of normal values with its mean and deviation, clipped.

    Mean and standard deviation are those of each channel over the test set, before clipping to
    0 to 255.
    """
    spec, images = data.spec, data.test
    sums = torch.zeros(3, spec.channels, dtype=torch.float64)
    for index in torch.arange(len(images)).split(BLOCK):
        values = images.batch(index).images.transpose(0, 1).flatten(1).long()
        parts = [torch.full_like(values[:, 0], values.shape[1]), values.sum(1)]
        sums += torch.stack([*parts, values.square().sum(1)]).cpu()
    mean = sums[1] / sums[0]
    sd = (sums[2] / sums[0] - mean.square()).clamp_min(0).sqrt()
    tables = (mean[:, None] + sd[:, None] * quantiles()).round().clamp(0, 255).byte()
    device = values.device
    return Noise(tables.to(device), (spec.height, spec.width), len(images), seed)


def permuted(data: ImageData, seed: int) -> ImageSet:
    """The test images, the pixels of each in a random order of its own."""
    return Permuted(data.test, seed)


OUTLIERS: dict[str, Callable[[ImageData, int], ImageSet]] = {
    "uniform_noise": uniform_noise,
    "gaussian_noise": gaussian_noise,
    "permuted": permuted,
}
"""Outliers that can be made of any data set; the images live where those of the test set do."""


def adapted(data: ImageData, spec: ImageSpec) -> ImageSet:
    """The test images of another data set, in the size and colours of `spec`.

    Raises:
        ValueError: The data sets have channels that no rule turns into each other.
    """
    if data.spec.channels != spec.channels and {data.spec.channels, spec.channels} != {1, 3}:
        raise ValueError(
            f"{data.name} has {data.spec.channels} channels and the network reads"
            f" {spec.channels}; only 1 and 3 can be turned into each other"
        )
    return Adapted(data.test, spec.channels, (spec.height, spec.width))
