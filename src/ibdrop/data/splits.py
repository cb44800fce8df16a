"""Validation as a seeded part of the images for training."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from ibdrop.data.base import StaticImages

__all__ = ["held_out", "last_held_out"]


def held_out(
    images: Tensor, labels: Tensor, val_images: int, random: Generator
) -> tuple[StaticImages, StaticImages]:
    """Divides images into those to learn from and those that select the model.

    Arguments:
        images: Pixels as uint8, with shape :math:`(N, C, H, W)`.
        labels: Classes as int64, with shape :math:`(N)`.
        val_images: The number of images held out.
        random: Chooses them.

    Raises:
        ValueError: `val_images` is out of range.
    """
    _check(val_images, labels)
    order = torch.randperm(len(labels), generator=random)
    val, train = order[:val_images], order[val_images:]
    return StaticImages(images[train], labels[train]), StaticImages(images[val], labels[val])


def last_held_out(
    images: Tensor, labels: Tensor, val_images: int
) -> tuple[StaticImages, StaticImages]:
    """Divides images as they lie: the last ones select the model.

    Arguments:
        images: Pixels as uint8, with shape :math:`(N, C, H, W)`.
        labels: Classes as int64, with shape :math:`(N)`.
        val_images: The number of images held out.

    Raises:
        ValueError: `val_images` is out of range.
    """
    _check(val_images, labels)
    at = len(labels) - val_images
    return StaticImages(images[:at], labels[:at]), StaticImages(images[at:], labels[at:])


def _check(val_images: int, labels: Tensor) -> None:
    if not 1 <= val_images < len(labels):
        raise ValueError(f"val_images is {val_images}; it must be 1 to {len(labels) - 1}")
