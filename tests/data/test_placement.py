from __future__ import annotations

import re

import pytest
import torch

from ibdrop.data.placement import MOST_CELLS, Grid


@pytest.mark.parametrize(
    ("distractors", "canvas", "side", "border", "expected"),
    [
        (8, 96, 28, 0, (3, 3, 32, 32, 0, 0)),
        (8, 48, 16, 0, (3, 3, 16, 16, 0, 0)),
        (8, 50, 16, 0, (3, 3, 16, 16, 1, 1)),
        (8, 60, 16, 3, (3, 3, 18, 18, 3, 3)),
        (5, 60, 20, 0, (2, 3, 30, 20, 0, 0)),
        (0, 28, 28, 0, (1, 1, 28, 28, 0, 0)),
        (0, 96, 28, 0, (3, 3, 32, 32, 0, 0)),
    ],
)
def test_cells_hold_everything(
    distractors: int, canvas: int, side: int, border: int, expected: tuple[int, ...]
) -> None:
    assert Grid.fitting(distractors, canvas, side, border)[:6] == expected


def test_every_grid_fits() -> None:
    for canvas in range(16, 70):
        for distractors in range((canvas // 16) ** 2):
            grid = Grid.fitting(distractors, canvas, 16, 0)
            assert distractors + 1 <= grid.cells <= MOST_CELLS
            assert min(grid.height, grid.width) >= 16
            assert grid.top >= 0 <= grid.left
            assert grid.top + grid.rows * grid.height <= canvas
            assert grid.left + grid.columns * grid.width <= canvas


def test_huge_canvases_have_no_more_cells_than_can_be_numbered() -> None:
    assert Grid.fitting(3, 5000, 8, 0).cells == MOST_CELLS == 1024
    assert Grid.fitting(1023, 256, 8, 0).cells == 1024


def test_corners_are_where_the_cells_are() -> None:
    grid = Grid.fitting(5, 62, 20, 1)
    cell = torch.arange(6)
    corners = grid.corners(cell, torch.tensor([0, 1, 2, 3, 4, 5]), torch.zeros_like(cell))
    expected = [[1, 1], [2, 21], [3, 41], [34, 1], [35, 21], [36, 41]]
    assert corners.tolist() == expected
    assert grid.slack == (11, 1)
    assert cell.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            (8, 40, 16, 0),
            "8 distractors and the target, whole digits of 16 px, do not fit beside each other on"
            " a canvas of 40 px; make the canvas 48 px or larger, or take 3 distractors at most",
        ),
        (
            (8, 54, 16, 4),
            "8 distractors and the target, whole digits of 16 px, do not fit beside each other on"
            " a canvas of 54 px and a border of 4 px; make the canvas 56 px or larger, or take 3"
            " distractors at most",
        ),
        (
            (0, 12, 16, 0),
            "0 distractors and the target, whole digits of 16 px, do not fit beside each other on"
            " a canvas of 12 px; make the canvas 16 px or larger",
        ),
    ],
)
def test_what_does_not_fit_is_refused(values: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        Grid.fitting(*values)
