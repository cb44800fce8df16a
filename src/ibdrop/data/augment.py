"""Training images varied anew in every epoch: shift, flip, crop, noise and cutout."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet, ImageSpec
from ibdrop.data.counter import draw
from ibdrop.data.framing import STEPS, Frame, reframed, window
from ibdrop.data.pollution import LEVELS, quantiles
from ibdrop.seeds import key

__all__ = ["Augmentation", "Augmented"]

CPU_CHUNK, CUDA_CHUNK = 2**20, 2**24
FEWEST = 32
"""Values, and at least so many images, worked on at once; the result does not depend on it."""

WIDE = 8
"""Bytes of the integers that noise and crops work with, for each byte of an image."""

FINE = 2**30
DIGITS = 3
MEAN_OF = 1024
BLOCK = 64


@dataclass(frozen=True)
class Augmentation:
    """How training images are varied; as it stands, not at all.

    A crop is resized to the whole picture, then mirrored, then shifted; noise comes after that,
    and the cutout hides what lies beneath it.

    Attributes:
        shift: The most pixels by which an image is shifted, up or down and to either side; all
            shifts are equally likely.
        padding: What comes in from outside: `black`, or `reflect` for the image as in a mirror.
        flip: Whether images are mirrored left to right, each with probability one half.
        crop: The smallest share of each side that a crop leaves, in (0, 1]; the shares of both
            sides and the place are drawn independently and evenly.
        noise: The standard deviation of normal noise, of full white, in [0, 1).
        cutout: The side in pixels of a square filled with the mean colour of the training
            images, whose middle is anywhere in the image; parts of it may lie outside.

    Raises:
        ValueError: A value is out of its range.

    Reference:
        Shift and flip: He et al., Deep Residual Learning (arXiv 1512.03385), section 4.2.
        Cutout: DeVries & Taylor (arXiv 1708.04552), sections 3 and 4.1, who put zeros into
        images normalised to mean zero.
    """

    shift: int = 0
    padding: Literal["black", "reflect"] = "black"
    flip: bool = False
    crop: float = 1.0
    noise: float = 0.0
    cutout: int = 0

    def __post_init__(self) -> None:
        if self.padding not in ("black", "reflect"):
            raise ValueError(f"padding is '{self.padding}'; it must be 'black' or 'reflect'")
        for name in ("shift", "cutout"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)} px; it must be 0 or more")
        if not 0 < self.crop <= 1:
            raise ValueError(
                f"crop is {self.crop:g}; the share of a side that is left must lie in (0, 1]"
            )
        if not 0 <= self.noise < 1:
            raise ValueError(
                f"noise is {self.noise:g}; the standard deviation, of full white, must lie in"
                " [0, 1)"
            )

    @property
    def moves(self) -> bool:
        """Whether things change their places."""
        return bool(self.shift or self.flip or self.crop < 1)

    def __call__(self, images: ImageSet, spec: ImageSpec, seed: int) -> ImageSet:
        """Gives the images varied, or the very same set where nothing is to be varied.

        Arguments:
            images: The training images.
            spec: What they look like.
            seed: Keys the random integers.

        Raises:
            ValueError: A shift or a cutout is too large for the images.
        """
        if not (self.moves or self.noise or self.cutout):
            return images
        return Augmented(images, (spec.height, spec.width), self, seed)


class Augmented(ImageSet):
    """A set of images, each varied anew in every epoch.

    What becomes of image `i` in epoch `e` is a function of `(seed, e, i)` alone, and each kind
    of variation has its own stream of random integers: the pictures are the same bit for bit
    whatever the batch, the order or the device, and one kind does not change the draws of
    another.

    Masks move along, by the nearest pixel, and know nothing of what a mirror adds; boxes are
    tight around them, or, where there are no masks, around what is left of the box, and
    (0, 0, 0, 0) where that is nothing. A distractor is known by the pixel that was its corner,
    which may now lie outside or be hidden; in a mirrored image that is its upper right corner.
    Noise and cutout leave all these as they are.

    Arguments:
        images: The images.
        size: Their height and width in pixels.
        how: How they are varied.
        seed: Keys the random integers.

    Raises:
        ValueError: A shift or a cutout is too large for the images.
    """

    def __init__(
        self, images: ImageSet, size: tuple[int, int], how: Augmentation, seed: int
    ) -> None:
        _check(size, how)
        self.images = images
        self.size = size
        self.how = how
        self.seed = seed
        self.resident = images.resident

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        plain = self.images.batch(index, epoch)
        most = CPU_CHUNK if plain.images.device.type == "cpu" else CUDA_CHUNK
        most //= WIDE if self.how.noise or self.how.crop < 1 else 1
        count = max(FEWEST, most // max(1, plain.images[:1].numel()))
        return _joined([self._varied(part, epoch) for part in _parts(plain, count)])

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.images.prefetch(index, epoch)

    def clutter(self, index: Tensor, draw: int) -> Tensor:
        return self.images.clutter(index, draw)

    def to(self, device: torch.device) -> Augmented:
        return Augmented(self.images.to(device), self.size, self.how, self.seed)

    def frames(self, index: Tensor, epoch: int) -> tuple[Frame, Frame]:
        """Draws what the images show, upright and across.

        Arguments:
            index: Numbers of images as int64 on any device, with shape :math:`(B)`.
            epoch: The epoch.
        """
        how = self.how
        nothing, whole = torch.zeros_like(index), torch.full_like(index, STEPS)
        shifts, starts, shares = (nothing, nothing), (nothing, nothing), (whole, whole)
        flipped = nothing.bool()
        if how.shift:
            steps = draw(self._stream("shift", epoch), index, (2 * how.shift + 1,) * 2)
            shifts = steps[0] - how.shift, steps[1] - how.shift
        if how.flip:
            flipped = draw(self._stream("flip", epoch), index, (2,))[0].bool()
        if how.crop < 1:
            least = max(1, math.ceil(how.crop * STEPS))
            sides = index[:, None] * 2 + torch.arange(2, device=index.device)
            more, place = draw(self._stream("crop", epoch), sides, (STEPS - least + 1, FINE))
            share, size = more + least, torch.tensor(self.size, device=index.device)
            start = (place * ((STEPS - share) * size + 1)).div(FINE, rounding_mode="floor")
            shares, starts = (share[:, 0], share[:, 1]), (start[:, 0], start[:, 1])
        upright = Frame(starts[0], shares[0], torch.zeros_like(flipped), shifts[0])
        return upright, Frame(starts[1], shares[1], flipped, shifts[1])

    def _varied(self, batch: Batch, epoch: int) -> Batch:
        index = batch.index.to(batch.images.device)
        if self.how.moves:
            mirror = self.how.padding == "reflect" or not self.how.shift
            smooth = self.how.crop < 1
            batch = reframed(batch, *self.frames(index, epoch), mirror=mirror, smooth=smooth)
        images = batch.images
        if self.how.noise:
            images = self._noisy(images, index, epoch)
        if self.how.cutout:
            images = self._cut(images, index, epoch)
        return batch._replace(images=images)

    def _noisy(self, images: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Adds noise from a table; the bits of one draw serve three values."""
        values = images[:1].numel()
        draws = math.ceil(values / DIGITS)
        counter = index[:, None] * draws + torch.arange(draws, device=images.device)
        digits = draw(self._stream("noise", epoch), counter, (LEVELS,) * DIGITS)
        drawn = torch.cat(digits, 1)[:, :values].reshape(images.shape)
        return _bell(self.how.noise, images.device)[drawn].add_(images).clamp_(0, 255).byte()

    def _cut(self, images: Tensor, index: Tensor, epoch: int) -> Tensor:
        """Fills squares with the mean colour."""
        side = self.how.cutout
        height, width = images.shape[2:]
        middles = draw(self._stream("cutout", epoch), index, (height, width))
        rows, columns = (
            _stretch(length, middle - side // 2, side)
            for length, middle in zip((height, width), middles, strict=True)
        )
        return torch.where(window(rows, columns), self._mean, images)

    def _stream(self, what: str, epoch: int) -> int:
        return key(self.seed, "augment", what, epoch)

    @cached_property
    def _mean(self) -> Tensor:
        """The mean colour of the training images as they are, of up to 1,024 spread evenly."""
        count = min(len(self), MEAN_OF)
        chosen = torch.arange(count) * len(self) // count
        sums = [self.images.batch(part).images.sum((0, 2, 3)) for part in chosen.split(BLOCK)]
        values = count * self.size[0] * self.size[1]
        mean = torch.stack(sums).sum(0).add(values // 2).div(values, rounding_mode="floor")
        return mean.byte().view(1, -1, 1, 1)


@lru_cache(maxsize=4)
def _bell(sd: float, device: torch.device) -> Tensor:
    """Normal noise in whole grey levels, as int16."""
    return (255 * sd * quantiles()).round().short().to(device)


def _stretch(length: int, first: Tensor, size: int) -> Tensor:
    """Which of `length` places lie in the stretch from `first`, with shape (B, length)."""
    place = torch.arange(length, device=first.device)
    return (place >= first[:, None]) & (place < first[:, None] + size)


def _parts(batch: Batch, count: int) -> list[Batch]:
    """The batch cut into several of `count` images."""
    number = max(1, math.ceil(len(batch.index) / count))
    fields: list[Any] = [
        [None] * number if values is None else values.split(count) for values in batch
    ]
    return [Batch(*part) for part in zip(*fields, strict=True)]


def _joined(parts: list[Batch]) -> Batch:
    if len(parts) == 1:
        return parts[0]
    fields: Iterable[Any] = zip(*parts, strict=True)
    joined: list[Any] = [None if part[0] is None else torch.cat(part) for part in fields]
    return Batch(*joined)


def _check(size: tuple[int, int], how: Augmentation) -> None:
    side = min(size)
    pixels = f"the images have {size[0]} x {size[1]} pixels"
    if how.shift >= side:
        raise ValueError(f"shift is {how.shift} px, but {pixels}; it must be below {side}")
    if how.cutout > side:
        raise ValueError(f"cutout is {how.cutout} px, but {pixels}; it must be at most {side}")
