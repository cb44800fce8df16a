"""Labels and class names of an archive, and the splits that are cut from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ibdrop.data.naming import listed
from ibdrop.data.npz import Archive
from ibdrop.errors import DataError
from ibdrop.seeds import generator

__all__ = ["Labelled", "class_names", "divided", "labels_of"]

MOST_CLASSES = 10_000
LONGEST_NAME = 1000


@dataclass(frozen=True)
class Labelled:
    """Some of the images of an array.

    Attributes:
        images: The name of the array.
        labels: Their classes as int64, with shape :math:`(N)`.
        index: Their places in the array, likewise.
    """

    images: str
    labels: Tensor
    index: Tensor

    def take(self, which: Tensor) -> Labelled:
        """Some of these images, in their order."""
        which = which.sort().values
        return replace(self, labels=self.labels[which], index=self.index[which])


def labels_of(archive: Archive, prefix: str) -> Tensor:
    """Reads the labels of images, once it is clear that there is one for each.

    Arguments:
        archive: The archive.
        prefix: What stands before `images` and `labels` in their names.

    Raises:
        DataError: They are no whole numbers from 0, one for each image.
    """
    name, images = f"{prefix}labels", f"{prefix}images"
    array, count = archive.arrays[name], archive.arrays[images].shape[0]
    where = f"{name} in {archive.name}"
    if array.dtype.kind not in "iuO":
        raise DataError(
            f"{where} has values of type {array.dtype}; labels must be whole numbers from 0, and"
            " their names go into an array called classes"
        )
    if array.shape[1:] not in ((), (1,)) or not array.shape:
        raise DataError(f"{where} has the shape {array.shape}; it must be (N) or (N, 1)")
    if array.shape[0] != count:
        raise DataError(
            f"{archive.name} holds {count:,} {images} and {array.shape[0]:,} {name}; each image"
            " needs one label"
        )
    values = archive.read(name).reshape(-1)
    if len(values) and not 0 <= int(values.min()) <= int(values.max()) < MOST_CLASSES:
        worst = int(values.min() if values.min() < 0 else values.max())
        raise DataError(f"{where} holds {worst}; labels must be 0 to {MOST_CLASSES - 1:,} at most")
    return torch.from_numpy(values.astype("int64"))


def class_names(archive: Archive, parts: Mapping[str, Labelled]) -> tuple[str, ...]:
    """The names of the classes: those of the array `classes`, or else their numbers.

    Arguments:
        archive: The archive.
        parts: The splits that it holds.

    Raises:
        DataError: Names and labels do not agree, or there are less than two classes.
    """
    most = {one.images: int(one.labels.max()) for one in parts.values()}
    if "classes" not in archive.arrays:
        names = tuple(map(str, range(max(most.values()) + 1)))
    else:
        names = _names(archive)
    for images, label in most.items():
        if label >= len(names):
            raise DataError(
                f"a label of {images} in {archive.name} is {label}, but classes names"
                f" {len(names)}, from 0 to {len(names) - 1}"
            )
    if len(names) < 2:
        raise DataError(f"{archive.name} has only one class; at least two are needed")
    return names


def _names(archive: Archive) -> tuple[str, ...]:
    """The names in the array `classes`."""
    array, where = archive.arrays["classes"], f"classes in {archive.name}"
    if len(array.shape) != 1 or array.dtype.kind not in "UO":
        raise DataError(
            f"{where} has the shape {array.shape} and type {array.dtype}; it must be a list of"
            " names (numpy.array([...], dtype=str))"
        )
    if array.shape[0] > MOST_CLASSES or array.dtype.itemsize > 4 * LONGEST_NAME:
        raise DataError(
            f"{where} holds {array.shape[0]:,} names of up to {array.dtype.itemsize // 4:,}"
            f" letters; there may be {MOST_CLASSES:,} of {LONGEST_NAME:,}"
        )
    names = tuple(map(str, archive.read("classes")))
    unfit = [number for number, name in enumerate(names) if not name.strip()]
    unfit += [number for number, name in enumerate(names) if not name.isprintable()]
    if unfit:
        raise DataError(f"{where} has no name that can be printed for class {unfit[0]}")
    if len(set(names)) < len(names):
        raise DataError(f"{where} names a class twice: {listed(names)}")
    return names


def divided(
    parts: Mapping[str, Labelled],
    names: tuple[str, ...],
    val_share: float,
    test_share: float,
    seed: int,
) -> dict[str, Labelled]:
    """Cuts the splits that are missing from train, the same share of every class.

    Arguments:
        parts: The splits that there are.
        names: The names of the classes.
        val_share: The share of validation, in (0, 1).
        test_share: The share of the test, in (0, 1).
        seed: Chooses the images for validation; those for the test never change.

    Raises:
        DataError: A class has too few images.
    """
    made = dict(parts)
    missing = [part for part in ("test", "val") if part not in made]
    count = torch.bincount(made["train"].labels, minlength=len(names)).tolist()
    wanting = ["training", *(("validation",) if "val" in missing else ())]
    wanting += ["the test"] if "test" in missing else []
    need = len(wanting)
    few = [f"{name} has {n}" for name, n in zip(names, count, strict=True) if n < need]
    if few:
        *others, last = wanting
        use = f"{', '.join(others)} and {last}" if others else last
        raise DataError(
            f"every class needs at least {need} image{'s' * (need > 1)} for {use}, but"
            f" {listed(few)}; add images, or number the classes anew"
        )
    if "test" in missing:
        made["train"], made["test"] = _cut(made["train"], test_share, need - 1, "test")
    if "val" in missing:
        made["train"], made["val"] = _cut(made["train"], val_share, 1, "val", seed)
    return made


def _cut(whole: Labelled, share: float, left: int, *parts: str | int) -> tuple[Labelled, Labelled]:
    """What stays and what is cut off, of every class at least one, and `left` stay."""
    random = generator("arrays", *parts)
    stay, cut = [], []
    for label in whole.labels.unique().tolist():
        places = (whole.labels == label).nonzero()[:, 0]
        places = places[torch.randperm(len(places), generator=random)]
        count = min(max(round(share * len(places)), 1), len(places) - left)
        cut.append(places[:count])
        stay.append(places[count:])
    return whole.take(torch.cat(stay)), whole.take(torch.cat(cut))
