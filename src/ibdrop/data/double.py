"""Double MNIST: an even and an odd digit on each canvas, of which the task asks for one."""

from __future__ import annotations

from collections.abc import Sequence

from ibdrop.data import sources
from ibdrop.data.base import ImageData, ImageSpec
from ibdrop.data.canvases import Digits
from ibdrop.data.idx import read_idx
from ibdrop.data.pairs import PairedImages, Task
from ibdrop.seeds import key

__all__ = ["double_mnist", "doubled"]

CLASSES = {"even": tuple("02468"), "odd": tuple("13579")}
TRAIN = 50_000


def double_mnist(
    seed: int,
    *,
    root: str,
    task: Task = "even",
    canvas: int = 96,
    smallest: float = 0.8,
    largest: float = 2.0,
    train_images: int = 50_000,
    val_images: int = 10_000,
    test_images: int = 10_000,
    redraw: bool = False,
) -> ImageData:
    """Double MNIST: name the even digit, or the odd one, of the very same canvases.

    A heat map that follows the task lies on the digit that is asked for, not on any ink. The
    digits of a split are those of `cluttered_mnist`: the first 50,000 of MNIST's training set for
    training, its last 10,000 for validation, and MNIST's test set. The test canvases do not
    depend on `seed`.

    Arguments:
        seed: Keys the canvases of training and validation.
        root: The folder that holds `MNIST/raw`, as torchvision lays it out.
        task: The digit to be named, `even` or `odd`; the class of the other is the nuisance.
        canvas: The side of the canvas in pixels.
        smallest: The smallest side of a digit's frame, in units of 28 pixels.
        largest: The largest side, likewise.
        train_images: The number of training canvases in an epoch.
        val_images: The number of validation canvases.
        test_images: The number of test canvases.
        redraw: Whether every epoch has new training canvases.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: The digits do not fit, or a number is out of range.

    Reference:
        The idea is that of a port of the official code of Achille & Soatto, Information Dropout
        (arXiv 1611.01353), which gives canvas and sizes and no results.
    """
    (images, labels), test = read_idx(sources.MNIST, root)
    train = Digits(images[:TRAIN], labels[:TRAIN])
    val = Digits(images[TRAIN:], labels[TRAIN:])
    return doubled(
        "double MNIST",
        (train, val, test),
        seed=seed,
        task=task,
        canvas=canvas,
        smallest=smallest,
        largest=largest,
        sizes=(train_images, val_images, test_images),
        redraw=redraw,
    )


def doubled(
    name: str,
    splits: Sequence[Digits],
    *,
    seed: int,
    task: Task,
    canvas: int,
    smallest: float,
    largest: float,
    sizes: Sequence[int],
    redraw: bool,
) -> ImageData:
    """Puts the digits of train, validation and test on canvases, two on each.

    Arguments:
        name: The name for titles and reports; the task is added.
        splits: The digits of train, validation and test.
        seed: The seed of the run.
        task: The kind of digit to be named.
        canvas: The side of the canvas in pixels.
        smallest: The smallest side of a digit's frame, in units of the original.
        largest: The largest side, likewise.
        sizes: The number of canvases of train, validation and test.
        redraw: Whether every epoch has new training canvases.

    Raises:
        ValueError: The digits do not fit, or a number is out of range.
    """
    keys = key(seed, name, "train"), key(seed, name, "val"), key(name, "test")
    train, val, test = (
        PairedImages(
            digits.images,
            digits.labels,
            size=size,
            task=task,
            canvas=canvas,
            smallest=smallest,
            largest=largest,
            seed=stream,
            redraw=redraw and number == 0,
        )
        for number, (digits, size, stream) in enumerate(zip(splits, sizes, keys, strict=True))
    )
    spec = ImageSpec(1, canvas, canvas, CLASSES[task])
    return ImageData(f"{name} ({task})", spec, train, val, test)
