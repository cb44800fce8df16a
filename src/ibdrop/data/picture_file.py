"""One picture file as pixels of a given shape."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ibdrop.data.pictures import Colour, Flaw, Size, decode
from ibdrop.errors import DataError

__all__ = ["SUFFIXES", "read_picture", "read_pictures"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
"""How the names of picture files end."""


def read_picture(path: str | Path, channels: int, size: Size, resize: int | None = None) -> Tensor:
    """Reads a picture, upright, cropped about its centre to the shape asked for.

    Its proportions are kept: the largest part with the shape's own is cut out, then resized.

    Arguments:
        path: The file.
        channels: 1 to make it grey, 3 for colours.
        size: Height and width in pixels.
        resize: What the shorter side is brought to before `size` is cut out, in pixels; without,
            as much of the picture as there can be is seen.

    Returns:
        Pixels as uint8, with shape :math:`(C, H, W)`.

    Raises:
        DataError: There is no such file, or it is no picture that can be taken.
    """
    height, width = size
    scale = 1.0 if resize is None else max(1.0, resize / min(size))
    larger = (round(scale * height), round(scale * width))
    colour: Colour = "grey" if channels == 1 else "colour"
    place = Path(path).expanduser()
    if not place.exists():
        raise DataError(f"there is no file {path}")
    try:
        _, pixels = decode(str(place), colour, larger, "crop")
    except Flaw as flaw:
        raise DataError(f"{path} {flaw}") from flaw
    top, left = (larger[0] - height) // 2, (larger[1] - width) // 2
    return pixels[:, top : top + height, left : left + width]


def read_pictures(
    paths: list[str], channels: int, size: Size, resize: int | None = None
) -> Tensor:
    """Reads pictures as `read_picture` does, into shape :math:`(B, C, H, W)`."""
    return torch.stack([read_picture(path, channels, size, resize) for path in paths])
