"""Cluttered canvases the usual way: a data set whose `__getitem__` pastes with PIL."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageChops
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.functional import to_tensor

from ibdrop.data.canvases import ADVISED, RING
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.counter import draw
from ibdrop.data.matched import MatchedImages
from ibdrop.data.scramble import scrambles
from ibdrop.seeds import key

__all__ = ["PaintedCrowds", "PaintedFragments"]

Turn = Image.Transpose | None


class PaintedFragments(Dataset[Tensor]):
    """Crops of digits are added to a canvas, then the target."""

    def __init__(self, images: ClutteredImages, index: Tensor) -> None:
        self.digits = images.digits.cpu().numpy()
        self.canvas, self.crop = images.canvas, images.crop
        self.places = [values.tolist() for values in images.layout(index)]

    def __len__(self) -> int:
        return len(self.places[0])

    def __getitem__(self, i: int) -> Tensor:
        target, corner, crops, places = (values[i] for values in self.places)
        canvas = Image.new("L", (self.canvas, self.canvas))
        for (digit, row, column), place in zip(crops, places, strict=True):
            box = (column, row, column + self.crop, row + self.crop)
            add(canvas, Image.fromarray(self.digits[digit]).crop(box), place)
        add(canvas, Image.fromarray(self.digits[target]), corner)
        return to_tensor(canvas)


def add(canvas: Image.Image, piece: Image.Image, corner: list[int]) -> None:
    """Adds a piece where it lies, clipping at 255."""
    top, left = corner
    box = (left, top, left + piece.width, top + piece.height)
    canvas.paste(ImageChops.add(canvas.crop(box), piece), box)


class PaintedCrowds(Dataset[Tensor]):
    """Digits are pasted beside each other; those to be scrambled quarter by quarter."""

    def __init__(
        self, images: MatchedImages, index: Tensor, scrambled: bool, plain: ClutteredImages
    ) -> None:
        crowd = images.layout(index)
        count, repeats = len(images.digits), 1
        beside = plain.digits[torch.isin(plain.labels, torch.tensor(ADVISED))]
        self.ways: list[list[int | None]] = [[None] * crowd.tile.shape[1]] * len(index)
        thing = crowd.tile[:, 1:] - count
        if scrambled:
            beside = plain.digits[plain.labels != RING]
            repeats = (len(images.shelf) - 2 - count) // len(beside)
            (first,) = draw(key(images.seed, "scrambles"), torch.arange(len(beside)), (32,))
            ways = (first[thing // repeats] + thing % repeats) % 32
            self.ways = [[None, *row] for row in ways.tolist()]
            self.turns = turns(images.grid.side)
        self.digits = np.concatenate((images.digits.numpy(), beside.numpy()))
        self.numbers = torch.cat((crowd.tile[:, :1], count + thing // repeats), 1).tolist()
        self.places = images.grid.corners(*crowd[1:]).tolist()
        self.canvas, self.side = images.grid.canvas, images.grid.side

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> Tensor:
        canvas = Image.new("L", (self.canvas, self.canvas))
        for number, way, (top, left) in zip(
            self.numbers[i], self.ways[i], self.places[i], strict=True
        ):
            digit = Image.fromarray(self.digits[number])
            if way is None:
                canvas.paste(digit, (left, top))
                continue
            for box, turn, (down, over) in self.turns[way]:
                piece = digit.crop(box)
                if turn is not None:
                    piece = piece.transpose(turn)
                canvas.paste(piece, (left + over, top + down))
        return to_tensor(canvas)


def turns(side: int) -> list[list[tuple[tuple[int, int, int, int], Turn, tuple[int, int]]]]:
    """For each scramble and quarter: the box it comes from, how it is turned, where it goes."""
    half = side // 2
    numbers = np.arange(side**2, dtype=np.int32).reshape(side, side)
    corners = [(top, left) for top in (0, half) for left in (0, half)]
    found = []
    for table in scrambles(side).view(-1, side, side).numpy():
        parts = []
        for top, left in corners:
            window = table[top : top + half, left : left + half]
            row, column = window.min() // side, window.min() % side
            box = (int(column), int(row), int(column) + half, int(row) + half)
            whole = Image.fromarray(numbers).crop(box)
            matching = (
                turn
                for turn in (None, *Image.Transpose)
                if np.array_equal(
                    np.asarray(whole if turn is None else whole.transpose(turn)), window
                )
            )
            parts.append((box, next(matching), (top, left)))
        found.append(parts)
    return found
