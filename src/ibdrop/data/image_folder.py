"""The user's own pictures: a folder of class folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSet, ImageSpec
from ibdrop.data.holding import hold
from ibdrop.data.naming import listed, shown, tally
from ibdrop.data.objections import refuse
from ibdrop.data.pictures import Colour, Fit, Size
from ibdrop.data.shares import cut_test, cut_val, mixed
from ibdrop.data.survey import Album, Picture, Reader, survey
from ibdrop.data.transforms import Normalise, normalisation
from ibdrop.data.tree import Tree, find
from ibdrop.errors import DataError

__all__ = ["image_folder"]

LARGEST = 4096
Parts = dict[str, list[Picture]]


def image_folder(
    seed: int,
    *,
    root: str | None = None,
    size: int | tuple[int, int] | None = None,
    colour: Colour = "auto",
    fit: Fit = "crop",
    val_share: float = 0.1,
    test_share: float = 0.2,
    normalise: Normalise = "unit",
    skip_unreadable: bool = False,
    resident: float = 4.0,
    workers: int = 4,
) -> ImageData:
    """Pictures in folders that are named after their classes.

    Either `root/CLASS/...`, or `root/train/CLASS/...` with `root/test/CLASS/...` and
    `root/val/CLASS/...`, as far as they are there. What is missing is cut from train: the test by
    the names of the files alone, so that one more picture moves no other; validation by `seed`.
    Pictures are upright, 8 bits per channel, and white where they are transparent.

    Arguments:
        seed: Chooses the validation pictures.
        root: The folder.
        size: Height and width of all pictures in pixels; without, their own, which must agree
            and be 512 or less.
        colour: Whether to make them `grey` or `colour`; `auto` is what all of them are.
        fit: `crop` cuts off what is too much, `pad` adds black bars, `stretch` distorts.
        val_share: The share of validation in what is not for the test.
        test_share: The share of the test.
        normalise: How pixels become inputs.
        skip_unreadable: Whether to go on without files that cannot be read.
        resident: The memory in GiB that the pixels may take; more are read from disk as needed.
        workers: The number of threads that read.

    Raises:
        DataError: The folder is no such tree, or its pictures cannot be used.
        ValueError: A number is out of range, or `root` is missing.
    """
    if root is None:
        raise ValueError("root is missing; dataset.root=DIR names the folder of your pictures")
    _check(val_share, test_share, resident, workers)
    reader = Reader(_size(size), colour, fit)
    tree = find(Path(root).expanduser().absolute())
    files = [file for part in tree.parts.values() for file in part]
    album = survey(files, reader, resident=resident, workers=workers, what="looking at pictures")
    refuse(tree, album, reader, skip_unreadable)
    parts = _divided(tree, album, val_share, test_share, seed)
    channels, *sides = reader.shape(album.pictures[0].look)
    spec = ImageSpec(channels, sides[0], sides[1], tree.classes)
    limit = resident if album.fits else 0.0
    train, val, test = (
        _held(parts[part], part, reader, spec, limit, album.threads)
        for part in ("train", "val", "test")
    )
    return ImageData(
        shown(tree.root.name) or "pictures",
        spec,
        train,
        val,
        test,
        _note(tree, album, parts),
        normalisation(normalise, train, spec),
    )


def _check(val_share: float, test_share: float, resident: float, workers: int) -> None:
    for name, share in (("val_share", val_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise ValueError(f"{name} is {share:g}; it must be above 0 and below 1")
    if not resident >= 0:
        raise ValueError(f"resident is {resident:g}; it must be 0 GiB or more")
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")


def _size(size: int | Sequence[int] | None) -> Size | None:
    if size is None:
        return None
    height, width = (size, size) if isinstance(size, int) else size
    if not (1 <= height <= LARGEST and 1 <= width <= LARGEST):
        raise ValueError(f"size is {height} x {width}; each must be 1 to {LARGEST} pixels")
    return height, width


def _divided(tree: Tree, album: Album, val_share: float, test_share: float, seed: int) -> Parts:
    """The pictures of train, val and test."""
    of = {file.path: part for part, files in tree.parts.items() for file in files}
    parts: Parts = {part: [] for part in tree.parts}
    for picture in album.pictures:
        parts[of[picture.file.path]].append(picture)
    _refuse_few(tree, parts)
    if "test" not in parts:
        parts["train"], parts["test"] = cut_test(parts["train"], test_share, 2 - ("val" in parts))
    if "val" not in parts:
        parts["train"], parts["val"] = cut_val(parts["train"], val_share, seed)
    return {part: mixed(pictures) for part, pictures in parts.items()}


def _refuse_few(tree: Tree, parts: Parts) -> None:
    cut = [part for part in ("val", "test") if part not in parts]
    for part, pictures in parts.items():
        wanting = ["train", *cut] if part == "train" else [part]
        counts = Counter(picture.file.label for picture in pictures)
        few = [
            f"{name} has {counts[label]}"
            for label, name in enumerate(tree.classes)
            if counts[label] < len(wanting)
        ]
        if few:
            *others, last = wanting
            need = f"{', '.join(others)} and {last} need" if others else f"{last} needs"
            raise DataError(
                f"too few pictures in {shown(tree.root)}: {need} one of every class, but"
                f" {listed(few)}; add pictures, or delete the class folder"
            )


def _held(
    pictures: list[Picture],
    part: str,
    reader: Reader,
    spec: ImageSpec,
    resident: float,
    workers: int,
) -> ImageSet:
    def read(i: int) -> Tensor:
        return reader.read(pictures[i])

    labels = torch.tensor([picture.file.label for picture in pictures])
    names = [shown(picture.file.name) for picture in pictures]
    how: dict[str, Any] = {"resident": resident, "workers": workers, "names": names}
    return hold(read, labels, spec[:3], what=f"reading {part} pictures", **how)


def _note(tree: Tree, album: Album, parts: Parts) -> str:
    """One or two sentences on what these pictures are."""
    forms = Counter(picture.look.form for picture in album.pictures)
    lossy = ", which is lossy" if "JPEG" in forms else ""
    kinds = [
        f"{count:,} {form}{lossy * (form == 'JPEG')}" for form, count in sorted(forms.items())
    ]
    counts = {part: f"{len(pictures):,}" for part, pictures in parts.items()}
    chosen = "" if "test" in tree.parts else ", chosen by the names of the files"
    said = (
        f"Pictures from {shown(tree.root)} ({'; '.join(kinds)}): {counts['train']} for training,"
        f" {counts['val']} for validation, {counts['test']} for the test{chosen}."
    )
    left_out = [f"other files: {tally(tree.left_out)}"] if tree.left_out else []
    if album.flaws:
        names = listed([tree.place(file) for file, _ in album.flaws])
        left_out.insert(0, f"{len(album.flaws):,} unreadable ({names})")
    return f"{said} Left out: {'; '.join(left_out)}." if left_out else said
