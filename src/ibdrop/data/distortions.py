"""Corruptions of the geometry of images: blur, coarse pixels, and changes of place.

Everywhere: pixels as uint8 with shape (B, C, H, W), numbers of the images as int64 with shape
(B), an amount, and the stream of random integers. A new pixel is a sum of old ones with integer
weights that add to 4096: such sums are exact, also as products of matrices in float64, whatever
the device adds first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.counter import draw
from ibdrop.data.resize import ONE, resized, whole_shares

__all__ = [
    "gaussian_blur",
    "motion_blur",
    "pixelate",
    "rotate",
    "scale",
    "shear",
    "translate",
]

DIRECTIONS = 8


class Taps(NamedTuple):
    """Which old pixels make each new one, in each of V variants.

    Attributes:
        place: Places in the flat image, with shape :math:`(V, n, H W)`.
        weight: Integers that add to 4096, or to less where black comes in; same shape.
    """

    place: Tensor
    weight: Tensor


def _gathered(images: Tensor, taps: Taps, variant: Tensor) -> Tensor:
    """Makes each image by the taps of its variant."""
    old, device = images.flatten(2).int(), images.device
    place, weight = taps.place.to(device), taps.weight.to(device)
    total = torch.full_like(old, ONE // 2)
    for n in range(place.shape[1]):
        where = place[:, n][variant][:, None].expand_as(old)
        total += old.gather(2, where) * weight[:, n][variant][:, None]
    return (total // ONE).byte().view(images.shape)


def _mapped(size: tuple[int, int], matrices: Sequence[Sequence[float]]) -> Taps:
    """Bilinear taps of linear maps about the centre; black comes in from outside.

    Arguments:
        size: Height and width.
        matrices: For each variant the map from new to old places, as (yy, yx, xy, xx).
    """
    height, width = size
    centre = torch.tensor([(height - 1) / 2, (width - 1) / 2], dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    new = torch.stack([y.flatten(), x.flatten()]).double() - centre[:, None]
    matrix = torch.tensor(matrices, dtype=torch.float64).view(-1, 2, 2)
    # Rounded to 1/4096 of a pixel, or a turn by nothing would not be nothing.
    old = ((matrix @ new + centre[:, None]) * ONE).round() / ONE
    return _bilinear(old, size)


def _bilinear(old: Tensor, size: tuple[int, int]) -> Taps:
    """The four neighbours of places (V, 2, H W), those outside with no weight."""
    corner = old.floor()
    part = old - corner
    corners, shares = [], []
    for down in (0, 1):
        for right in (0, 1):
            step = torch.tensor([down, right]).view(2, 1)
            corners.append(corner.long() + step)
            shares.append((step * part + (1 - step) * (1 - part)).prod(1))
    at = torch.stack(corners, 1)
    limits = torch.tensor(size).view(2, 1)
    inside = ((at >= 0) & (at < limits)).all(2)
    y, x = at.clamp(min=torch.zeros_like(limits), max=limits - 1).unbind(2)
    weight = whole_shares(torch.stack(shares, -1)).movedim(-1, 1) * inside
    return Taps(y * size[1] + x, weight)


def _side(index: Tensor, stream: int) -> Tensor:
    """One of two sides for each image."""
    return draw(stream, index, (2,))[0]


def _detail(images: Tensor) -> float:
    """The geometric mean of the shorter side and 28 pixels, the side of MNIST.

    Larger images hold larger things, but also more of them.
    """
    return math.sqrt(28 * min(images.shape[-2:]))


def rotate(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Turns about the centre, clockwise or back."""
    angle = math.radians(amount)
    c, s = math.cos(angle), math.sin(angle)
    taps = _mapped((images.shape[2], images.shape[3]), [(c, s, -s, c), (c, -s, s, c)])
    return _gathered(images, taps, _side(index, stream))


def shear(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Slants upright lines, to the left or the right."""
    size = images.shape[2], images.shape[3]
    taps = _mapped(size, [(1, 0, amount, 1), (1, 0, -amount, 1)])
    return _gathered(images, taps, _side(index, stream))


def scale(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Shrinks about the centre, with black around."""
    height, width = images.shape[-2:]
    tall, wide = max(1, round(amount * height)), max(1, round(amount * width))
    top, left = (height - tall) // 2, (width - wide) // 2
    around = left, width - wide - left, top, height - tall - top
    return F.pad(resized(images, tall, wide), around)


def translate(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Shifts by whole pixels along a side or a diagonal."""
    height, width = images.shape[-2:]
    compass = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if (y, x) != (0, 0)]
    step = torch.tensor([round(amount * height), round(amount * width)])
    shifts = torch.tensor(compass) * step
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    old = torch.stack([y.flatten(), x.flatten()]) - shifts[:, :, None]
    taps = _bilinear(old.double(), (height, width))
    direction = draw(stream, index, (DIRECTIONS,))[0]
    return _gathered(images, Taps(taps.place[:, :1], taps.weight[:, :1]), direction)


def gaussian_blur(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Blurs rows and columns; the edge of the image goes on outside."""
    height, width = images.shape[-2:]
    down, right = (_bell(side, amount * _detail(images)) for side in (height, width))
    sums = down.to(images.device) @ images.double() @ right.T.to(images.device)
    return (sums / ONE**2).round().byte()


def _bell(side: int, sd: float) -> Tensor:
    """Normal weights around each of `side` places, (side, side), in whole parts of `ONE`."""
    radius = max(1, math.ceil(3 * sd))
    steps = torch.arange(-radius, radius + 1)
    shares = (-0.5 * (steps.double() / sd).square()).exp()
    weights = whole_shares(shares / shares.sum()).double().expand(side, -1)
    place = (torch.arange(side)[:, None] + steps).clamp(0, side - 1)
    return torch.zeros(side, side, dtype=torch.float64).scatter_add(1, place, weights)


def motion_blur(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Blurs evenly along a line in one of 8 directions; the edge goes on outside."""
    height, width = images.shape[-2:]
    length = max(2, round(amount * _detail(images)))
    rows, columns = (
        torch.arange(-length, side + length, device=images.device).clamp(0, side - 1)
        for side in (height, width)
    )
    wide = images.index_select(2, rows).index_select(3, columns)
    direction, blurred = draw(stream, index, (DIRECTIONS,))[0], torch.empty_like(images)
    for number, steps in enumerate(_lines(length)):
        these = (direction == number).nonzero()[:, 0]
        sums = torch.full((len(these), *images.shape[1:]), length // 2, device=images.device)
        for y, x in steps:
            part = wide[these, :, length + y : length + y + height]
            sums += part[..., length + x : length + x + width]
        blurred[these] = sums.div_(length, rounding_mode="floor").byte()
    return blurred


def _lines(length: int) -> list[list[tuple[int, int]]]:
    """The steps down and right of a line of so many pixels, in each direction."""
    along = [n - (length - 1) / 2 for n in range(length)]
    angles = [math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    return [
        [(_nearest(a * math.sin(angle)), _nearest(a * math.cos(angle))) for a in along]
        for angle in angles
    ]


def _nearest(step: float) -> int:
    """Rounds halves up, however the last bit of a cosine fell out."""
    return math.floor(step + 0.5 + 1e-9)


def pixelate(images: Tensor, index: Tensor, amount: float, stream: int) -> Tensor:
    """Shows the mean of each block of pixels."""
    rows, columns = (_blocks(side, amount * _detail(images)) for side in images.shape[-2:])
    counts = rows.sum(1)[:, None] * columns.sum(1)
    rows, columns, counts = (part.to(images.device) for part in (rows, columns, counts))
    means = (rows @ images.double() @ columns.T / counts).round()
    return (rows.T @ means @ columns).byte()


def _blocks(side: int, size: float) -> Tensor:
    """Which pixels belong to which block of about `size` pixels, with shape (blocks, side)."""
    count = min(side, max(1, round(side / size)))
    block = torch.arange(side) * count // side
    return (block == torch.arange(count)[:, None]).double()
