"""Digits among fragments of other digits, drawn by number and rendered in batches anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet
from ibdrop.data.counter import draw
from ibdrop.data.ink import tight_boxes
from ibdrop.data.views import View, check_view
from ibdrop.seeds import generator, key

__all__ = ["ClutteredImages", "Layout", "render"]

SLOTS = 1024
CPU_CHUNK = 32
CUDA_CHUNK = 4096


class Layout(NamedTuple):
    """What lies where on each canvas; corners are (top, left) in pixels.

    Attributes:
        target: The number of the target digit, with shape :math:`(B)`.
        corner: The corner of the target on the canvas, with shape :math:`(B, 2)`.
        crops: Number of the digit and corner of the crop inside it, for each distractor, with
            shape :math:`(B, D, 3)`.
        places: The corner of each distractor on the canvas, with shape :math:`(B, D, 2)`.
    """

    target: Tensor
    corner: Tensor
    crops: Tensor
    places: Tensor


class ClutteredImages(ImageSet):
    r"""Canvases with one whole digit each, the target, among crops of other digits.

    For each of :math:`D` distractors a digit of the same set is drawn with replacement, whatever
    its class, and a crop of it is added to the canvas; then the target is added:

    .. math:: x = \min\Bigl(255, t + \sum_{d=1}^{D} c_d\Bigr)

    All corners are uniform over the places where the crop or the target fits. Terms are never
    negative, so one clip at the end equals clipping after every addition.

    The integers of canvas `i` in epoch `e` are a function of `(seed, e, i)` alone, and sums of
    integers are exact in any order: the pictures are the same bit for bit whatever the batch,
    the order or the device. All views of a canvas share its integers but for the places of
    distractors that have moved.

    Arguments:
        digits: Pixels of the digits as uint8, with shape :math:`(N, S, S)`.
        labels: Classes of the digits as int64, with shape :math:`(N)`.
        size: The number of canvases; canvas `i` shows digit `i` modulo :math:`N` of a seeded
            permutation, so with `size` :math:`= N` each digit is the target of one canvas.
        targets: Numbers of the digits that may be targets; `None` for all of them.
        canvas: The side of the canvas in pixels.
        distractors: The number of crops :math:`D`.
        crop: The side of a crop in pixels.
        seed: Keys permutation and layouts.
        border: Pixels at the edge of the canvas that the target keeps free.
        redraw: Whether every epoch draws new layouts; if not, the set is frozen.
        stroke: Pixels of the target brighter than this grey level are its strokes.
        view: What is shown of the canvas.

    Raises:
        ValueError: Crop or target do not fit, or there are too few or too many of something.

    Reference:
        Mnih et al., Recurrent Models of Visual Attention (NeurIPS 2014, arXiv 1406.6247); the
        setting of Achille & Soatto, Information Dropout (arXiv 1611.01353), section 6.
    """

    def __init__(
        self,
        digits: Tensor,
        labels: Tensor,
        *,
        size: int,
        targets: Tensor | None = None,
        canvas: int = 96,
        distractors: int = 21,
        crop: int = 8,
        seed: int = 0,
        border: int = 0,
        redraw: bool = False,
        stroke: int = 0,
        view: View = "whole",
    ) -> None:
        check_view(view)
        _check(digits.shape[-1], size, canvas, distractors, crop, border)
        self.digits = digits.contiguous()
        self.labels = labels
        self.size = size
        self.canvas = canvas
        self.distractors = distractors
        self.crop = crop
        self.seed = seed
        self.border = border
        self.redraw = redraw
        self.stroke = stroke
        self.view = view
        self.boxes = tight_boxes(digits > stroke)
        targets = torch.arange(len(labels)) if targets is None else targets
        self.order = targets[torch.randperm(len(targets), generator=generator(seed, "targets"))]

    def __len__(self) -> int:
        return self.size

    def layout(self, index: Tensor, epoch: int = 0) -> Layout:
        """Draws the integers of these canvases, on the device of the digits."""
        epoch = epoch if self.redraw else 0
        layout = self._drawn(index, key(self.seed, "clutter", epoch))
        if self.view != "moved":
            return layout
        places = self._counter(index)[:, 1:]
        outside = self.canvas - self.crop + 1
        corner = draw(key(self.seed, "moved", epoch), places, (outside, outside))
        return layout._replace(places=torch.stack(corner, -1))

    def _counter(self, index: Tensor) -> Tensor:
        """Numbers of target and distractors in a stream, with shape (B, 1 + D)."""
        index = index.to(self.digits.device)
        return index[:, None] * SLOTS + torch.arange(1 + self.distractors, device=index.device)

    def _drawn(self, index: Tensor, stream: int) -> Layout:
        """Draws the integers of these canvases from a stream."""
        counter = self._counter(index)
        side = self.digits.shape[-1]
        free = self.canvas - side - 2 * self.border + 1
        inside, outside = side - self.crop + 1, self.canvas - self.crop + 1
        corner = draw(stream, counter[:, 0], (free, free))
        ranges = (len(self.labels), inside, inside, outside, outside)
        digit, row, column, top, left = draw(stream, counter[:, 1:], ranges)
        return Layout(
            self.order[index.to(counter.device) % len(self.order)],
            torch.stack(corner, -1) + self.border,
            torch.stack((digit, row, column), -1),
            torch.stack((top, left), -1),
        )

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        layout = self.layout(index, epoch)
        if self.view == "alone":
            layout = layout._replace(crops=layout.crops[:, :0], places=layout.places[:, :0])
        with _any_order():
            images, masks = render(
                self.digits,
                layout,
                self.canvas,
                self.crop,
                self.stroke,
                shown=self.view != "without_target",
            )
        boxes = self.boxes[layout.target] + layout.corner.repeat(1, 2)
        return Batch(
            index, images[:, None], self.labels[layout.target], boxes, masks, layout.places
        )

    def clutter(self, index: Tensor, draw: int) -> Tensor:
        layout = self._drawn(index, key(self.seed, "rerender", draw))
        with _any_order():
            images, _ = render(self.digits, layout, self.canvas, self.crop, shown=False)
        return images[:, None]

    def to(self, device: torch.device) -> ClutteredImages:
        moved = copy(self)
        for name in ("digits", "labels", "boxes", "order"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved


def render(
    digits: Tensor,
    layout: Layout,
    canvas: int,
    crop: int,
    stroke: int = 0,
    *,
    shown: bool = True,
) -> tuple[Tensor, Tensor]:
    """Paints canvases: one gather of all crops, one exact integer sum, one clip.

    Arguments:
        digits: Pixels as uint8, with shape :math:`(N, S, S)`.
        layout: What lies where, on the device of `digits`.
        canvas: The side of the canvas in pixels.
        crop: The side of a crop in pixels.
        stroke: Pixels of the target brighter than this grey level are its strokes.
        shown: Whether the target is painted; its strokes are known in any case.

    Returns:
        The canvases as uint8 and the strokes of the targets as bool, both with shape
        :math:`(B, H, W)`.
    """
    count, side, device = len(layout.target), digits.shape[-1], digits.device
    images = torch.empty(count, canvas, canvas, dtype=torch.uint8, device=device)
    masks = torch.empty(count, canvas, canvas, dtype=torch.bool, device=device)
    chunk = max(1, min(count, CPU_CHUNK if device.type == "cpu" else CUDA_CHUNK))
    first = torch.arange(count, device=device).remainder_(chunk).mul_(canvas**2)
    whole = first + _flat(layout.corner, canvas)
    pieces = first[:, None] + _flat(layout.places, canvas)
    parts = (
        whole,
        pieces,
        digits.index_select(0, layout.target),
        _crops(digits, layout, crop),
        images,
        masks,
    )
    windows = _window(side, canvas, device), _window(crop, canvas, device)
    total = torch.empty(chunk * canvas**2, dtype=_exact(pieces.shape[1], device), device=device)
    for corner, corners, target, crops, image, mask in zip(
        *(values.split(chunk) for values in parts), strict=True
    ):
        sums = total[: image.numel()].zero_()
        place = (corner[:, None] + windows[0]).view(-1)
        mask.zero_().view(-1).scatter_(0, place, target.view(-1) > stroke)
        if shown:
            sums.scatter_add_(0, place, target.view(-1).to(total.dtype))
        place = (corners[..., None] + windows[1]).view(-1)
        sums.scatter_add_(0, place, crops.view(-1).to(total.dtype))
        image.view(-1).copy_(sums.clamp_(max=255))
    return images, masks


def _crops(digits: Tensor, layout: Layout, crop: int) -> Tensor:
    """The pixels of each crop, row by row."""
    side = digits.shape[-1]
    first = layout.crops[..., 0] * side**2 + _flat(layout.crops[..., 1:], side)
    rows = first[..., None] + torch.arange(crop, device=digits.device) * side
    pixels = digits.view(-1).unfold(0, crop, 1).index_select(0, rows.view(-1))
    return pixels.view(*first.shape, crop**2)


def _flat(corner: Tensor, stride: int) -> Tensor:
    """Numbers of pixels in a flat picture `stride` pixels wide."""
    return corner[..., 0] * stride + corner[..., 1]


def _window(size: int, stride: int, device: torch.device) -> Tensor:
    """Offsets of the pixels of a square window in a flat picture `stride` pixels wide."""
    step = torch.arange(size, device=device)
    return (step[:, None] * stride + step).view(-1)


def _exact(distractors: int, device: torch.device) -> torch.dtype:
    """The quickest type that holds every possible sum."""
    fits = 255 * (distractors + 1) <= torch.iinfo(torch.int16).max
    return torch.int16 if fits and device.type == "cpu" else torch.int32


@contextmanager
def _any_order() -> Iterator[None]:
    """Allows unordered sums, which are exact for integers, where torch was told to forbid them."""
    if not torch.are_deterministic_algorithms_enabled():
        yield
        return
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(True, warn_only=warn_only)


def _check(side: int, size: int, canvas: int, distractors: int, crop: int, border: int) -> None:
    if size < 1:
        raise ValueError(f"{size} images are asked for; it must be at least 1")
    if border < 0 or canvas < side + 2 * border:
        raise ValueError(
            f"a digit of {side} px and a border of {border} px do not fit on a canvas of"
            f" {canvas} px; it needs at least {side + 2 * max(border, 0)}"
        )
    if not 1 <= crop <= side:
        raise ValueError(f"distractor_size is {crop} px; it must be 1 to {side}, a digit's side")
    if not 0 <= distractors < SLOTS:
        raise ValueError(f"distractors is {distractors}; it must be 0 to {SLOTS - 1}")
