"""MNIST, plain and on the cluttered canvases of the Information Dropout paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ibdrop.data import sources
from ibdrop.data.base import ImageData, ImageSpec, StaticImages, UnitRange
from ibdrop.data.canvases import CLASSES, Clutter, Digits, cluttered
from ibdrop.data.idx import read_idx
from ibdrop.data.splits import held_out, last_held_out
from ibdrop.data.transforms import Normalise, normalisation
from ibdrop.data.views import View
from ibdrop.seeds import generator

__all__ = ["cluttered_mnist", "mnist"]

PAPER_TRAIN = 50_000


def mnist(
    seed: int,
    *,
    root: str,
    train_images: int | None = None,
    val_images: int = 5_000,
    split: Literal["seeded", "original"] = "seeded",
    white: Literal[255, 256] = 255,
    normalise: Normalise = "unit",
) -> ImageData:
    """The 70,000 digits of MNIST, 28 x 28 pixels.

    Arguments:
        seed: Chooses the validation digits.
        root: The folder that holds `MNIST/raw`, as torchvision lays it out.
        train_images: The number of digits to learn from, out of those that do not validate, whose
            order they keep; `None`: all.
        val_images: The number of validation digits, out of the 60,000 for training.
        split: Which digits validate: `seeded`, some chosen by the seed, or `original`, the last
            ones of the file, so that the others keep their order.
        white: The byte that becomes 1: 255, or 256 as in the file `mnist.pkl.gz` of the Deep
            Learning Tutorials, whose costs are 0.85 nats per digit higher for it.
        normalise: What the network reads: `unit`, pixels from 0 to 1, `standard`, mean 0 and
            deviation 1 over the digits to learn from, or `zca`; the latter two ignore `white`.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: `train_images` or `val_images` is out of range, or no such `normalise`.

    Reference:
        LeCun et al., Gradient-Based Learning Applied to Document Recognition (1998).
    """
    (images, labels), test = read_idx(sources.MNIST, root)
    if split == "original":
        train, val = last_held_out(images[:, None], labels, val_images)
    else:
        chooser = generator(seed, "mnist", "val")
        train, val = held_out(images[:, None], labels, val_images, chooser)
    train = _first(train, train_images)
    held_back = StaticImages(test.images[:, None], test.labels)
    spec = ImageSpec(1, 28, 28, CLASSES)
    unit = normalise == "unit"
    transform = UnitRange(white) if unit else normalisation(normalise, train, spec)
    return ImageData("MNIST", spec, train, val, held_back, transform=transform)


def _first(train: StaticImages, count: int | None) -> StaticImages:
    if count is None:
        return train
    if not 1 <= count <= len(train):
        raise ValueError(f"train_images is {count}; it must be 1 to {len(train)}")
    return StaticImages(train.images[:count], train.labels[:count])


def cluttered_mnist(
    seed: int,
    *,
    root: str,
    canvas: int = 96,
    distractors: int = 21,
    distractor_size: int = 8,
    border: int = 0,
    train_images: int = 50_000,
    val_images: int = 10_000,
    test_images: int = 10_000,
    redraw: bool = False,
    clutter: Clutter = "fragments",
    excluded: Sequence[int] = (),
    view: View = "whole",
) -> ImageData:
    """Cluttered MNIST; with the defaults, the setting of the Information Dropout paper.

    The original splits: the first 50,000 digits of MNIST's training set for training, its last
    10,000 for validation, and MNIST's test set; targets and distractors of a split are digits of
    that split. The test canvases do not depend on `seed`.

    Arguments:
        seed: Keys the canvases of training and validation.
        root: The folder that holds `MNIST/raw`, as torchvision lays it out.
        canvas: The side of the canvas in pixels.
        distractors: The number of distractors on a canvas.
        distractor_size: The side of a fragment in pixels; nothing else has one.
        border: Pixels at the edge of the canvas that the target keeps free, and that everything
            keeps free where nothing overlaps.
        train_images: The number of training canvases in an epoch.
        val_images: The number of validation canvases.
        test_images: The number of test canvases.
        redraw: Whether every epoch has new training canvases; the paper's are frozen.
        clutter: What lies beside the target: `fragments` of other digits anywhere, as in the
            paper; or, one to a cell of the canvas and with as much ink as the target, whole
            `digits` of the excluded classes or `scrambled` digits.
        excluded: Classes that are never targets; the others are numbered anew, in their order.
        view: What is shown of each canvas: the `whole`, the same `without_target`, the same with
            the distractors `moved` to other places, or the target `alone`.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: Things do not fit, or a number or a class is out of range.

    Reference:
        Achille & Soatto, Information Dropout (arXiv 1611.01353), section 6, on the generator of
        Mnih et al. (arXiv 1406.6247).
    """
    (images, labels), test = read_idx(sources.MNIST, root)
    train = Digits(images[:PAPER_TRAIN], labels[:PAPER_TRAIN])
    val = Digits(images[PAPER_TRAIN:], labels[PAPER_TRAIN:])
    return cluttered(
        "cluttered MNIST",
        (train, val, test),
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
    )
