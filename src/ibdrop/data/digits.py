"""Handwritten digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.data.canvases import CLASSES, Clutter, Digits, cluttered
from ibdrop.data.views import View
from ibdrop.seeds import generator

__all__ = ["cluttered_digits", "digits"]

TEST_DIGITS = 450
VAL_DIGITS = 150
STROKE = 63
NOTE = (
    "The embedded digits are few (1,797 of 8 x 8 pixels, enlarged), and the same people wrote"
    " those for training and those for the test; figures do not compare with MNIST."
)


def digits(seed: int, *, scale: int = 2, val_images: int = VAL_DIGITS) -> ImageData:
    """The 1,797 digits of scikit-learn, enlarged.

    The test set is 450 digits chosen at random once and for all, whatever the seed. scikit-learn
    keeps no note of the 13 writers, so training and test share them. A hold-out of the last 450,
    mostly by other writers, is harder (support vector machine: 96.0 % right, against 98.4 % for
    random ones), but validation, drawn at random from the rest, could not stand in for it.

    Arguments:
        seed: Chooses the validation digits.
        scale: The enlargement of the 8 x 8 pixels, bicubic.
        val_images: The number of validation digits, out of 1,347.

    Raises:
        ValueError: `scale` or `val_images` is out of range.

    Reference:
        Alpaydin & Kaynak, Optical Recognition of Handwritten Digits (UCI, 1998), test part.
    """
    train, val, test = (
        StaticImages(images[:, None], labels)
        for images, labels in _splits(seed, scale, val_images)
    )
    side = 8 * scale
    return ImageData("digits", ImageSpec(1, side, side, CLASSES), train, val, test, NOTE)


def cluttered_digits(
    seed: int,
    *,
    canvas: int = 40,
    distractors: int = 8,
    distractor_size: int = 5,
    border: int = 0,
    scale: int = 2,
    train_images: int = 8_000,
    val_images: int = 1_000,
    test_images: int = 2_000,
    redraw: bool = True,
    clutter: Clutter = "fragments",
    excluded: Sequence[int] = (),
    view: View = "whole",
) -> ImageData:
    """The embedded digits, each on a canvas among fragments of others.

    Targets and distractors of a split are digits of that split only: 1,197 for training, 150 for
    validation, and for the test the 450 of `digits`. Validation and test canvases are frozen,
    and the test's do not depend on `seed`. Strokes are pixels of a quarter of full ink or more.

    Arguments:
        seed: Keys the validation digits and the canvases of training and validation.
        canvas: The side of the canvas in pixels.
        distractors: The number of distractors on a canvas.
        distractor_size: The side of a fragment in pixels of the enlarged digit; nothing else has
            one.
        border: Pixels at the edge of the canvas that the target keeps free, and that everything
            keeps free where nothing overlaps.
        scale: The enlargement of the 8 x 8 pixels, bicubic.
        train_images: The number of training canvases in an epoch.
        val_images: The number of validation canvases.
        test_images: The number of test canvases.
        redraw: Whether every epoch has new training canvases.
        clutter: What lies beside the target: `fragments` of other digits anywhere; or, one to a
            cell of the canvas and with as much ink as the target, whole `digits` of the excluded
            classes or `scrambled` digits.
        excluded: Classes that are never targets; the others are numbered anew, in their order.
        view: What is shown of each canvas: the `whole`, the same `without_target`, the same with
            the distractors `moved` to other places, or the target `alone`.

    Raises:
        ValueError: Things do not fit, or a number or a class is out of range.
    """
    return cluttered(
        "cluttered digits",
        _splits(seed, scale, VAL_DIGITS),
        seed=seed,
        canvas=canvas,
        distractors=distractors,
        distractor_size=distractor_size,
        border=border,
        sizes=(train_images, val_images, test_images),
        redraw=redraw,
        clutter=clutter,
        excluded=excluded,
        view=view,
        stroke=STROKE,
        note=NOTE,
    )


def _splits(seed: int, scale: int, val_images: int) -> tuple[Digits, Digits, Digits]:
    images, labels = _enlarged(scale)
    order = torch.randperm(len(labels), generator=generator("digits", "test"))
    test, rest = order[:TEST_DIGITS], order[TEST_DIGITS:]
    if not 1 <= val_images < len(rest):
        raise ValueError(f"val_images is {val_images}; it must be 1 to {len(rest) - 1}")
    rest = rest[torch.randperm(len(rest), generator=generator(seed, "digits", "val"))]
    val, train = rest[:val_images], rest[val_images:]
    return (
        Digits(images[train], labels[train]),
        Digits(images[val], labels[val]),
        Digits(images[test], labels[test]),
    )


def _enlarged(scale: int) -> tuple[Tensor, Tensor]:
    """All digits as uint8 and their labels; in float64, where doubling the size is exact."""
    from sklearn.datasets import load_digits

    if not 1 <= scale <= 8:
        raise ValueError(f"scale is {scale}; it must be 1 to 8")
    bundled = load_digits()
    sixteenths = torch.from_numpy(bundled.images)[:, None]
    large = F.interpolate(sixteenths, scale_factor=scale, mode="bicubic", align_corners=False)
    pixels = large[:, 0].mul(255 / 16).round().clamp(0, 255).byte()
    return pixels, torch.from_numpy(bundled.target).long()
