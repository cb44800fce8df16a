"""Decodes one picture file, and refuses what cannot be taken as 8-bit grey or colour."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.ImageFile import ImageFile
from torch import Tensor

__all__ = ["Colour", "Fit", "Flaw", "Look", "Size", "decode", "glance"]

Colour = Literal["auto", "grey", "colour"]
Fit = Literal["crop", "stretch", "pad"]
Size = tuple[int, int]
"""Height and width in pixels."""

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
MOST_PIXELS = 89_478_485
"""As in Pillow: a quarter of a gibibyte as 24-bit colour; beyond, it suspects an attack."""

ORIENTATION = 0x0112
JPEG_END = b"\xff\xd9"


class Flaw(Exception):
    """Says, after the name of the file, why it cannot be taken as a picture."""


class Look(NamedTuple):
    """What a file says of its picture.

    Attributes:
        grey: Whether it is grey; else it has colours.
        height: The height in pixels, the right way up.
        width: The width in pixels.
        form: The format, such as `JPEG`.
        stamp: Size in bytes and time of change in ns, to notice when the file changes.
    """

    grey: bool
    height: int
    width: int
    form: str
    stamp: tuple[int, int]


def glance(path: str) -> Look:
    """Looks at a picture without decoding it where it is whole by what its file says.

    A JPEG file is whole if it ends as one, a PNG file if its checksums are right. Other formats
    do not tell, and are decoded.

    Raises:
        Flaw: The file is no picture that can be taken.
    """
    with _opened(path) as (picture, stamp):
        with _damage():
            height, width = _upright(picture)
            _prove(picture)
        plain = _as_eight_bits(picture) if picture.mode == "P" else picture
        return Look(_is_grey(plain), height, width, _form(picture), stamp)


def decode(
    path: str, colour: Colour = "auto", size: Size | None = None, fit: Fit = "crop"
) -> tuple[Look, Tensor]:
    """Reads a picture as a viewer shows it: turned upright, transparent places white.

    Grey is made of colours by the luma of ITU-R 601-2, and sizes are changed bilinearly and
    antialiased, JPEG files of more than twice the size already as they are decoded.

    Arguments:
        path: The file.
        colour: Whether to make it grey or coloured; `auto` leaves it as it is.
        size: The height and width that it shall have; its own without.
        fit: `crop` cuts off what is too much, `pad` adds black bars, `stretch` distorts.

    Returns:
        What the picture was, and its pixels as uint8, with shape :math:`(C, H, W)`.

    Raises:
        Flaw: The file is no picture that can be taken.
    """
    with _opened(path) as (picture, stamp):
        if size is not None:
            # The longer side for both, since the picture may yet be turned.
            picture.draft(None, (2 * max(size), 2 * max(size)))
        with _damage():
            picture.load()
            ImageOps.exif_transpose(picture, in_place=True)
        plain = _as_eight_bits(picture)
        look = Look(_is_grey(plain), plain.height, plain.width, _form(picture), stamp)
        if colour != "auto":
            plain = plain.convert("L" if colour == "grey" else "RGB")
        return look, _tensor(plain if size is None else _fitted(plain, size, fit))


@contextmanager
def _opened(path: str) -> Iterator[tuple[ImageFile, tuple[int, int]]]:
    """Opens a file and refuses what will not be decoded."""
    about, file = _file(path)
    with file:
        with _damage():
            picture = Image.open(file, formats=FORMATS)
        with picture:
            _refuse(picture)
            yield picture, (about.st_size, about.st_mtime_ns)


def _file(path: str) -> tuple[os.stat_result, BinaryIO]:
    try:
        about = os.stat(path)
        if not stat.S_ISREG(about.st_mode):
            raise Flaw("is no regular file")
        if not about.st_size:
            raise Flaw("is empty")
        return about, open(path, "rb")
    except OSError as error:
        raise Flaw(f"cannot be opened ({error.strerror})") from error


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except UnidentifiedImageError as error:
        raise Flaw("is no picture in a known format") from error
    except Image.DecompressionBombError as error:
        raise Flaw(_too_large()) from error
    except Exception as error:  # Decoders let through whatever they stumble over.
        words = str(error).partition("\n")[0] or type(error).__name__
        raise Flaw(f"is damaged ({words})") from error


def _refuse(picture: ImageFile) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise Flaw(_too_large())
    if _bits(picture) > 8:
        raise Flaw("has more than 8 bits per channel, which would be lost")
    if picture.mode not in MODES:
        raise Flaw(f"has the colour mode {picture.mode}, neither grey nor RGB")
    with _damage():
        frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != "MPO":
        raise Flaw(f"holds {frames} pictures")


def _too_large() -> str:
    return f"is larger than {MOST_PIXELS // 10**6} million pixels"


def _bits(picture: ImageFile) -> int:
    """The bits per channel in the file, some of which Pillow drops without a word."""
    if picture.mode.startswith(("I", "F")):
        return 32
    for tile in picture.tile:
        for word in tile[3] if isinstance(tile[3], tuple) else (tile[3],):
            if isinstance(word, str) and ";16" in word:
                return 16
            if picture.format == "PPM" and isinstance(word, int) and word > 255:
                return 16
    return 8


def _is_grey(picture: Image.Image) -> bool:
    return picture.mode in ("1", "L", "LA")


def _upright(picture: ImageFile) -> Size:
    """The size of a picture the right way up, from its header."""
    width, height = picture.size
    # Pillow turns TIFF files itself, and would decode a PNG file to find its orientation.
    told = picture.format not in ("TIFF", "PNG") or "exif" in picture.info
    if told and picture.getexif().get(ORIENTATION, 1) >= 5:
        return width, height
    return height, width


def _form(picture: Image.Image) -> str:
    return "JPEG" if picture.format == "MPO" else str(picture.format)


def _prove(picture: ImageFile) -> None:
    """Decodes a picture unless its file shows that it is whole."""
    file = picture.fp
    if picture.format == "PNG" and file is not None and picture.mode != "P":
        picture.verify()
        return
    if picture.format in ("JPEG", "MPO") and file is not None:
        file.seek(-min(64, os.fstat(file.fileno()).st_size), os.SEEK_END)
        if file.read().rstrip(b"\0\r\n").endswith(JPEG_END):
            return
    picture.load()


def _as_eight_bits(picture: Image.Image) -> Image.Image:
    """The picture in mode L or RGB, on white; a palette of greys makes it grey."""
    grey = _is_grey(picture)
    plain = picture
    if "transparency" in picture.info or picture.mode in ("LA", "RGBA"):
        plain = picture.convert("RGBA")
        if plain.getchannel("A").getextrema() != (255, 255):
            plain = Image.alpha_composite(Image.new("RGBA", plain.size, "white"), plain)
    wanted = "L" if grey else "RGB"
    plain = plain if plain.mode == wanted else plain.convert(wanted)
    if picture.mode == "P":
        red, green, blue = np.moveaxis(np.asarray(plain), 2, 0)
        if (red == green).all() and (green == blue).all():
            plain = plain.getchannel(0)
    return plain


def _fitted(picture: Image.Image, size: Size, fit: Fit) -> Image.Image:
    (height, width), (wide, high) = size, picture.size
    if (high, wide) == size:
        return picture
    smooth = Image.Resampling.BILINEAR
    if fit == "stretch":
        return picture.resize((width, height), smooth)
    if fit == "crop":
        scale = min(wide / width, high / height)
        left, top = (wide - width * scale) / 2, (high - height * scale) / 2
        box = (max(0.0, left), max(0.0, top), min(wide, wide - left), min(high, high - top))
        return picture.resize((width, height), smooth, box)
    scale = max(wide / width, high / height)
    inner = max(1, round(wide / scale)), max(1, round(high / scale))
    canvas = Image.new(picture.mode, (width, height))
    corner = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas.paste(picture.resize(inner, smooth), corner)
    return canvas


def _tensor(picture: Image.Image) -> Tensor:
    pixels = torch.from_numpy(np.array(picture))
    return pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1).contiguous()
