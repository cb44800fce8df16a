from __future__ import annotations

import hashlib

import pytest
import torch
from torch import Tensor

from ibdrop.data.scramble import MOST, scrambled, scrambles


def symmetries(side: int) -> list[Tensor]:
    """The eight ways to lay a square on itself."""
    square = torch.arange(side**2).view(side, side)
    turned = [square.rot90(quarter) for quarter in range(4)]
    return [way.flatten() for way in [*turned, *(turn.flip(0) for turn in turned)]]


def rows(tables: Tensor) -> set[tuple[int, ...]]:
    return {tuple(row) for row in tables.tolist()}


@pytest.mark.parametrize("side", [2, 4, 12])
def test_scrambles_are_permutations_and_none_is_a_symmetry(side: int) -> None:
    tables = scrambles(side)
    assert tables.shape == (32, side**2)
    assert torch.equal(tables.sort(1).values, torch.arange(side**2).expand(32, -1))
    if side > 2:
        assert len(rows(tables)) == 32
        assert not rows(tables) & rows(torch.stack(symmetries(side)))


def test_they_are_four_shapes_each_in_all_positions_of_a_square() -> None:
    ways = symmetries(4)
    tables = rows(scrambles(4))
    shapes = {frozenset(rows(torch.tensor(table)[torch.stack(ways)])) for table in tables}
    assert sorted(map(len, shapes)) == [8] * 4
    assert set().union(*shapes) == tables


def test_each_pixel_keeps_its_distance_from_the_centre() -> None:
    side = 10
    away = torch.arange(side) * 2 - side + 1
    distance = (away[:, None].square() + away.square()).flatten()
    for table in scrambles(side):
        assert torch.equal(distance[table], distance)


def test_no_joint_is_kept() -> None:
    """Across the cuts no pixels lie side by side that did, but for the four at the centre."""
    side, half = 8, 4
    for table in scrambles(side):
        row, column = table.view(side, side) // side, table.view(side, side) % side
        for axis in (0, 1):
            step = row.diff(dim=axis).abs() + column.diff(dim=axis).abs()
            across = step.select(axis, half - 1)
            assert int(torch.cat((across[: half - 1], across[half + 1 :])).min()) > 1


def test_a_bar_through_the_centre_is_broken() -> None:
    """Upright, level or slanting, with any number of strokes on it."""
    side = 12
    step = torch.arange(side)
    upright = ((step == 5) | (step == 6)).expand(side, side)
    slanting = torch.eye(side, dtype=torch.bool)
    bars = {
        tuple(bar.flatten().tolist()) for bar in (upright, upright.T, slanting, slanting.flip(0))
    }
    for bar in (upright, slanting):
        for table in scrambles(side):
            assert tuple(bar.flatten()[table].tolist()) not in bars


def test_scrambled_digits_have_the_same_ink_at_each_distance(
    digits: tuple[Tensor, Tensor],
) -> None:
    made, repeats = scrambled(digits[0], 7)
    assert (made.dtype, made.shape) == (torch.uint8, (13 * 32, 12, 12))
    assert repeats == 32
    each = made.view(13, 32, -1).sort(-1).values
    assert torch.equal(each, digits[0].view(13, 1, -1).sort(-1).values.expand(-1, 32, -1))
    assert all(len(rows(ways.flatten(1))) > 8 for ways in made.view(13, 32, 12, 12))
    middle = made[:, 3:9, 3:9].flatten(1).sum(1).view(13, 32)
    assert torch.equal(middle, middle[:, :1].expand(-1, 32))


def test_many_digits_are_scrambled_in_fewer_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    random = torch.randint(0, 256, (100, 4, 4), dtype=torch.uint8)
    whole, ways = scrambled(random, 3)
    assert ways == 32
    monkeypatch.setattr("ibdrop.data.scramble.MOST", 550)
    monkeypatch.setattr("ibdrop.data.scramble.CHUNK", 7)
    few, repeats = scrambled(random, 3)
    assert repeats == 5
    assert torch.equal(few.view(100, 5, 16), whole.view(100, 32, 16)[:, :5])
    other, _ = scrambled(random, 4)
    assert not torch.equal(few, other)
    monkeypatch.setattr("ibdrop.data.scramble.MOST", 50)
    assert scrambled(random, 3)[1] == 1
    assert MOST == 65_536


def test_pixels_are_carried_as_the_symmetries_of_the_square_carry_them() -> None:
    """Each quarter of a scramble is that quarter of the digit in one of its eight positions."""
    digit = torch.arange(36)
    for table in scrambles(6):
        picture = digit[table].view(6, 6)
        positions = [digit[way].view(6, 6) for way in symmetries(6)]
        for top, left in ((0, 0), (0, 3), (3, 0), (3, 3)):
            window = slice(top, top + 3), slice(left, left + 3)
            assert any(torch.equal(picture[window], position[window]) for position in positions)


@pytest.mark.parametrize("side", [0, 1, 5])
def test_an_odd_side_is_refused(side: int) -> None:
    message = f"its side is {side} px and must be even$"
    with pytest.raises(ValueError, match=message):
        scrambles(side)


def test_the_table_never_changes() -> None:
    """Its order is part of what a seed means."""
    digest = hashlib.sha256(scrambles(28).numpy().tobytes()).hexdigest()
    assert digest[:16] == "27c91d1d3e41fe58"
