"""Looks at all pictures of a folder before the first is used."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from torch import Tensor

from ibdrop.data.holding import GIB
from ibdrop.data.naming import shown
from ibdrop.data.pictures import Colour, Fit, Flaw, Look, Size, decode, glance
from ibdrop.data.progress import track
from ibdrop.data.tree import File
from ibdrop.errors import DataError

__all__ = ["Album", "Picture", "Reader", "survey"]

CHUNK = 64
SMALL = 128 * 128
"""Pixels of a picture; below, threads wait for each other longer than they work."""


@dataclass
class Picture:
    """A picture that can be taken.

    Attributes:
        file: Its file.
        look: What it is.
        pixels: As uint8, with shape :math:`(C, H, W)`, until they are taken; `None` where they
            are to be read when they are needed.
    """

    file: File
    look: Look
    pixels: Tensor | None = None


@dataclass(frozen=True)
class Reader:
    """How files become pixels.

    Attributes:
        size: The height and width that all pictures get; their own without.
        colour: Whether pictures are made grey or coloured, or left as they are.
        fit: How a picture gets another shape.
    """

    size: Size | None
    colour: Colour
    fit: Fit

    def read(self, picture: Picture) -> Tensor:
        """The pixels of a picture, decoded now unless they are at hand.

        Raises:
            DataError: The file is no longer what it was, or damaged inside.
        """
        pixels, picture.pixels = picture.pixels, None
        if pixels is not None:
            return pixels
        path = picture.file.path
        try:
            look, pixels = decode(path, self.colour, self.size, self.fit)
        except Flaw as flaw:
            raise DataError(f"{shown(path)} {flaw}; mend it or delete it") from flaw
        changed = look.stamp != picture.look.stamp
        if changed or pixels.shape != self.shape(picture.look):
            raise DataError(
                f"{shown(path)} has changed since the folder was looked at; start again, and"
                " leave the pictures as they are meanwhile"
            )
        return pixels

    def shape(self, look: Look) -> tuple[int, int, int]:
        """Channels, height and width of a picture as pixels."""
        grey = look.grey if self.colour == "auto" else self.colour == "grey"
        return (1 if grey else 3, *(self.size or (look.height, look.width)))


@dataclass
class Album:
    """All pictures of a folder, and the files that are none.

    Attributes:
        pictures: The pictures, in the order of their files.
        flaws: File and flaw of the others.
        fits: Whether their pixels are to be kept in memory.
        threads: The number of threads that decode them fastest.
    """

    pictures: list[Picture]
    flaws: list[tuple[File, Flaw]]
    fits: bool
    threads: int


def survey(
    files: Sequence[File], reader: Reader, *, resident: float, workers: int, what: str
) -> Album:
    """Looks at every file; decodes all at once if the first is such that they will fit.

    Arguments:
        files: The files.
        reader: How they become pixels.
        resident: The memory for pixels in GiB.
        workers: The number of threads.
        what: Names the pictures for the progress bar.
    """
    with warnings.catch_warnings():
        # Pillow warns of files that it or ibdrop then refuses.
        warnings.filterwarnings("ignore", module="PIL")
        return _surveyed(files, reader, resident, workers, what)


def _surveyed(
    files: Sequence[File], reader: Reader, resident: float, workers: int, what: str
) -> Album:
    first = next(filter(None, map(_seen, files)), None)
    size = first and reader.shape(first)
    fits = size is not None and math.prod(size) * len(files) <= resident * GIB

    def look(file: File) -> Picture | Flaw:
        try:
            if not fits:
                return Picture(file, glance(file.path))
            found, pixels = decode(file.path, reader.colour, reader.size, reader.fit)
        except Flaw as flaw:
            return flaw
        # Pictures of another size cannot be used, and may be large.
        return Picture(file, found, pixels if reader.shape(found) == size else None)

    small = first is not None and first.height * first.width < SMALL
    album = Album([], [], fits, 1 if small else workers)
    found = _in_threads(look, files, album.threads if fits else workers, what)
    for file, one in zip(files, found, strict=True):
        if isinstance(one, Flaw):
            album.flaws.append((file, one))
        else:
            album.pictures.append(one)
    return album


def _seen(file: File) -> Look | None:
    try:
        return glance(file.path)
    except Flaw:
        return None


def _in_threads(
    look: Callable[[File], Picture | Flaw], files: Sequence[File], workers: int, what: str
) -> list[Picture | Flaw]:
    """Looks at files in their order, many of them in each step, since most are quick."""
    found: list[Picture | Flaw] = []
    advance = track(what, len(files))
    chunks = (files[start : start + CHUNK] for start in range(0, len(files), CHUNK))
    with ThreadPoolExecutor(workers) as pool:
        for some in pool.map(lambda chunk: list(map(look, chunk)), chunks):
            found += some
            advance(len(some))
    return found
