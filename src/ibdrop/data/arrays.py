"""The user's own images in one NPZ archive."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSpec
from ibdrop.data.holding import GIB, hold
from ibdrop.data.labelled import Labelled, class_names, divided, labels_of
from ibdrop.data.naming import listed, shown
from ibdrop.data.npz import Archive, Array
from ibdrop.data.transforms import Normalise, normalisation
from ibdrop.errors import DataError

__all__ = ["arrays"]

PARTS = ("train", "val", "test")
WANTED = (
    "images and labels, or train_images, train_labels, test_images, test_labels and perhaps"
    " val_images, val_labels"
)


def arrays(
    seed: int,
    *,
    file: str | None = None,
    val_share: float = 0.1,
    test_share: float = 0.2,
    normalise: Normalise = "unit",
    resident: float = 4.0,
    workers: int = 4,
) -> ImageData:
    """Images and labels from one NPZ archive, as `numpy.savez` writes it.

    Either `images` and `labels`, or `train_images`, `train_labels`, `test_images`, `test_labels`
    and perhaps `val_images`, `val_labels` (the layout of MedMNIST). Images are uint8 of shape
    (N, H, W), (N, H, W, C) or (N, C, H, W) with 1 or 3 channels; labels are whole numbers from 0;
    `classes` may hold their names. What is missing is cut from train, the same share of every
    class: the test always the same, validation by `seed`.

    Arguments:
        seed: Chooses the validation images.
        file: The archive.
        val_share: The share of validation in what is not for the test.
        test_share: The share of the test.
        normalise: How pixels become inputs.
        resident: The memory in GiB that the pixels may take; more are read from disk as needed.
        workers: The number of threads that read from disk.

    Raises:
        DataError: The archive is missing, damaged, or does not hold such arrays.
        ValueError: A number is out of range, or `file` is missing.

    Reference:
        The layout with splits: Yang et al., MedMNIST v2 (Scientific Data 10, 2023).
    """
    if file is None:
        raise ValueError("file is missing; dataset.file=FILE.npz names your archive")
    _check(val_share, test_share, resident, workers)
    path = Path(file).expanduser().absolute()
    with Archive(path) as archive:
        found = _parts(archive)
        names = class_names(archive, found)
        parts = divided(found, names, val_share, test_share, seed)
        bytes_of = {one.images: archive.arrays[one.images].size for one in found.values()}
        limit = resident if sum(bytes_of.values()) <= resident * GIB else 0.0
        pixels = {name: _pixels(archive, name, limit) for name in bytes_of}
    shape = _shape(archive, found)

    def held(part: Labelled) -> Any:
        read = _reader(pixels[part.images], part.index, shape[0])
        what = f"reading {shown(path.name)}"
        return hold(read, part.labels, shape, resident=limit, workers=workers, what=what)

    train, val, test = (held(parts[part]) for part in PARTS)
    spec = ImageSpec(*shape, names)
    note = _note(shown(path.name), parts, "test" in found)
    title = shown(path.stem)
    return ImageData(title, spec, train, val, test, note, normalisation(normalise, train, spec))


def _check(val_share: float, test_share: float, resident: float, workers: int) -> None:
    for name, share in (("val_share", val_share), ("test_share", test_share)):
        if not 0 < share < 1:
            raise ValueError(f"{name} is {share:g}; it must be above 0 and below 1")
    if not resident >= 0:
        raise ValueError(f"resident is {resident:g}; it must be 0 GiB or more")
    if workers < 1:
        raise ValueError(f"workers is {workers}; it must be 1 or more")


def _parts(archive: Archive) -> dict[str, Labelled]:
    """Which arrays are which split, all of them looked at."""
    has = archive.arrays
    split = [part for part in PARTS if f"{part}_images" in has or f"{part}_labels" in has]
    prefixes = {part: f"{part}_" for part in split} if split else {"train": ""}
    if split and "train" not in split:
        prefixes["train"] = "train_"
    wanted = [f"{prefix}{kind}" for prefix in prefixes.values() for kind in ("images", "labels")]
    missing = [name for name in wanted if name not in has]
    if missing:
        raise DataError(
            f"no {' and no '.join(missing)} in {archive.name}, which holds"
            f" {listed(sorted(has), 12) or 'nothing'}; it must hold {WANTED}"
        )
    return {part: _labelled(archive, prefix) for part, prefix in prefixes.items()}


def _labelled(archive: Archive, prefix: str) -> Labelled:
    images = archive.arrays[f"{prefix}images"]
    _refuse(archive, images)
    labels = labels_of(archive, prefix)
    return Labelled(images.name, labels, torch.arange(len(labels)))


def _refuse(archive: Archive, images: Array) -> None:
    """Says what is wrong with an array of images."""
    where = f"{images.name} in {archive.name}"
    if images.dtype.hasobject:
        archive.read(images.name)
    if images.dtype != np.uint8:
        remedy = "8 bits from 0 to 255 are needed"
        if images.dtype.kind == "f":
            remedy += ": (images * 255).round().astype('uint8') if they run from 0 to 1"
        raise DataError(f"{where} has numbers of type {images.dtype}; {remedy}")
    if len(images.shape) not in (3, 4):
        raise DataError(
            f"{where} has the shape {images.shape}; it must be (N, H, W), (N, H, W, C) or"
            " (N, C, H, W)"
        )
    if not images.size:
        raise DataError(f"{where} is empty (its shape is {images.shape}); it must hold images")
    if len(images.shape) == 4:
        first, last = (size in (1, 3) for size in (images.shape[1], images.shape[3]))
        if first and last:
            raise DataError(
                f"{where} has the shape {images.shape}, whose channels may be the second or the"
                " last axis; images must be larger than 3 pixels"
            )
        if not first and not last:
            raise DataError(
                f"{where} has the shape {images.shape}; the second or the last axis must be 1"
                " channel (grey) or 3 (red, green, blue)"
            )


def _shape(archive: Archive, parts: dict[str, Labelled]) -> tuple[int, int, int]:
    """Channels, height and width, the same in all splits."""
    shapes = {one.images: _chw(archive.arrays[one.images].shape) for one in parts.values()}
    if len(set(shapes.values())) > 1:
        found = listed([f"{name} {c} x {h} x {w}" for name, (c, h, w) in shapes.items()])
        raise DataError(
            f"the splits in {archive.name} differ (channels x height x width): {found}; they must"
            " be the same"
        )
    return next(iter(shapes.values()))


def _chw(shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) == 3:
        return 1, shape[1], shape[2]
    if shape[3] in (1, 3):
        return shape[3], shape[1], shape[2]
    return shape[1], shape[2], shape[3]


def _pixels(archive: Archive, name: str, resident: float) -> np.ndarray[Any, Any]:
    """The values of an array: read, or left in the file where it lies open there."""
    array = archive.arrays[name]
    if resident:
        return archive.read(name)
    if not array.stored:
        raise DataError(
            f"{name} in {archive.name} is compressed and too large to be kept"
            f" ({array.size / GIB:.1f} GiB unpacked); write it with numpy.savez in place of"
            " numpy.savez_compressed, and it is read from disk as needed, or raise"
            " dataset.resident"
        )
    return archive.mapped(name)


def _reader(pixels: np.ndarray[Any, Any], index: Tensor, channels: int) -> Callable[[int], Tensor]:
    """Gives image `i` of a split with its channels first."""
    place = index.tolist()
    last = pixels.ndim == 4 and pixels.shape[3] == channels

    def read(i: int) -> Tensor:
        image = torch.from_numpy(np.array(pixels[place[i]]))
        if image.ndim == 2:
            return image[None]
        return image.permute(2, 0, 1) if last else image

    return read


def _note(name: str, parts: dict[str, Labelled], own_test: bool) -> str:
    counts = {part: f"{len(parts[part].labels):,}" for part in PARTS}
    chosen = "" if own_test else ", chosen at random once and for all"
    return (
        f"Images from {name}: {counts['train']} for training, {counts['val']} for validation,"
        f" {counts['test']} for the test{chosen}."
    )
