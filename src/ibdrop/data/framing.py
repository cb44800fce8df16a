"""Which part of an image a new image shows, and where: crop, flip and shift as one map.

Places are whole numbers of 1/2048 of a pixel, and a new pixel is a sum of old ones with integer
weights that add to 2048 squared: exact in 32 bits, so the same on every device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.base import Batch

__all__ = [
    "STEPS",
    "Frame",
    "Source",
    "interpolated",
    "nearest",
    "reframed",
    "tight",
    "window",
]

BITS = 11
STEPS = 1 << BITS
"""Parts of a pixel. :math:`255 \\cdot 2048^2` is the largest sum, below :math:`2^{31}`."""


class Source(NamedTuple):
    """Where the pixels along one side of the new images come from.

    Attributes:
        place: The place in the old image in 1/2048 of a pixel, with shape :math:`(B, n)`.
        inside: Whether the old image has that place, with the same shape; if not, `place` is
            where a mirror at the edge would show, or anywhere.
    """

    place: Tensor
    inside: Tensor

    def nearest(self) -> Tensor:
        """The old pixel next to each place."""
        return self._within((self.place + STEPS // 2) >> BITS)

    def taps(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """The old pixels on both sides of each place, with weights that add to 2048."""
        before = self.place >> BITS
        part = self.place & (STEPS - 1)
        return (self._within(before), STEPS - part), (self._within(before + 1), part)

    def between(self, first: Tensor, end: Tensor) -> Tensor:
        """Which new pixels come from the old ones from `first` to before `end`."""
        pixel = self.nearest()
        return self.inside & (pixel >= first) & (pixel < end)

    def _within(self, pixel: Tensor) -> Tensor:
        return pixel.clamp(0, self.place.shape[1] - 1)


class Frame(NamedTuple):
    r"""What new images show along one side: old ones cropped, then mirrored, then shifted.

    Pixel :math:`y` of the new image shows the old one at

    .. math:: a + s \left(y' + \tfrac12\right) - \tfrac12

    where :math:`y'` is :math:`y` less the shift, counted from the other end where mirrored.

    Attributes:
        start: The crop's first edge :math:`a` in 1/2048 of a pixel, with shape :math:`(B)`.
        share: The crop's share :math:`s` of the side in 1/2048, with shape :math:`(B)`.
        mirrored: Whether the image is mirrored, as bool, with shape :math:`(B)`.
        shift: The way towards the far end in pixels, with shape :math:`(B)`.
    """

    start: Tensor
    share: Tensor
    mirrored: Tensor
    shift: Tensor

    def source(self, side: int, mirror: bool) -> Source:
        """Finds the old places of all new pixels.

        Arguments:
            side: The number of pixels :math:`n` along this side.
            mirror: Whether to look into a mirror at the edge, which is not shown twice, for
                places outside.
        """
        y = torch.arange(side, device=self.shift.device) - self.shift[:, None]
        inside = (y >= 0) & (y < side)
        if mirror:
            y = (side - 1) - ((side - 1) - y.abs()).abs()
        y = torch.where(self.mirrored[:, None], side - 1 - y, y)
        middle = ((2 * y + 1) * self.share[:, None]) >> 1
        return Source(middle + (self.start[:, None] - STEPS // 2), inside)

    def moved(self, pixel: Tensor, side: int) -> Tensor:
        """Finds where old pixels are now, perhaps outside.

        Arguments:
            pixel: Numbers of old pixels along this side, with shape :math:`(B, D)`.
            side: The number of pixels :math:`n` along this side.
        """
        middle = pixel * STEPS + (STEPS // 2 - self.start[:, None])
        new = middle.div(self.share[:, None], rounding_mode="floor")
        return torch.where(self.mirrored[:, None], side - 1 - new, new) + self.shift[:, None]


def reframed(batch: Batch, upright: Frame, across: Frame, *, mirror: bool, smooth: bool) -> Batch:
    """Shows images in their frames, with all that is known of their places.

    Arguments:
        batch: The images.
        upright: What is shown from top to bottom.
        across: What is shown from left to right.
        mirror: Whether images go on beyond their edges as in a mirror, where no strokes are
            known and no boxes reach; if not, there is black.
        smooth: Whether to interpolate, which crops need.
    """
    height, width = batch.images.shape[2:]
    rows, columns = upright.source(height, mirror), across.source(width, mirror)
    seen = window(rows.inside, columns.inside)
    images = (interpolated if smooth else nearest)(batch.images, rows, columns)
    images = images if mirror else images.mul_(seen)
    boxes, masks, distractors = batch.boxes, batch.masks, batch.distractors
    if masks is not None:
        masks = nearest(masks[:, None], rows, columns).mul_(seen)[:, 0]
    if boxes is not None and masks is not None:
        boxes = tight(masks.any(2), masks.any(1))
    elif boxes is not None:
        top, left, bottom, right = boxes.unsqueeze(2).unbind(1)
        boxes = tight(rows.between(top, bottom), columns.between(left, right))
    if distractors is not None:
        down, over = distractors.unbind(2)
        distractors = torch.stack((upright.moved(down, height), across.moved(over, width)), 2)
    return batch._replace(images=images, boxes=boxes, masks=masks, distractors=distractors)


def nearest(images: Tensor, rows: Source, columns: Source) -> Tensor:
    """Takes the old pixel next to each place, with one gather.

    Arguments:
        images: Pixels as uint8 or strokes as bool, with shape :math:`(B, C, H, W)`.
        rows: The sources of the new rows.
        columns: The sources of the new columns.
    """
    return _taken(images, rows.nearest(), columns.nearest())


def interpolated(images: Tensor, rows: Source, columns: Source) -> Tensor:
    """Takes each place from the four pixels around it, bilinearly.

    Arguments:
        images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
        rows: The sources of the new rows.
        columns: The sources of the new columns.
    """
    total = torch.full_like(images, STEPS**2 // 2, dtype=torch.int32)
    for row, down in rows.taps():
        for column, right in columns.taps():
            weight = down[:, None, :, None].int() * right[:, None, None].int()
            total += _taken(images, row, column) * weight
    return (total >> 2 * BITS).byte()


def _taken(images: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """The pixels at these rows and columns, the same in each channel."""
    place = (row[:, :, None] * images.shape[3] + column[:, None]).flatten(1)[:, None]
    flat = images.flatten(2)
    return flat.gather(2, place.expand_as(flat)).view(images.shape)


def window(rows: Tensor, columns: Tensor) -> Tensor:
    """Where both a row and a column are lit, with shape :math:`(B, 1, H, W)`.

    Arguments:
        rows: Which rows are lit, as bool, with shape :math:`(B, H)`.
        columns: Which columns are lit, as bool, with shape :math:`(B, W)`.
    """
    # As bytes: torch joins bools four times more slowly on the CPU.
    down, right = rows.view(torch.uint8), columns.view(torch.uint8)
    return (down[:, None, :, None] & right[:, None, None]).view(torch.bool)


def tight(rows: Tensor, columns: Tensor) -> Tensor:
    """Smallest boxes around lit rows and columns; (0, 0, 0, 0) where there are none.

    Arguments:
        rows: Which rows are lit, as bool, with shape :math:`(B, H)`.
        columns: Which columns are lit, as bool, with shape :math:`(B, W)`.

    Returns:
        Top, left, bottom and right, the last two exclusive, with shape :math:`(B, 4)`.
    """
    (top, bottom), (left, right) = (
        (lit.byte().argmax(1), lit.shape[1] - lit.flip(1).byte().argmax(1))
        for lit in (rows, columns)
    )
    some = rows.any(1) & columns.any(1)
    return torch.stack((top, left, bottom, right), 1) * some[:, None]
