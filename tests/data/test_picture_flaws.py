from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ibdrop.data import pictures
from ibdrop.data.pictures import Flaw, decode, glance

Pixels = NDArray[np.uint8]

RANDOM = np.random.default_rng(0)
GREY: Pixels = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
RGB: Pixels = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    """A PNG file, byte by byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def cut_jpeg(path: Path) -> None:
    Image.fromarray(RGB.repeat(9, 0).repeat(9, 1)).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-200])


def cut_png(path: Path) -> None:
    Image.fromarray(RGB).save(path, format="PNG")
    path.write_bytes(path.read_bytes()[:-40])


def flipped_png(path: Path) -> None:
    Image.fromarray(RGB).save(path, format="PNG")
    content = bytearray(path.read_bytes())
    content[60] ^= 255
    path.write_bytes(content)


def animated(path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:])


def pages(path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY), Image.fromarray(GREY)]
    frames[0].save(path, format="TIFF", save_all=True, append_images=frames[1:])


def deep_colour(path: Path) -> None:
    path.write_bytes(png(2, 1, 16, 2, b"\0" + bytes(range(12))))


UNKNOWN = "is no picture in a known format"
BITS = "has more than 8 bits per channel, which would be lost"


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path.write_bytes(b""), "is empty"),
        (lambda path: path.write_text("<html>404"), UNKNOWN),
        (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n" * 9), UNKNOWN),
        (lambda path: path.mkdir(), "is no regular file"),
        (os.mkfifo, "is no regular file"),
        (lambda path: path.symlink_to("nowhere"), r"cannot be opened \(No such file .*\)"),
        (cut_jpeg, r"is damaged \(.*truncated.*\)"),
        (cut_png, r"is damaged \(.+\)"),
        (flipped_png, r"is damaged \(.+\)"),
        (animated, "holds 2 pictures"),
        (pages, "holds 3 pictures"),
        (lambda path: Image.fromarray(GREY.astype(np.uint16)).save(path, format="PNG"), BITS),
        (deep_colour, BITS),
        (lambda path: path.write_bytes(b"P6 2 1 65535\n" + bytes(12)), BITS),
        (lambda path: Image.fromarray(GREY.astype(np.float32)).save(path, format="TIFF"), BITS),
        (
            lambda path: Image.fromarray(RGB).convert("CMYK").save(path, format="JPEG"),
            "has the colour mode CMYK, neither grey nor RGB",
        ),
        (
            lambda path: path.write_bytes(png(10_000, 9_000, 8, 0, b"")),
            "is larger than 89 million pixels",
        ),
        (
            lambda path: path.write_bytes(png(60_000, 60_000, 8, 0, b"")),
            "is larger than 89 million pixels",
        ),
    ],
    ids=[
        "empty",
        "text",
        "postscript",
        "folder",
        "pipe",
        "link",
        "cut-jpeg",
        "cut-png",
        "flipped-png",
        "animated",
        "pages",
        "16-bit-grey",
        "16-bit-colour",
        "16-bit-ppm",
        "float",
        "cmyk",
        "large",
        "gigantic",
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "a.png"
    make(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for look in (decode, glance):
            with pytest.raises(Flaw) as caught:
                look(str(path))
            assert re.fullmatch(reason, str(caught.value))


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)

    def refuse(*arguments: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pictures, "open", refuse, raising=False)
    with pytest.raises(Flaw, match=r"^cannot be opened \(Permission denied\)$"):
        glance(str(path))
