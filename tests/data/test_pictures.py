from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data import pictures
from ibdrop.data.pictures import decode, glance

Pixels = NDArray[np.uint8]

RANDOM = np.random.default_rng(0)
GREY: Pixels = RANDOM.integers(0, 256, (6, 9), dtype=np.uint8)
RGB: Pixels = RANDOM.integers(0, 256, (6, 9, 3), dtype=np.uint8)
HALF: Pixels = np.where(np.arange(54).reshape(6, 9) < 20, 0, 255).astype(np.uint8)


def palette(colours: Pixels) -> Image.Image:
    """A picture of these colours in its palette."""
    image = Image.fromarray(np.arange(54, dtype=np.uint8).reshape(6, 9), "L")
    image.putpalette(colours.reshape(54, 3).tobytes())
    return image


def save(image: Image.Image, path: Path, **options: Any) -> str:
    image.save(path, **options)
    return str(path)


def both(path: str) -> pictures.Look:
    """What glancing and decoding say alike."""
    look, pixels = decode(path)
    assert glance(path) == look
    assert pixels.shape == (1 if look.grey else 3, look.height, look.width)
    assert pixels.dtype == torch.uint8
    return look


def see(path: str) -> Pixels:
    """Pixels with channels last, or none for grey."""
    both(path)
    found: Pixels = decode(path)[1].permute(1, 2, 0).squeeze(2).numpy()
    return found


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(HALF).convert("1"), HALF),
        (Image.fromarray(GREY), GREY),
        (Image.merge("LA", [Image.fromarray(GREY), Image.new("L", (9, 6), 255)]), GREY),
        (Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(HALF)]), GREY | ~HALF),
        (palette(RGB), RGB),
        (palette(GREY[..., None].repeat(3, 2)), GREY),
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(np.dstack([RGB, HALF | 255])), RGB),
        (Image.fromarray(np.dstack([RGB, HALF])), RGB | ~HALF[..., None]),
    ],
    ids=["1", "L", "LA", "LA-transparent", "P", "P-grey", "RGB", "RGBA", "RGBA-transparent"],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_each_mode_is_what_a_viewer_shows(
    tmp_path: Path, image: Image.Image, expected: Pixels, ending: str
) -> None:
    assert np.array_equal(see(save(image, tmp_path / f"a.{ending}")), expected)


def test_a_transparent_colour_becomes_white(tmp_path: Path) -> None:
    bare = np.where(GREY[2, 3] == GREY, 255, GREY).astype(np.uint8)
    grey = save(Image.fromarray(GREY), tmp_path / "grey.png", transparency=int(GREY[2, 3]))
    assert np.array_equal(see(grey), bare)
    index = save(palette(RGB), tmp_path / "palette.png", transparency=7)
    assert see(index)[0, 7].tolist() == [255] * 3
    assert np.array_equal(see(index)[1:], RGB[1:])


@pytest.mark.parametrize("ending", ["bmp", "ppm", "png", "tif", "gif", "webp"])
def test_formats_without_loss_keep_every_pixel(tmp_path: Path, ending: str) -> None:
    options = {"lossless": True} if ending == "webp" else {}
    path = save(
        palette(RGB) if ending == "gif" else Image.fromarray(RGB),
        tmp_path / f"a.{ending}",
        **options,
    )
    assert np.array_equal(see(path), RGB)
    assert both(path).form == {"tif": "TIFF"}.get(ending, ending.upper())


def test_the_content_counts_and_not_the_ending(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(RGB).save(path, format="PNG")
    assert both(str(path)).form == "PNG"


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda a: a),
        (2, lambda a: a[:, ::-1]),
        (3, lambda a: a[::-1, ::-1]),
        (4, lambda a: a[::-1]),
        (5, lambda a: a.T),
        (6, lambda a: np.rot90(a, -1)),
        (7, lambda a: a[::-1, ::-1].T),
        (8, lambda a: np.rot90(a)),
    ],
)
def test_pictures_are_turned_upright(
    tmp_path: Path, orientation: int, turned: Callable[[Pixels], Pixels], ending: str
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(Image.fromarray(GREY), tmp_path / f"a.{ending}", exif=exif)
    assert np.array_equal(see(path), turned(GREY))


def test_a_turned_jpeg_has_its_size_the_right_way_up(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    look = both(save(Image.fromarray(RGB), tmp_path / "a.jpg", exif=exif))
    assert look[:4] == (False, 9, 6, "JPEG")


@pytest.mark.parametrize("size", [(4, 4), (12, 5), (4, 8), (20, 30), (48, 40)])
def test_sizes_change_as_torch_would_change_them(tmp_path: Path, size: tuple[int, int]) -> None:
    """The same part of the picture through another library, to one grey level."""
    (height, width), high, wide = size, 24, 36
    picture: Pixels = np.kron(RGB, np.ones((4, 4, 1), np.uint8))
    path = save(Image.fromarray(picture), tmp_path / "a.png")
    whole = torch.from_numpy(picture).permute(2, 0, 1).float()

    def differs(pixels: Tensor, part: Tensor) -> float:
        theirs = F.interpolate(part[None], pixels.shape[1:], mode="bilinear", antialias=True)[0]
        # At the edge of a crop, Pillow's filter sees beyond it.
        return float((pixels - theirs)[:, 1:-1, 1:-1].abs().max())

    stretch, crop, pad = (
        decode(path, size=size, fit=fit)[1].float() for fit in ("stretch", "crop", "pad")
    )
    assert stretch.shape == crop.shape == pad.shape == (3, *size)
    assert differs(stretch, whole) <= 1
    scale = min(wide / width, high / height)
    top, left = (high - height * scale) / 2, (wide - width * scale) / 2
    assert differs(crop, whole[:, int(top) : high - int(top), int(left) : wide - int(left)]) <= 1
    scale = max(wide / width, high / height)
    rows, columns = round(high / scale), round(wide / scale)
    top, left = (height - rows) // 2, (width - columns) // 2
    inner = pad[:, top : top + rows, left : left + columns]
    assert inner.shape[1:] == (rows, columns)
    assert differs(inner, whole) <= 1
    inner.zero_()
    assert not pad.any()


def test_colours_become_grey_by_their_luma_and_grey_becomes_coloured(tmp_path: Path) -> None:
    path = save(Image.fromarray(RGB), tmp_path / "a.png")
    luma = RGB @ np.array([0.299, 0.587, 0.114])
    grey = decode(path, "grey")[1][0].numpy()
    assert np.abs(grey - luma).max() <= 0.51
    path = save(Image.fromarray(GREY), tmp_path / "b.png")
    assert torch.equal(decode(path, "colour")[1], torch.from_numpy(GREY).expand(3, 6, 9))


def test_a_large_jpeg_is_shrunk_while_it_is_decoded(tmp_path: Path) -> None:
    """To about a grey level on smooth content, upright or turned."""
    rows, columns = np.mgrid[:320, :480]
    smooth = np.dstack([rows / 2, columns / 2, 120 + 60 * np.sin(columns / 40)]).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    plain = save(Image.fromarray(smooth), tmp_path / "a.png", exif=exif)
    jpeg = save(Image.fromarray(smooth), tmp_path / "a.jpg", quality=98, subsampling=0, exif=exif)
    one, other = (decode(path, size=(30, 20))[1].float() for path in (plain, jpeg))
    assert (one - other).abs().mean() < 1
    assert (one - other).abs().max() <= 4


def test_the_first_picture_of_a_camera_s_pair_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    second = Image.fromarray(255 - RGB)
    Image.fromarray(RGB).save(path, format="MPO", save_all=True, append_images=[second])
    single = save(Image.fromarray(RGB), tmp_path / "b.jpg")
    assert np.array_equal(see(str(path)), see(single))
    assert both(str(path)).form == "JPEG"


def jpeg_of(path: Path) -> bytes:
    Image.fromarray(RGB.repeat(9, 0).repeat(9, 1)).save(path, format="JPEG")
    return path.read_bytes()


def test_what_follows_the_end_of_a_jpeg_does_no_harm(tmp_path: Path) -> None:
    """Zeros, or what a camera appends; such a file is decoded to see that it is whole."""
    path = tmp_path / "a.jpg"
    content = jpeg_of(path)
    for more in (b"\0" * 40, b"SEFHe" * 50):
        path.write_bytes(content + more)
        both(str(path))
