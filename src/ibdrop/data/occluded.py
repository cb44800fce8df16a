"""Pictures with a digit in front, which must not matter: the nuisance of Information Dropout."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data import sources
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec, StaticImages
from ibdrop.data.canvases import Digits
from ibdrop.data.cifar import CLASSES, read_cifar10
from ibdrop.data.idx import read_idx
from ibdrop.data.splits import held_out
from ibdrop.data.transforms import Normalise, normalisation
from ibdrop.seeds import generator

__all__ = ["OccludedImages", "occluded_cifar"]

WHITE = 255
THRESHOLD = 127
"""Pixels of a digit brighter than this grey level are white and opaque, the others invisible."""
MARGIN = 4
"""Empty pixels around a digit of MNIST, which stick out below and to the right."""


class OccludedImages(ImageSet):
    r"""Pictures, each with a digit in its lower right corner, in pure white and opaque.

    The frame of the digit sticks out by 4 pixels below and to the right, so that a digit of
    MNIST, 28 pixels with such a margin, ends in the corner: on 32 pixels it is shifted by
    :math:`(8, 8)` and cropped. Picture number :math:`n` has digit :math:`n` modulo :math:`N` of a
    seeded permutation, always the same one; up to :math:`N` pictures share no digit.

    In a batch `labels` are those of the pictures and `nuisance` is the class of the digit.
    `masks` are the pixels of the picture that can be seen beside the digit, and `boxes` is the
    whole picture: what a heat map has inside the masks is what it has not spent on the digit.

    Arguments:
        pictures: At least one picture.
        digits: Digits of :math:`S` by :math:`S` pixels.
        seed: Keys which picture has which digit.
        numbers: The number :math:`n` of each picture, as int64; `None` counts them.

    Raises:
        ValueError: The pictures are too small, or there are no digits.
    """

    def __init__(
        self, pictures: ImageSet, digits: Digits, *, seed: int, numbers: Tensor | None = None
    ) -> None:
        count = len(digits.labels)
        _check(pictures.batch(torch.arange(1)).images, digits.images)
        order = torch.randperm(count, generator=generator(seed, "occlusion"))
        numbers = torch.arange(len(pictures)) if numbers is None else numbers
        self.pictures = pictures
        self.resident = pictures.resident
        self.digits = order[numbers % count]
        self.strokes = (digits.images > THRESHOLD)[:, :-MARGIN, :-MARGIN].contiguous()
        self.classes = digits.labels

    def __len__(self) -> int:
        return len(self.pictures)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        found = self.pictures.batch(index, epoch)
        count, _, height, width = found.images.shape
        digit = self.digits[index.to(self.digits.device)]
        strokes = self.strokes[digit]
        above, before = height - strokes.shape[1], width - strokes.shape[2]
        covered = F.pad(strokes, (before, 0, above, 0))
        return found._replace(
            images=found.images.masked_fill(covered[:, None], WHITE),
            boxes=torch.tensor((0, 0, height, width), device=digit.device).repeat(count, 1),
            masks=~covered,
            nuisance=self.classes[digit],
        )

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.pictures.prefetch(index, epoch)

    def to(self, device: torch.device) -> OccludedImages:
        moved = copy(self)
        for name in ("pictures", "digits", "strokes", "classes"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved


def occluded_cifar(
    seed: int, *, root: str, normalise: Normalise = "zca", val_images: int = 5_000
) -> ImageData:
    """Occluded CIFAR-10: pictures of objects, each with a digit of MNIST in its corner.

    The task is to name the object; what a network still knows of the digit it has not forgotten.
    Digits for training and validation are of MNIST's 60,000 for training, each used once at most,
    and those of the test are MNIST's 10,000 for the test, once each. The test does not depend on
    `seed`, and validation pictures are those of `cifar10` with the same seed.

    The paper does not say from what it whitens. Here it is what the network sees: all 50,000
    training pictures with their digits, those for validation included. Statistics of clean
    pictures would make the edges of the digits, where such pictures hardly vary, very bright. So
    the transform depends on the seed, through the digits.

    Arguments:
        seed: Chooses the validation pictures, and which training picture has which digit.
        root: The folder that holds `cifar-10-batches-py` and `MNIST/raw`, as torchvision lays
            them out.
        normalise: What the network reads: `zca`, the paper's whitened pixels; `standard`,
            channels of mean 0 and standard deviation 1; `unit`, pixels from 0 to 1.
        val_images: The number of validation pictures, out of the 50,000 for training.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: `val_images` is out of range.

    Reference:
        Achille & Soatto, Information Dropout (arXiv 1611.01353), section 6 and fig. 4: digits in
        pure white, with their 20 x 20 pixels in the lower right corner. The data were not
        released; the threshold, 127, is ours.
    """
    (images, labels), test = read_cifar10(root)
    digits, test_digits = read_idx(sources.MNIST, root)
    chooser = generator(seed, "cifar10", "val")
    parts = held_out(images, torch.arange(len(labels)), val_images, chooser)
    train, val = (
        OccludedImages(
            StaticImages(part.images, labels[part.labels]),
            digits,
            seed=seed,
            numbers=part.labels,
        )
        for part in parts
    )
    spec = ImageSpec(3, 32, 32, CLASSES)
    every = OccludedImages(StaticImages(images, labels), digits, seed=seed)
    transform = normalisation(normalise, every, spec)
    tested = OccludedImages(StaticImages(*test), test_digits, seed=0)
    return ImageData("occluded CIFAR-10", spec, train, val, tested, transform=transform)


def _check(pictures: Tensor, digits: Tensor) -> None:
    if not len(digits):
        raise ValueError("there are no digits to put in front of the pictures")
    height, width = pictures.shape[2:]
    needed = digits.shape[-1] - MARGIN
    if min(height, width) < needed:
        raise ValueError(
            f"pictures of {height} x {width} px are too small for digits of {needed} px in front"
            " of them"
        )
