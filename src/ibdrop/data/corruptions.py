"""Images made worse in known ways and degrees, on the device, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data import distortions, pollution
from ibdrop.data.base import Batch, ImageSet
from ibdrop.seeds import key

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corrupted", "Corruption", "corrupt"]

SEVERITIES = (1, 2, 3, 4, 5)
CHUNK = 2**21
"""Values worked on at once; what comes out does not depend on it."""


class Corruption(NamedTuple):
    """A way to make images worse.

    Attributes:
        apply: Takes pixels (uint8, with shape :math:`(B, C, H, W)`), the numbers of the images
            (int64, on the same device, with shape :math:`(B)`), an amount and the number of a
            stream of random integers; gives pixels.
        amounts: The amount for each severity.
        meaning: What the amount is.
        moves: Whether things change their places, so that known places hold no longer.
    """

    apply: Callable[[Tensor, Tensor, float, int], Tensor]
    amounts: tuple[float, float, float, float, float]
    meaning: str
    moves: bool = False


CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(
        pollution.gaussian_noise,
        (0.08, 0.16, 0.25, 0.37, 0.5),
        "standard deviation, of full white",
    ),
    "shot_noise": Corruption(
        pollution.shot_noise, (40, 16, 8, 4, 2), "photons per pixel at full white"
    ),
    "impulse_noise": Corruption(
        pollution.impulse_noise,
        (0.03, 0.07, 0.13, 0.22, 0.35),
        "share of values set to black or white",
    ),
    "speckle_noise": Corruption(
        pollution.speckle_noise,
        (0.2, 0.35, 0.55, 0.8, 1.1),
        "standard deviation, of the pixel's own brightness",
    ),
    "gaussian_blur": Corruption(
        distortions.gaussian_blur,
        (0.02, 0.03, 0.045, 0.06, 0.08),
        "standard deviation, of the geometric mean of the side and 28 pixels",
    ),
    "motion_blur": Corruption(
        distortions.motion_blur,
        (0.1, 0.15, 0.22, 0.3, 0.4),
        "length, of the geometric mean of the side and 28 pixels",
    ),
    "contrast": Corruption(
        pollution.contrast, (0.6, 0.4, 0.25, 0.15, 0.08), "share of the contrast that is left"
    ),
    "brightness": Corruption(
        pollution.brightness, (0.15, 0.3, 0.45, 0.6, 0.75), "light added, of full white"
    ),
    "pixelate": Corruption(
        distortions.pixelate,
        (0.06, 0.08, 0.1, 0.13, 0.18),
        "side of a block, of the geometric mean of the side and 28 pixels",
    ),
    "rotate": Corruption(
        distortions.rotate, (10, 20, 30, 45, 60), "degrees, to either side", moves=True
    ),
    "translate": Corruption(
        distortions.translate,
        (0.04, 0.07, 0.11, 0.15, 0.18),
        "shift in one of 8 directions, of each side",
        moves=True,
    ),
    "scale": Corruption(
        distortions.scale, (0.85, 0.7, 0.58, 0.48, 0.4), "size, of the former size", moves=True
    ),
    "shear": Corruption(
        distortions.shear,
        (0.2, 0.4, 0.6, 0.8, 1.0),
        "slope of upright lines, to either side",
        moves=True,
    ),
    "occlusion": Corruption(
        pollution.occlusion,
        (0.15, 0.23, 0.31, 0.4, 0.5),
        "side of a grey square, of the shorter side",
    ),
    "stripe": Corruption(
        pollution.stripe,
        (0.08, 0.15, 0.25, 0.35, 0.5),
        "width of a band in negative, of the side it crosses",
    ),
}
"""All corruptions by name.

The kinds are those of MNIST-C (Mu & Gilmer, arXiv 1906.02337) and of ImageNet-C (Hendrycks &
Dietterich, arXiv 1903.12261); code and amounts are our own, chosen to suit images of 28 to 96
pixels, so the figures do not compare with those of these benchmarks.
"""


def corrupt(images: Tensor, index: Tensor, name: str, severity: int, seed: int) -> Tensor:
    """Makes images worse; what becomes of an image depends on its number, not on its batch.

    Random integers are a function of seed, name, severity, number of the image and pixel alone;
    sums are of integers or exact, so batch, order and device do not matter either.

    Arguments:
        images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
        index: The numbers of the images, with shape :math:`(B)`.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Keys the random integers.

    Returns:
        Pixels as uint8, with the shape of `images`.

    Raises:
        ValueError: No such corruption or severity.
    """
    kind = _kind(name, severity)
    stream = key(seed, "corruption", name, severity)
    count = max(1, CHUNK // max(1, images[:1].numel()))
    index = index.to(images.device)
    amount = kind.amounts[severity - 1]
    parts = zip(images.split(count), index.split(count), strict=True)
    return torch.cat([kind.apply(part, number, amount, stream) for part, number in parts])


def _kind(name: str, severity: int) -> Corruption:
    if name not in CORRUPTIONS:
        raise ValueError(
            f"there is no corruption '{name}'; choose one of {', '.join(CORRUPTIONS)}"
        )
    if severity not in SEVERITIES:
        raise ValueError(f"severity is {severity}; it must be 1 to {SEVERITIES[-1]}")
    return CORRUPTIONS[name]


class Corrupted(ImageSet):
    """A set of images, each made worse; see `corrupt`.

    Boxes, masks and distractors are kept where the corruption moves nothing, else dropped.

    Arguments:
        images: The images.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: Keys the random integers.

    Raises:
        ValueError: No such corruption or severity.
    """

    def __init__(self, images: ImageSet, name: str, severity: int, seed: int) -> None:
        self.moves = _kind(name, severity).moves
        self.images = images
        self.resident = images.resident
        self.name = name
        self.severity = severity
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        clean = self.images.batch(index, epoch)
        worse = corrupt(clean.images, index, self.name, self.severity, self.seed)
        if self.moves:
            return Batch(clean.index, worse, clean.labels)
        return clean._replace(images=worse)

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.images.prefetch(index, epoch)

    def to(self, device: torch.device) -> Corrupted:
        return Corrupted(self.images.to(device), self.name, self.severity, self.seed)
