"""Pages of many small test images and the words below them, from the files of a ranking."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from ibdrop.artifacts.plotting import INK, RED, STYLE, sheet, shorten
from ibdrop.files import read_csv

__all__ = ["GAP", "HEADING", "KEY", "MARGIN", "Ranking", "Row", "Sheet", "caption_height", "words"]

Row = Mapping[str, str]
Pixels = np.ndarray[Any, Any]

DPI: int = STYLE["savefig.dpi"]
MARGIN, GAP, HEADING = 0.1, 0.06, 0.34
"""Inches."""

SHORT, LONG, BREAK = 4, 11, "\n"
KEY = "below each image: true class → what it is taken for, H in nats; framed: wrong"
FRAME = 4


@dataclass(frozen=True)
class Ranking:
    """What the files of a ranking hold, read once for all pictures.

    Attributes:
        rows: `ranking.csv`, the highest entropy first.
        images: Pixels of the images that are shown, by number, each (C, H, W).
        deterministic: Their distributions with the noise off, by number, each (K).
        stability: `ranking_stability.csv` by class; the row over all images by "".
        agreement: `ranking_agreement.csv`.
    """

    rows: Sequence[Row]
    images: Mapping[int, Pixels]
    deterministic: Mapping[int, Pixels]
    stability: Mapping[str, Row]
    agreement: Sequence[Row]

    @classmethod
    def read(cls, folder: Path) -> Ranking:
        """Reads the files in a folder of artifacts."""
        with np.load(folder / "ranking_images.npz") as content:
            numbers = content["index"].tolist()
            images, plain = content["images"], content["deterministic"]
        return cls(
            read_csv(folder / "ranking.csv"),
            dict(zip(numbers, images, strict=True)),
            dict(zip(numbers, plain, strict=True)),
            {row["class"]: row for row in read_csv(folder / "ranking_stability.csv")},
            read_csv(folder / "ranking_agreement.csv"),
        )

    @property
    def classes(self) -> list[str]:
        """The names of all classes."""
        return [name.removeprefix("p_") for name in self.rows[0] if name.startswith("p_")]

    @property
    def present(self) -> list[str]:
        """The names of the classes that occur, in their order."""
        known = {row["label"] for row in self.rows}
        return [name for name in self.classes if name in known]

    @property
    def sampled(self) -> bool:
        """Whether the network drew noise, so that two half-runs can be told apart."""
        return bool(self.stability[""].get("highest_halves"))


class Sheet:
    """A page in inches from its upper left corner.

    The images are painted into one array of pixels: drawn one by one they would take longest.

    Arguments:
        width: In inches.
        height: In inches.
    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = (math.ceil(side * DPI) / DPI for side in (width, height))
        self.figure, self.axes = sheet(self.width, self.height)
        shape = round(self.height * DPI), round(self.width * DPI), 3
        self.pixels = np.full(shape, 255, np.uint8)

    def image(
        self, image: Pixels, corner: tuple[float, float], side: float, frame: str | None = None
    ) -> None:
        """Paints an image.

        Arguments:
            image: Pixels as uint8, with shape :math:`(C, H, W)`.
            corner: Its upper left corner, x and y in inches.
            side: The longer side in inches; the shorter is in proportion and centred.
            frame: The colour of a frame around it.
        """
        scale = side * DPI / max(image.shape[1:])
        tall, wide = (max(1, round(length * scale)) for length in image.shape[1:])
        x = round(corner[0] * DPI + (side * DPI - wide) / 2)
        y = round(corner[1] * DPI + (side * DPI - tall) / 2)
        if frame:
            colour = np.multiply(to_rgb(frame), 255).astype(np.uint8)
            self.pixels[y - FRAME : y + tall + FRAME, x - FRAME : x + wide + FRAME] = colour
        self.pixels[y : y + tall, x : x + wide] = _resized(image, tall, wide)

    def text(self, x: float, y: float, text: str, **style: Any) -> None:
        """Writes words at a place in inches, in the middle of their height unless told."""
        self.axes.text(x, y, text, **{"va": "center", **style})

    def tile(
        self,
        row: Row,
        image: Pixels,
        corner: tuple[float, float],
        side: float,
        font: float = 7.5,
    ) -> None:
        """Paints an image over what it is taken for and its entropy, framed where it is wrong."""
        wrong = row["correct"] != "True"
        self.image(image, corner, side, RED if wrong else None)
        self.caption(words(row), corner, side, font, RED if wrong else INK)

    def caption(
        self, text: str, corner: tuple[float, float], side: float, font: float, colour: str = INK
    ) -> None:
        """Writes words below an image."""
        x, y = corner[0] + side / 2, corner[1] + side + 0.045
        self.text(x, y, text, fontsize=font, color=colour, ha="center", va="top")

    def finish(self) -> Figure:
        """Puts the images below the words."""
        self.axes.add_artist(_Painting(self.pixels))
        return self.figure


class _Painting(Artist):
    """Pixels that are the canvas's own; `imshow` would resample them, at ten times the cost."""

    def __init__(self, pixels: Pixels) -> None:
        super().__init__()
        opaque = np.full((*pixels.shape[:2], 1), 255, np.uint8)
        self.pixels = np.ascontiguousarray(np.concatenate([pixels, opaque], 2)[::-1])
        self.set_zorder(0)

    def draw(self, renderer: RendererBase) -> None:
        context = renderer.new_gc()
        renderer.draw_image(context, 0, 0, self.pixels)
        context.restore()


def words(row: Row, score: str = "entropy", symbol: str = "H ", longest: int = LONG) -> str:
    """What stands below an image: its class, what it is taken for, its entropy in nats."""
    true, predicted = row["label"], row["predicted"]
    short = len(true) + len(predicted) <= SHORT
    names = shorten(true, longest)
    if true != predicted:
        names += f"{' ' if short else BREAK}→ {shorten(predicted, longest)}"
    return f"{names}{'   ' if short else BREAK}{symbol}{nats(float(row[score]))}"


def nats(value: float) -> str:
    """Writes nats with two decimals, and tiny ones by their power of ten."""
    return f"{value:.2f}" if value >= 0.005 or value == 0 else f"{value:.0e}".replace("e-0", "e-")


def caption_height(rows: Sequence[Row]) -> float:
    """The height in inches that the words below a tile take."""
    return 0.13 + 0.14 * max((1 + words(row).count("\n") for row in rows), default=1)


def _resized(image: Pixels, tall: int, wide: int) -> Pixels:
    """Pixels repeated, or averaged where there are too many, as (H, W, 3)."""
    if len(image) != 3:
        image = np.repeat(image[:1], 3, 0)
    if max(image.shape[1:]) > max(tall, wide):
        values = torch.from_numpy(image[None].astype(np.float32))
        small = torch.nn.functional.interpolate(values, size=(tall, wide), mode="area")
        image = small[0].round().to(torch.uint8).numpy()
    lines = np.arange(tall) * image.shape[1] // tall
    columns = np.arange(wide) * image.shape[2] // wide
    return image[:, lines][:, :, columns].transpose(1, 2, 0)
