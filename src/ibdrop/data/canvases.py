"""From the digits of three splits to a data set of cluttered canvases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from ibdrop.data.base import ImageData, ImageSpec
from ibdrop.data.clutter import ClutteredImages
from ibdrop.seeds import key

__all__ = ["CLASSES", "Digits", "cluttered"]

CLASSES = tuple("0123456789")


class Digits(NamedTuple):
    """Digits of one split.

    Attributes:
        images: Pixels as uint8, with shape :math:`(N, S, S)`.
        labels: Classes as int64, with shape :math:`(N)`.
    """

    images: Tensor
    labels: Tensor


def cluttered(
    name: str,
    splits: Sequence[Digits],
    *,
    seed: int,
    canvas: int,
    distractors: int,
    distractor_size: int,
    border: int,
    sizes: Sequence[int],
    redraw: bool,
    stroke: int = 0,
    note: str = "",
) -> ImageData:
    """Puts the digits of train, validation and test on cluttered canvases.

    Targets and distractors of a split are digits of that split. The canvases of train and
    validation are keyed by `seed`; those of the test never change.

    Arguments:
        name: The name for titles and reports.
        splits: The digits of train, validation and test.
        seed: The seed of the run.
        canvas: The side of the canvas in pixels.
        distractors: The number of fragments on a canvas.
        distractor_size: The side of a fragment in pixels.
        border: Pixels at the edge of the canvas that the target keeps free.
        sizes: The number of canvases of train, validation and test.
        redraw: Whether every epoch has new training canvases.
        stroke: Pixels of a target brighter than this grey level are its strokes.
        note: One sentence for the report.

    Raises:
        ValueError: Digit or fragment do not fit, or a number is out of range.
    """
    keys = key(seed, name, "train"), key(seed, name, "val"), key(name, "test")
    train, val, test = (
        ClutteredImages(
            digits.images,
            digits.labels,
            size=size,
            canvas=canvas,
            distractors=distractors,
            crop=distractor_size,
            border=border,
            seed=stream,
            redraw=redraw and number == 0,
            stroke=stroke,
        )
        for number, (digits, size, stream) in enumerate(zip(splits, sizes, keys, strict=True))
    )
    return ImageData(name, ImageSpec(1, canvas, canvas, CLASSES), train, val, test, note)
