"""Digits among others with as much ink, whole or scrambled, one in each cell of the canvas."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet
from ibdrop.data.counter import draw
from ibdrop.data.ink import Matches, ink, tight_boxes
from ibdrop.data.placement import MOST_CELLS, Grid
from ibdrop.data.tiles import Crowd, frames, outline, paint, shelved
from ibdrop.data.views import View, check_view
from ibdrop.seeds import generator, key

__all__ = ["MatchedImages"]

KEYS = 1 << 30


class MatchedImages(ImageSet):
    r"""Canvases with one digit each to be named, among things of which ink tells nothing.

    Target and distractors have the same size and nearly the same ink, are drawn in windows of
    ranks of ink in which all are alike (see `Matches`), and lie one to a cell, at uniform places
    in cells of equal size (see `Grid`). Nothing overlaps, so no ink is clipped. A map that treats
    them alike spends on the target, on average, :math:`1 / (1 + D)` of what it spends on things.

    The integers of canvas `i` in epoch `e` are a function of `(seed, e, i)` alone: the pictures
    are the same bit for bit whatever the batch, the order or the device, and all views of a
    canvas share them but for the places of distractors that have moved.

    Arguments:
        digits: Pixels of the targets as uint8, with shape :math:`(N, S, S)`.
        labels: Classes of the digits as int64, with shape :math:`(N)`.
        things: Pixels of what may lie beside them as uint8, with shape :math:`(M, S, S)`.
        repeats: The number of things made of the same digit.
        size: The number of canvases; each digit is the target of one canvas before any is again.
        canvas: The side of the canvas in pixels.
        distractors: The number of distractors :math:`D`.
        seed: Keys permutation and layouts.
        border: Pixels at the edge of the canvas that everything keeps free.
        redraw: Whether every epoch draws new layouts; if not, the set is frozen.
        stroke: Pixels of the target brighter than this grey level are its strokes.
        view: What is shown of the canvas.

    Raises:
        ValueError: Things do not fit, or there are too few or too many of something.
    """

    def __init__(
        self,
        digits: Tensor,
        labels: Tensor,
        things: Tensor,
        *,
        repeats: int = 1,
        size: int,
        canvas: int,
        distractors: int,
        seed: int = 0,
        border: int = 0,
        redraw: bool = False,
        stroke: int = 0,
        view: View = "whole",
    ) -> None:
        check_view(view)
        _check(size, distractors, border, len(digits), len(things))
        self.digits = digits.contiguous()
        self.labels = labels
        self.grid = Grid.fitting(distractors, canvas, digits.shape[-1], border)
        self.shelf = shelved(torch.cat((digits, things)), self.grid)
        self.matches = Matches.of(ink(digits), ink(things), repeats)
        self.boxes = tight_boxes(digits > stroke)
        self.order = torch.randperm(len(digits), generator=generator(seed, "targets"))
        self.size = size
        self.distractors = distractors
        self.seed = seed
        self.redraw = redraw
        self.stroke = stroke
        self.view = view

    def __len__(self) -> int:
        return self.size

    def layout(self, index: Tensor, epoch: int = 0) -> Crowd:
        """Draws the integers of these canvases, on the device of the digits."""
        index = index.to(self.digits.device)
        epoch = epoch if self.redraw else 0
        cells = torch.arange(self.grid.cells, device=index.device)
        counter = index[:, None] * MOST_CELLS + cells
        ranges = (2 * self.matches.window, KEYS, *self.grid.slack)
        choice, *drawn = draw(key(self.seed, "crowd", epoch), counter, ranges)
        chosen, down, over = self._moved(drawn, counter, epoch) if self.view == "moved" else drawn
        cell = chosen.argsort(dim=1, stable=True)[:, : 1 + self.distractors]
        target = self.order[index % len(self.order)]
        things = self.matches.drawn(target, choice[:, : 1 + self.distractors])
        tile = torch.cat((target[:, None], things.add_(len(self.digits))), 1)
        return Crowd(tile, cell, down.gather(1, cell), over.gather(1, cell))

    def _moved(self, drawn: list[Tensor], counter: Tensor, epoch: int) -> list[Tensor]:
        """Draws keys and places anew for all cells but the target's, which keeps the least key."""
        fresh = draw(key(self.seed, "moved", epoch), counter, (KEYS, *self.grid.slack))
        fresh[0] += KEYS
        first = drawn[0].argsort(dim=1, stable=True)[:, :1]
        kept = torch.arange(self.grid.cells, device=first.device) == first
        return [torch.where(kept, old, new) for old, new in zip(drawn, fresh, strict=True)]

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        crowd = self.layout(index, epoch)
        places = self.grid.corners(*crowd[1:])
        target, corner, distractors = crowd.tile[:, 0], places[:, 0], places[:, 1:]
        images = paint(self.shelf, crowd, self.grid)
        masks = outline(self.shelf, crowd, self.grid, self.stroke)
        if self.view == "without_target":
            images.masked_fill_(frames(corner, self.grid), 0)
        elif self.view == "alone":
            images.mul_(frames(corner, self.grid))
            distractors = distractors[:, :0]
        boxes = self.boxes[target] + corner.repeat(1, 2)
        return Batch(index, images[:, None], self.labels[target], boxes, masks, distractors)

    def clutter(self, index: Tensor, draw: int) -> Tensor:
        """Gives canvases with other things and no target.

        There is a thing in every cell, so that no hole tells where a target was; where a canvas
        has more cells than things, that is denser than the canvases themselves.
        """
        crowd = self._crowded(index, key(self.seed, "rerender", draw))
        return paint(self.shelf, crowd, self.grid)[:, None]

    def _crowded(self, index: Tensor, stream: int) -> Crowd:
        """Draws a thing for every cell, with about the ink of the target of the canvas."""
        index = index.to(self.digits.device)
        slots = torch.arange(1 + self.grid.cells, device=index.device)
        counter = index[:, None] * (1 + MOST_CELLS) + slots
        choice, down, over = draw(stream, counter, (2 * self.matches.window, *self.grid.slack))
        things = self.matches.drawn(self.order[index % len(self.order)], choice)
        cell = slots[:-1].expand(len(index), -1)
        return Crowd(things.add_(len(self.digits)), cell, down[:, 1:], over[:, 1:])

    def to(self, device: torch.device) -> MatchedImages:
        moved = copy(self)
        for name in ("digits", "labels", "shelf", "matches", "boxes", "order"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved


def _check(size: int, distractors: int, border: int, digits: int, things: int) -> None:
    if size < 1:
        raise ValueError(f"{size} images are asked for; it must be at least 1")
    if not 0 <= distractors < MOST_CELLS:
        raise ValueError(f"distractors is {distractors}; it must be 0 to {MOST_CELLS - 1}")
    if border < 0:
        raise ValueError(f"border is {border} px; it must be 0 or more")
    if not digits or not things:
        raise ValueError(f"there are {digits} targets and {things} distractors to draw from")
