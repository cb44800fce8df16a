"""Images that live on the device and are taken from there in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Batch", "ImageData", "ImageSet", "ImageSpec", "StaticImages", "Transform", "UnitRange"]


class ImageSpec(NamedTuple):
    """What a model must know of the images it will see.

    Attributes:
        channels: The number of colour channels :math:`C`.
        height: The height :math:`H` in pixels.
        width: The width :math:`W` in pixels.
        classes: The names of the :math:`K` classes.
    """

    channels: int
    height: int
    width: int
    classes: tuple[str, ...]


class Batch(NamedTuple):
    """Images with everything known about them.

    Attributes:
        index: The number of each image in its set, with shape :math:`(B)`.
        images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
        labels: Classes as int64, with shape :math:`(B)`.
        boxes: Tight box of the target (top, left, bottom, right; the last two exclusive) in
            pixels, with shape :math:`(B, 4)`; `None` where the place is not known.
        masks: Strokes of the target as bool, with shape :math:`(B, H, W)`; `None` likewise.
        distractors: Corner (top, left) of each distractor in pixels, with shape
            :math:`(B, D, 2)`; `None` where there are none.
        nuisance: Class of what is in the image and must not matter, as int64 with shape
            :math:`(B)`; `None` where there is no such thing.
    """

    index: Tensor  # type: ignore[assignment]  # a tuple has a method of this name
    images: Tensor
    labels: Tensor
    boxes: Tensor | None = None
    masks: Tensor | None = None
    distractors: Tensor | None = None
    nuisance: Tensor | None = None


class ImageSet(ABC):
    """A numbered collection of images; image `i` of epoch `e` never depends on its batch.

    Attributes:
        resident: Whether the images live on the device; if not, each batch is read from disk.
        names: What each image is called by whoever made it, such as its file; `None` where
            images have no names.
    """

    resident: bool = True
    names: Sequence[str] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """The number of images."""

    @abstractmethod
    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        """Gives the images with these numbers.

        Arguments:
            index: Numbers of images as int64 on the CPU, with shape :math:`(B)`.
            epoch: Selects the rendering, for sets that draw every image anew in each epoch.
        """

    @abstractmethod
    def to(self, device: torch.device) -> ImageSet:
        """Gives the same set with its data on `device`."""

    def clutter(self, index: Tensor, draw: int) -> Tensor:
        """Gives canvases of the same kind with other clutter and no target.

        Arguments:
            index: Numbers of images as int64 on the CPU, with shape :math:`(B)`.
            draw: Selects the rendering; canvas `i` of draw `d` depends on `(seed, d, i)` alone.

        Returns:
            Pixels as uint8, with shape :math:`(B, C, H, W)`.

        Raises:
            ValueError: The set has no clutter that was drawn by a generator.
        """
        raise ValueError(
            "these images have no clutter that could be drawn again, so the fill cannot be"
            " rerender; use constant, noise, blur, average or pyramid instead."
        )

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        """Hears which batch will be asked for next, so that it can be made ready meanwhile.

        A set whose images are at hand has nothing to do; one that wraps another passes it on.

        Arguments:
            index: As for `batch`.
            epoch: As for `batch`.
        """


class StaticImages(ImageSet):
    """Images held whole, as uint8.

    Arguments:
        images: Pixels as uint8, with shape :math:`(N, C, H, W)`.
        labels: Classes as int64, with shape :math:`(N)`.
        names: What each image is called.
    """

    def __init__(self, images: Tensor, labels: Tensor, names: Sequence[str] | None = None) -> None:
        self.images = images
        self.labels = labels
        self.names = names

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        place = index.to(self.images.device)
        images, labels = (part.index_select(0, place) for part in (self.images, self.labels))
        return Batch(index, images, labels)

    def to(self, device: torch.device) -> StaticImages:
        return StaticImages(self.images.to(device), self.labels.to(device), self.names)


class Transform(ABC):
    """Turns uint8 pixels into what the network reads."""

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Transforms images; differentiably, where they are floats.

        Arguments:
            images: Pixels as uint8, or as floats from 0 to 255, with shape
                :math:`(B, C, H, W)`.

        Returns:
            float32 with the same shape.
        """

    def from_unit(self, pixels: Tensor) -> Tensor:
        """Transforms pixels in [0, 1] instead, differentiably."""
        return self(255 * pixels)

    @abstractmethod
    def to(self, device: torch.device) -> Transform:
        """Gives the same transform with its numbers on `device`."""


class UnitRange(Transform):
    """Black is 0 and white is 1.

    Arguments:
        white: The byte that becomes 1; with 256, as in old copies of MNIST, white is 0.996.
    """

    def __init__(self, white: int = 255) -> None:
        self.white = white

    def __call__(self, images: Tensor) -> Tensor:
        return images.to(torch.float32, copy=True).div_(self.white)

    def from_unit(self, pixels: Tensor) -> Tensor:
        return pixels.float() if self.white == 255 else super().from_unit(pixels)

    def to(self, device: torch.device) -> UnitRange:
        return self


@dataclass(frozen=True)
class ImageData:
    """A data set: what it looks like, and its three splits.

    Validation is a seeded part of train; test is used once, at the end.

    Attributes:
        name: The name for titles and reports.
        spec: Shape and classes.
        train: The images to learn from.
        val: The images that select the model.
        test: The images that judge it.
        note: One sentence for the report where something about the data must be said.
        transform: Turns pixels into what the network reads.
    """

    name: str
    spec: ImageSpec
    train: ImageSet
    val: ImageSet
    test: ImageSet
    note: str = ""
    transform: Transform = field(default_factory=UnitRange)

    def to(self, device: torch.device) -> ImageData:
        """Gives the same data on `device`."""
        train, val, test = (split.to(device) for split in (self.train, self.val, self.test))
        transform = self.transform.to(device)
        return ImageData(self.name, self.spec, train, val, test, self.note, transform)

    def inputs(self, images: Tensor) -> Tensor:
        """Turns pixels from 0 to 255, bytes or floats, into what the network reads."""
        return self.transform(images)
