"""From the digits of three splits to a data set of cluttered canvases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSet, ImageSpec
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.matched import MatchedImages
from ibdrop.data.scramble import scrambled
from ibdrop.data.views import View
from ibdrop.seeds import key

__all__ = ["CLASSES", "CLUTTERS", "Clutter", "Digits", "cluttered"]

CLASSES = tuple("0123456789")

Clutter = Literal["fragments", "digits", "scrambled"]
"""What lies beside the target.

- `fragments`: crops of other digits anywhere, as in the original; less ink than the target.
- `digits`: whole digits of the excluded classes, with as much ink as the target.
- `scrambled`: digits of any class but zero with as much ink, cut into quarters and put together
  wrongly. A ring is a ring still when its quarters are exchanged, so zeros are left out.
"""

CLUTTERS: tuple[str, ...] = get_args(Clutter)
RING = 0

ADVISED = (0, 1, 6)
"""Of all sets of two to four classes the one that least betrays which digit is the target.

Of nine digits with the same ink the target is the densest with a chance of 1/9 = 0.11 if density
tells nothing, and the least dense with the same; here neither chance is over 0.15 under any of
six blurs, with embedded digits and MNIST alike, where other sets reach up to 0.79. Zeros and ones
are the extremes of density, and so no targets (benchmarks/exclusions.py).
"""


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
    clutter: Clutter = "fragments",
    excluded: Sequence[int] = (),
    view: View = "whole",
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
        distractors: The number of distractors on a canvas.
        distractor_size: The side of a fragment in pixels; only fragments have one.
        border: Pixels at the edge of the canvas that the target keeps free, and that everything
            keeps free where nothing overlaps.
        sizes: The number of canvases of train, validation and test.
        redraw: Whether every epoch has new training canvases.
        clutter: What lies beside the target.
        excluded: Classes that are never targets; the others are numbered anew, in their order.
        view: What is shown of each canvas.
        stroke: Pixels of a target brighter than this grey level are its strokes.
        note: One sentence for the report.

    Raises:
        ValueError: Things do not fit, or a number or a class is out of range.
    """
    kept = _kept(clutter, excluded)
    streams = key(seed, name, "train"), key(seed, name, "val"), key(name, "test")
    options = {"canvas": canvas, "distractors": distractors, "border": border}
    train, val, test = (
        _images(
            clutter,
            digits,
            kept,
            distractor_size,
            size=size,
            seed=stream,
            redraw=redraw and number == 0,
            stroke=stroke,
            view=view,
            **options,
        )
        for number, (digits, size, stream) in enumerate(zip(splits, sizes, streams, strict=True))
    )
    spec = ImageSpec(1, canvas, canvas, tuple(CLASSES[number] for number in kept))
    return ImageData(_title(name, clutter, view), spec, train, val, test, note)


def _images(
    clutter: str, digits: Digits, kept: list[int], crop: int, *, seed: int, **options: Any
) -> ImageSet:
    """The canvases of one split."""
    numbers = torch.full((len(CLASSES),), -1)
    numbers[kept] = torch.arange(len(kept))
    labels = numbers[digits.labels]
    targets = labels >= 0
    if not targets.any():
        raise ValueError("a split has no digit of the classes that are left")
    if clutter == "fragments":
        chosen = targets.nonzero()[:, 0]
        return ClutteredImages(
            digits.images, labels, targets=chosen, crop=crop, seed=seed, **options
        )
    things, repeats = digits.images[~targets], 1
    if clutter == "scrambled":
        broken = digits.images[digits.labels != RING]
        things, repeats = scrambled(broken, key(seed, "scrambles"))
    return MatchedImages(
        digits.images[targets], labels[targets], things, repeats=repeats, seed=seed, **options
    )


def _title(name: str, clutter: str, view: str) -> str:
    """The name, with what is not the usual."""
    unusual = [word for word in (clutter, view) if word not in ("fragments", "whole")]
    words = ", ".join(unusual).replace("_", " ")
    return f"{name} ({words})" if words else name


def _kept(clutter: str, excluded: Sequence[int]) -> list[int]:
    """The classes of targets."""
    if clutter not in CLUTTERS:
        raise ValueError(f"clutter is '{clutter}'; it must be one of {', '.join(CLUTTERS)}")
    for number in excluded:
        if not 0 <= number < len(CLASSES):
            raise ValueError(f"excluded names class {number}; the classes are 0 to 9")
    if clutter == "digits" and not excluded:
        raise ValueError(
            "clutter=digits takes whole digits of classes that are never targets; name them,"
            f" as in excluded={list(ADVISED)}"
        )
    kept = [number for number in range(len(CLASSES)) if number not in excluded]
    if len(kept) < 2:
        raise ValueError(f"excluded leaves {len(kept)} of the classes; at least 2 must be left")
    return kept
