"""Images of another kind than a network was trained on."""

from __future__ import annotations

from collections.abc import Callable

from ibdrop.data.base import ImageData, ImageSet, ImageSpec

__all__ = ["OUTLIERS", "adapted", "gaussian_noise", "permuted", "uniform_noise"]


def uniform_noise(data: ImageData, seed: int) -> ImageSet:
    """As many images as the test set of independent uniform values."""
    raise NotImplementedError


def gaussian_noise(data: ImageData, seed: int) -> ImageSet:
    """As many images as the test set of normal values with its mean and standard deviation."""
    raise NotImplementedError


def permuted(data: ImageData, seed: int) -> ImageSet:
    """The test images, the pixels of each in a random order of its own."""
    raise NotImplementedError


OUTLIERS: dict[str, Callable[[ImageData, int], ImageSet]] = {
    "uniform_noise": uniform_noise,
    "gaussian_noise": gaussian_noise,
    "permuted": permuted,
}


def adapted(data: ImageData, spec: ImageSpec) -> ImageSet:
    """The test images of another data set, in the size and colours of `spec`."""
    raise NotImplementedError
