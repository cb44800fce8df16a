"""Two digits on each canvas, an even and an odd one, drawn by number and rendered anywhere."""

from __future__ import annotations

from copy import copy
from math import lcm
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.apart import corners_apart
from ibdrop.data.base import Batch, ImageSet
from ibdrop.data.counter import draw
from ibdrop.data.enlarging import Sizes
from ibdrop.data.framing import tight
from ibdrop.seeds import generator, key

__all__ = ["Layout", "PairedImages", "Task"]

Task = Literal["even", "odd"]
TASKS: tuple[str, ...] = get_args(Task)
STROKE_BITS = 6
"""Strokes are pixels of :math:`2^6` grey levels, a quarter of full ink, or more."""
CPU_CHUNK = 128
CUDA_CHUNK = 4096


class Layout(NamedTuple):
    """What lies where on each canvas; of two, the even digit comes first.

    Attributes:
        digits: The numbers of both digits, with shape :math:`(B, 2)`.
        sizes: The numbers of their sizes, likewise.
        corners: The corner (top, left) of the ink of each in pixels, with shape
            :math:`(B, 2, 2)`.
        extents: Height and width of the ink of each in pixels, likewise.
    """

    digits: Tensor
    sizes: Tensor
    corners: Tensor
    extents: Tensor


class PairedImages(ImageSet):
    r"""Canvases with one even and one odd digit, each of its own size, that do not touch.

    The side of a digit's frame is uniform over the whole numbers of pixels between `smallest`
    and `largest` times the original, and the corners are uniform over all pairs at which the
    tight boxes of the ink lie on the canvas with a pixel or more between them. Strokes are the
    pixels with a quarter of full ink or more.

    Both kinds of digits are permuted by the seed. Canvas :math:`n` shows number :math:`n` of the
    :math:`N_0` even ones and number :math:`n + \lfloor n / \operatorname{lcm}(N_0, N_1) \rfloor`
    of the :math:`N_1` odd ones, counted around: each is shown as often as any other of its kind,
    and no pair comes again before all have been shown. The canvases do not depend on the task.

    The integers of a canvas are a function of its number and the seed, and pixels are exact sums
    of integers: they are the same bit for bit whatever the batch, the order or the device.

    Arguments:
        digits: Pixels of the digits as uint8, with shape :math:`(N, S, S)`.
        labels: Their classes, 0 to 9, as int64 with shape :math:`(N)`.
        size: The number of canvases.
        task: The kind of digit that is asked for; labels are places in the row of its five
            classes. The other digit is the nuisance, with its class from 0 to 9.
        canvas: The side of the canvas in pixels.
        smallest: The smallest side of a digit's frame, in units of the original.
        largest: The largest side, likewise.
        seed: Keys permutations and layouts.
        redraw: Whether every epoch shows the canvases of the numbers that follow; if not, the
            set is frozen.

    Raises:
        ValueError: The digits do not fit, a kind is missing, or a number is out of range.
    """

    def __init__(
        self,
        digits: Tensor,
        labels: Tensor,
        *,
        size: int,
        task: Task = "even",
        canvas: int = 96,
        smallest: float = 0.8,
        largest: float = 2.0,
        seed: int = 0,
        redraw: bool = False,
    ) -> None:
        self.kinds = _permuted_kinds(labels, seed)
        _check(self.kinds, size, task)
        self.ink = tight((digits > 0).any(2), (digits > 0).any(1))
        self.sizes = Sizes.of(self.ink, digits.shape[-1], smallest, largest)
        _check_room(self.sizes, [self.ink[kind] for kind in self.kinds], canvas)
        self.crops = _cropped(digits, self.ink, self.sizes.weights.shape[3])
        self.labels = labels
        self.size = size
        self.target = TASKS.index(task)
        self.canvas = canvas
        self.seed = seed
        self.redraw = redraw

    def __len__(self) -> int:
        return self.size

    def layout(self, index: Tensor, epoch: int = 0) -> Layout:
        """Draws the integers of these canvases, on the device of the digits."""
        number = index.to(self.labels.device) + (epoch * self.size if self.redraw else 0)
        even, odd = self.kinds
        turn = number.div(lcm(len(even), len(odd)), rounding_mode="floor")
        digits = torch.stack((even[number % len(even)], odd[(number + turn) % len(odd)]), 1)
        ranges = (len(self.sizes.first),) * 2
        sizes = torch.stack(draw(key(self.seed, "double", "sizes"), number, ranges), 1)
        extents = self.sizes.extent(sizes, self.ink[digits])
        stream = key(self.seed, "double", "corners")
        return Layout(digits, sizes, corners_apart(stream, number, extents, self.canvas), extents)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        layout = self.layout(index, epoch)
        images, masks = self._render(layout)
        corner, other = (layout.corners[:, kind] for kind in (self.target, 1 - self.target))
        boxes = torch.cat((corner, corner + layout.extents[:, self.target]), 1)
        label, nuisance = (
            self.labels[layout.digits[:, kind]] for kind in (self.target, 1 - self.target)
        )
        return Batch(index, images[:, None], label // 2, boxes, masks, other[:, None], nuisance)

    def to(self, device: torch.device) -> PairedImages:
        moved = copy(self)
        for name in ("ink", "sizes", "crops", "labels"):
            setattr(moved, name, getattr(self, name).to(device))
        moved.kinds = [kind.to(device) for kind in self.kinds]
        return moved

    def _render(self, layout: Layout) -> tuple[Tensor, Tensor]:
        """The canvases as uint8 and the strokes of the targets as bool, both (B, H, W)."""
        device, count, canvas = layout.digits.device, len(layout.digits), self.canvas
        images = torch.empty(count, canvas, canvas, dtype=torch.uint8, device=device)
        masks = torch.empty_like(images)
        chunk = max(1, min(count, CPU_CHUNK if device.type == "cpu" else CUDA_CHUNK))
        wide = self.sizes.weights.shape[2]
        # Black after each row and before the first: windows may begin and end anywhere.
        black = torch.zeros(
            canvas + 2 * chunk * wide * (wide + canvas), dtype=torch.uint8, device=device
        )
        rows = black[canvas:].view(2 * chunk, wide, wide + canvas)[:, :, :wide]
        windows = black.unfold(0, canvas, 1)
        places = self._windows(layout, chunk)
        digits = layout.digits.view(-1)
        crops, starts = self.crops.index_select(0, digits), self.ink[digits, :2]
        parts = (crops, layout.sizes.view(-1), starts, places)
        for image, mask, *part, place in zip(
            images.split(chunk),
            masks.split(chunk),
            *(values.split(2 * chunk) for values in parts),
            strict=True,
        ):
            rows[: len(place)] = self.sizes.enlarged(*part)
            lines = windows.index_select(0, place.view(-1)).view(-1, 2, canvas, canvas)
            torch.bitwise_or(lines[:, 0], lines[:, 1], out=image)
            torch.bitwise_right_shift(lines[:, self.target], STROKE_BITS, out=mask)
            mask.clamp_(max=1)
        return images, masks.view(torch.bool)

    def _windows(self, layout: Layout, chunk: int) -> Tensor:
        """Where in the row of all rows each row of a canvas with one digit begins, (2B, H)."""
        wide, stride = self.sizes.weights.shape[2], self.sizes.weights.shape[2] + self.canvas
        corners, extents = (part.view(-1, 2) for part in (layout.corners, layout.extents))
        row = torch.arange(self.canvas, device=corners.device) - corners[:, :1]
        number = torch.arange(len(corners), device=corners.device).remainder_(2 * chunk)
        first = number * (wide * stride) + (self.canvas - corners[:, 1])
        inside = (row >= 0) & (row < extents[:, :1])
        return row.mul_(stride).add_(first[:, None]).mul_(inside)


def _permuted_kinds(labels: Tensor, seed: int) -> list[Tensor]:
    """Numbers of the even digits and of the odd ones, each in an order of its own."""
    kinds = [(labels % 2 == parity).nonzero()[:, 0] for parity in (0, 1)]
    return [
        kind[torch.randperm(len(kind), generator=generator(seed, "double", task))]
        for kind, task in zip(kinds, TASKS, strict=True)
    ]


def _cropped(digits: Tensor, ink: Tensor, deep: int) -> Tensor:
    """Cuts squares of `deep` pixels, from the first row and column with ink on."""
    padded = F.pad(digits, (0, deep, 0, deep))
    rows, columns = (ink[:, side, None] + torch.arange(deep) for side in (0, 1))
    number = torch.arange(len(digits))
    return padded[number[:, None, None], rows[:, :, None], columns[:, None]]


def _check(kinds: list[Tensor], size: int, task: str) -> None:
    if task not in TASKS:
        raise ValueError(f"task is '{task}'; it must be even or odd")
    if size < 1:
        raise ValueError(f"{size} images are asked for; it must be at least 1")
    for kind, name in zip(kinds, TASKS, strict=True):
        if not len(kind):
            raise ValueError(f"no digit is {name}; each canvas needs an even and an odd one")


def _check_room(sizes: Sizes, ink: list[Tensor], canvas: int) -> None:
    """Makes sure that any two digits of different kinds fit, all above or all side by side."""
    every = torch.arange(len(sizes.first))[:, None]
    largest = [sizes.extent(every, boxes).flatten(0, 1).amax(0).tolist() for boxes in ink]
    (tall, wide), (height, width) = largest
    needed = max(tall, wide, height, width, min(tall + height, wide + width) + 1)
    if canvas < needed:
        raise ValueError(
            f"an even digit of up to {tall} x {wide} px of ink and an odd one of up to {height} x"
            f" {width} px do not fit beside each other on a canvas of {canvas} px; it needs at"
            f" least {needed}"
        )
