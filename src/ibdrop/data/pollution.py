"""Corruptions of the values of pixels: noise, light, and things in front of the image.

Everywhere: pixels as uint8 with shape (B, C, H, W), numbers of the images as int64 with shape
(B), an amount, and the stream of random integers. Normal values are quantiles from a table, not
logarithms and cosines, whose last bits differ between devices.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ibdrop.data.counter import draw

__all__ = [
    "brightness",
    "contrast",
    "gaussian_noise",
    "impulse_noise",
    "normal",
    "occlusion",
    "per_value",
    "quantiles",
    "shot_noise",
    "speckle_noise",
    "stripe",
]

LEVELS = 2**16
FINE = 2**31 - 1
GREY = 128


def per_value(images: Tensor, index: Tensor, stream: int, size: int) -> Tensor:
    """Draws an integer below `size` for each value of each image."""
    values = images[0].numel()
    place = torch.arange(values, device=images.device)
    counter = index.to(images.device)[:, None] * values + place
    return draw(stream, counter, (size,))[0].view(images.shape)


@lru_cache(maxsize=1)
def quantiles() -> Tensor:
    """The quantiles of a normal value in the middle of 65,536 equally likely steps."""
    middle = (torch.arange(LEVELS, dtype=torch.float64) + 0.5) / LEVELS
    values: Tensor = torch.special.ndtri(middle)
    return values


def normal(images: Tensor, index: Tensor, stream: int, mean: float, sd: float) -> Tensor:
    """Draws a normal value for each value of each image, as float32, in 65,536 steps."""
    table = (mean + sd * quantiles()).float().to(images.device)
    return table[per_value(images, index, stream, LEVELS)]


def _pixels(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).byte()


def gaussian_noise(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Adds normal noise."""
    return _pixels(normal(images, index, stream, 0, 255 * amount).add_(images))


def speckle_noise(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Multiplies by one plus normal noise: black stays black."""
    return _pixels(normal(images, index, stream, 1, amount).mul_(images))


def shot_noise(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    r"""Counts photons: Poisson with mean `amount` at full white, :math:`n \cdot 255 / amount`."""
    table, most = _poisson(amount)
    level = images.long()
    drawn = per_value(images, index, stream, FINE) + level * FINE
    photons = torch.searchsorted(table.to(images.device), drawn, right=True) - level * most
    shades = (torch.arange(most + 1, dtype=torch.float64) * (255 / amount)).float()
    return _pixels(shades.to(images.device)[photons])


@lru_cache(maxsize=8)
def _poisson(photons: float) -> tuple[Tensor, int]:
    """Distribution functions for all grey levels one after the other, as rising integers."""
    most = int(photons + 10 * photons**0.5 + 10)
    counts = torch.arange(1, most + 1, dtype=torch.float64)
    means = torch.arange(256, dtype=torch.float64)[:, None] * (photons / 255)
    below = torch.special.gammaincc(counts.expand(256, -1), means.expand(-1, most))
    levels = torch.arange(256)[:, None] * FINE
    return ((below * FINE).round().long() + levels).flatten(), most


def impulse_noise(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Sets values at random to black or white."""
    drawn = per_value(images, index, stream, FINE)
    salted = images.masked_fill(drawn < round(amount * FINE), 255)
    return salted.masked_fill_(drawn < round(amount / 2 * FINE), 0)


def contrast(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Draws all values towards the mean of the image."""
    # A division by a plain number would be a product with its inverse on some devices.
    count = torch.tensor(images[0].numel(), dtype=torch.float64, device=images.device)
    mean = images.flatten(1).long().sum(1).double() / count
    offset = (mean * (1 - amount)).view(-1, 1, 1, 1)
    return _pixels(images.double().mul_(amount).add_(offset))


def brightness(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Adds light everywhere."""
    return _pixels(images.float().add_(round(255 * amount)))


def occlusion(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Puts a grey square in front, anywhere in the image."""
    height, width = images.shape[-2:]
    side = max(1, round(amount * min(height, width)))
    top, left = draw(stream, index, (height - side + 1, width - side + 1))
    rows = _within(height, top, side)[:, None, :, None]
    columns = _within(width, left, side)[:, None, None, :]
    return images.masked_fill(rows & columns, GREY)


def stripe(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Shows an upright or lying band in negative, anywhere in the image."""
    height, width = images.shape[-2:]
    tall, wide = max(1, round(amount * height)), max(1, round(amount * width))
    upright, top, left = draw(stream, index, (2, height - tall + 1, width - wide + 1))
    lying = _within(height, top, tall)[:, None, :, None]
    standing = _within(width, left, wide)[:, None, None, :]
    inside = torch.where(upright.view(-1, 1, 1, 1) == 1, standing, lying)
    return torch.where(inside, 255 - images, images)


def _within(size: int, first: Tensor, length: int) -> Tensor:
    """Which of `size` places lie in the stretch from `first`, with shape (B, size)."""
    place = torch.arange(size, device=first.device)
    return (place >= first[:, None]) & (place < first[:, None] + length)
