"""Data sets in the format of MNIST: two pairs of IDX files, pictures and their classes."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ibdrop.data import originals
from ibdrop.data.canvases import Digits
from ibdrop.data.sources import Source
from ibdrop.errors import DataError

__all__ = ["read_idx"]


def read_idx(source: Source, root: str) -> tuple[Digits, Digits]:
    """Reads the pictures for training and for test.

    Arguments:
        source: A source whose files are, in this order, the pictures and labels for training and
            the pictures and labels for the test.
        root: The data root.

    Raises:
        DataError: The files are missing or damaged, or do not belong together.
    """
    folder = Path(root).expanduser()
    images, labels, test_images, test_labels = (
        _parse(originals.read(source, file, folder)) for file in source.files
    )
    return _pair(source, images, labels), _pair(source, test_images, test_labels)


def _pair(source: Source, images: Tensor, labels: Tensor) -> Digits:
    """Holds where a checksum was right; files without one are looked at more closely."""
    if images.shape[1:] != (28, 28) or labels.shape != images.shape[:1]:
        raise DataError(
            f"{source.name}: pictures of shape {list(images.shape)} and labels of shape"
            f" {list(labels.shape)} in {source.folder}; there should be one label for each"
            " picture of 28 x 28 pixels"
        )
    if labels.max() > 9:
        raise DataError(
            f"{source.name}: a label in {source.folder} is {labels.max()}; it must be 0 to 9"
        )
    return Digits(images, labels.long())


def _parse(content: bytes) -> Tensor:
    """An IDX file of bytes: its fourth byte is the number of dimensions, sizes follow."""
    dimensions = content[3]
    header = 4 * (dimensions + 1)
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    return torch.frombuffer(bytearray(content), dtype=torch.uint8, offset=header).view(shape)
