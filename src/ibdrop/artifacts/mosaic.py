"""Many small images as one, in rows and columns."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

__all__ = ["mosaic", "to_bytes"]

Array = np.ndarray[Any, Any]


def mosaic(images: Array, columns: int, gap: int = 1, blank: float = 1.0) -> Array:
    """Puts images side by side, row by row; the last row may be short.

    Arguments:
        images: Values, with shape :math:`(N, C, H, W)`.
        columns: The number of images in a row.
        gap: Pixels between images.
        blank: The value between images, and where there is none.

    Returns:
        One image, with shape :math:`(C, H', W')`.
    """
    count, channels, height, width = images.shape
    rows, columns = math.ceil(count / columns), min(columns, count)
    step_y, step_x = height + gap, width + gap
    sheet = np.full((channels, rows * step_y - gap, columns * step_x - gap), blank, images.dtype)
    for place, image in enumerate(images):
        y, x = (place // columns) * step_y, (place % columns) * step_x
        sheet[:, y : y + height, x : x + width] = image
    return sheet


def to_bytes(pixels: Array) -> Array:
    """Turns pixels in [0, 1] into uint8, for pictures."""
    made: Array = (255 * np.clip(np.nan_to_num(pixels), 0, 1)).round().astype(np.uint8)
    return made
