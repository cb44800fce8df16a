from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

import pytest
import torch
from torch import Tensor

from ibdrop.data.enlarging import Sizes
from ibdrop.data.framing import tight

FIVE = torch.tensor([[0, 0, 5, 5]])


def taps(side: int, size: int, y: int) -> dict[int, Fraction]:
    """The old rows of a new one, by rational arithmetic."""
    place = Fraction(2 * y + 1, 2) * Fraction(side, size) - Fraction(1, 2)
    place = Fraction((512 * place + 1).__floor__() // 2, 256)
    place = min(max(place, Fraction(0)), Fraction(side - 1))
    row = place.__floor__()
    return {row: 1 - (place - row), row + 1: place - row}


def by_hand(digit: list[list[int]], size: int) -> list[list[int]]:
    """Columns first, both times rounded up."""
    side = len(digit)

    def at(row: list[int], y: int) -> int:
        return ceil(sum(w * row[r] for r, w in taps(side, size, y).items() if w))

    wide = [[at(row, x) for x in range(size)] for row in digit]
    return [[at([row[x] for row in wide], y) for x in range(size)] for y in range(size)]


def shown(digits: Tensor, number: int, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """New digits in one of their sizes, and height and width of their ink."""
    ink = tight((digits > 0).any(2), (digits > 0).any(1))
    deep = sizes.weights.shape[3]
    padded = torch.nn.functional.pad(digits, (0, deep, 0, deep))
    crops = torch.stack(
        [
            image[top : top + deep, left : left + deep]
            for image, (top, left, _, _) in zip(padded, ink.tolist(), strict=True)
        ]
    )
    size = torch.full((len(digits),), number)
    return sizes.enlarged(crops, size, ink[:, :2]), sizes.extent(size, ink)


@pytest.fixture
def sparse() -> Tensor:
    """Forty digits of 6 px with a few grey points, some faint ones among them."""
    random = torch.Generator().manual_seed(3)
    images = torch.randint(1, 256, (40, 6, 6), generator=random, dtype=torch.uint8)
    images[::3] = images[::3] % 3
    images *= torch.rand(40, 6, 6, generator=random) < 0.15
    images[0] = 0
    images[1] = 255
    return images


def test_new_digits_are_those_of_rational_arithmetic(sparse: Tensor) -> None:
    ink = tight((sparse > 0).any(2), (sparse > 0).any(1))
    sizes = Sizes.of(ink, 6, 0.6, 2.0)
    assert (sizes.least, len(sizes.first)) == (4, 9)
    for number in range(9):
        found, extent = shown(sparse, number, sizes)
        for image, digit, (height, width) in zip(
            found, sparse.tolist(), extent.tolist(), strict=True
        ):
            whole = torch.tensor(by_hand(digit, 4 + number))
            top, left, bottom, right = tight(
                (whole > 0).any(1)[None], (whole > 0).any(0)[None]
            ).tolist()[0]
            assert (height, width) == (bottom - top, right - left)
            assert torch.equal(image[:height, :width].long(), whole[top:bottom, left:right])
            assert not image[height:].any()
            assert not image[:, width:].any()


def test_the_same_size_changes_nothing(sparse: Tensor) -> None:
    found, extent = shown(sparse, 0, Sizes.of(FIVE, 6, 1, 1))
    assert found.shape == (40, 5, 5)
    sizes = Sizes.of(torch.tensor([[0, 0, 6, 6]]), 6, 1, 1)
    found, extent = shown(sparse, 0, sizes)
    for image, digit, (height, width) in zip(found, sparse, extent.tolist(), strict=True):
        assert int(image.sum()) == int(digit.sum())
        assert int(image[:height, :width].sum()) == int(digit.sum())


def test_twice_the_size_is_bilinear() -> None:
    """Torch's interpolation agrees to the two roundings up."""
    random = torch.Generator().manual_seed(1)
    digits = torch.randint(1, 256, (20, 9, 9), generator=random, dtype=torch.uint8)
    sizes = Sizes.of(torch.tensor([[0, 0, 9, 9]]), 9, 0.8, 2.0)
    for number in range(len(sizes.first)):
        size = sizes.least + number
        found, _ = shown(digits, number, sizes)
        smooth = torch.nn.functional.interpolate(
            digits[:, None].double(), (size, size), mode="bilinear"
        )[:, 0]
        error = found[:, :size, :size].double() - smooth
        assert float(error.amin()) > -2
        assert float(error.amax()) < 4


def test_settings_for_faster_products_change_nothing(sparse: Tensor) -> None:
    sizes = Sizes.of(torch.tensor([[0, 0, 6, 6]]), 6, 0.8, 2.0)
    before, _ = shown(sparse, 5, sizes)
    torch.set_float32_matmul_precision("medium")
    try:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            after, _ = shown(sparse, 5, sizes)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert after.dtype == torch.float32
    assert torch.equal(before, after)


@pytest.mark.parametrize(
    ("side", "smallest", "largest", "sizes"),
    [
        (28, 0.8, 2.0, (23, 56)),
        (20, 0.7, 0.7, (14, 14)),  # as floating-point numbers 0.7 * 20 < 14
        (35, 0.8, 1.2, (28, 42)),  # and 0.8 * 35 > 28
        (8, 1, 2, (8, 16)),
    ],
)
def test_sizes_are_whole_numbers_of_pixels(
    side: int, smallest: float, largest: float, sizes: tuple[int, int]
) -> None:
    made = Sizes.of(torch.tensor([[0, 0, side, side]]), side, smallest, largest)
    assert (made.least, made.least + len(made.first) - 1) == sizes
    assert made.weights.shape == (len(made.first), side, sizes[1], side)


@pytest.mark.parametrize(
    ("smallest", "largest", "message"),
    [
        (
            0.5,
            2,
            "smallest is 0.5 and largest is 2; both must be above 0.5, and largest not below"
            " smallest",
        ),
        (
            2,
            1.5,
            "smallest is 2 and largest is 1.5; both must be above 0.5, and largest not below"
            " smallest",
        ),
        (
            1.01,
            1.02,
            "smallest is 1.01 and largest is 1.02; no whole number of pixels lies between so many"
            " times 28, the side of a digit",
        ),
    ],
)
def test_sizes_that_are_none(smallest: float, largest: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Sizes.of(FIVE, 28, smallest, largest)
