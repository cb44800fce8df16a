"""CIFAR-10, as the Information Dropout paper reads it: whitened, not augmented."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data import originals, sources
from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.data.sources import File
from ibdrop.data.splits import held_out
from ibdrop.data.transforms import Normalise, normalisation
from ibdrop.data.unpickle import Refused, read_pickle
from ibdrop.errors import DataError
from ibdrop.seeds import generator

__all__ = ["CLASSES", "Pictures", "cifar10", "read_cifar10"]

CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
BATCHES = 6  # five for training and one for the test; the last file only names the classes


class Pictures(NamedTuple):
    """The pictures of one original part.

    Attributes:
        images: Pixels as uint8, with shape :math:`(N, 3, 32, 32)`.
        labels: Classes as int64, with shape :math:`(N)`.
    """

    images: Tensor
    labels: Tensor


def cifar10(
    seed: int,
    *,
    root: str,
    normalise: Normalise = "zca",
    val_images: int = 5_000,
) -> ImageData:
    """The 60,000 pictures of CIFAR-10, 32 x 32 pixels in colour.

    What normalises the pixels is taken from all 50,000 training pictures, those for validation
    included: it is the paper's transform, uses no labels, and does not depend on the seed.

    Arguments:
        seed: Chooses the validation pictures.
        root: The folder that holds `cifar-10-batches-py`, as torchvision lays it out.
        normalise: What the network reads: `zca`, the paper's whitened pixels; `standard`,
            channels of mean 0 and standard deviation 1; `unit`, pixels from 0 to 1.
        val_images: The number of validation pictures, out of the 50,000 for training.

    Raises:
        DataError: The files are missing or damaged.
        ValueError: `val_images` is out of range.

    References:
        Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009).
        Achille & Soatto, Information Dropout (arXiv 1611.01353), section 6.
    """
    (images, labels), test = read_cifar10(root)
    spec = ImageSpec(3, 32, 32, CLASSES)
    train, val = held_out(images, labels, val_images, generator(seed, "cifar10", "val"))
    transform = normalisation(normalise, StaticImages(images, labels), spec)
    return ImageData("CIFAR-10", spec, train, val, StaticImages(*test), transform=transform)


def read_cifar10(root: str) -> tuple[Pictures, Pictures]:
    """Reads the original pictures for training and for the test.

    Arguments:
        root: The folder that holds `cifar-10-batches-py`.

    Raises:
        DataError: A file is missing, damaged or another one.
    """
    folder = Path(root).expanduser()
    *train, test = (_batch(file, folder) for file in sources.CIFAR10.files[:BATCHES])
    images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
    return Pictures(images, labels), test


def _batch(file: File, root: Path) -> Pictures:
    content = originals.read(sources.CIFAR10, file, root)
    try:
        found = read_pickle(content)
        return _pictures(found.get(b"data"), found.get(b"labels"))
    except Refused as refusal:
        path = sources.CIFAR10.place(file, root)
        raise DataError(f"{path} is no batch of CIFAR-10: {refusal}") from refusal


def _pictures(data: object, labels: object) -> Pictures:
    """Rows of 3 x 1,024 bytes, red before green before blue."""
    if not isinstance(data, Tensor) or data.ndim != 2 or data.shape[1] != 3 * 32 * 32:
        shape = list(data.shape) if isinstance(data, Tensor) else type(data).__name__
        raise Refused(f"its data are {shape}; they must be rows of 3,072 bytes")
    if not isinstance(labels, list) or len(labels) != len(data):
        count = len(labels) if isinstance(labels, list) else type(labels).__name__
        raise Refused(f"its labels are {count}; they must be a list of {len(data):,}")
    wrong = [label for label in labels if type(label) is not int or label not in range(10)]
    if wrong:
        raise Refused(f"a label is {wrong[0]!r}; it must be a whole number from 0 to 9")
    return Pictures(data.view(-1, 3, 32, 32), torch.tensor(labels))
