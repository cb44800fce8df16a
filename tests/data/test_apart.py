from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
import torch
from torch import Tensor

from ibdrop.data.apart import BITS, Line, corners_apart

Pair = tuple[int, int]


def line(a: int, b: int, length: int) -> Line:
    return Line(torch.tensor([a]), torch.tensor([b]), length)


def fractions(count: int) -> Tensor:
    """The least fraction that becomes each of 0 to below `count`."""
    return ((torch.arange(count) << BITS) + count - 1) // max(count, 1)


def places(a: int, b: int, length: int) -> tuple[set[Pair], set[Pair]]:
    """All pairs of places that are apart, and all that are not, one by one."""
    every = set(product(range(length - a + 1), range(length - b + 1)))
    apart = {(p, q) for p, q in every if p + a < q or q + b < p}
    return apart, every - apart


LINES = [(2, 3, 9), (3, 2, 9), (1, 1, 3), (4, 4, 9), (4, 4, 8), (5, 1, 6), (0, 2, 5), (7, 7, 7)]


@pytest.mark.parametrize(("a", "b", "length"), LINES)
def test_pairs_are_counted(a: int, b: int, length: int) -> None:
    apart, touching = places(a, b, length)
    made = line(a, b, length)
    assert int(made.apart) == len(apart)
    assert int(made.pairs) == len(apart) + len(touching)


@pytest.mark.parametrize(("a", "b", "length"), LINES)
def test_each_pair_that_is_apart_comes_once(a: int, b: int, length: int) -> None:
    made = line(a, b, length)
    s = max(int(made.slack), -1)
    u = fractions(s + 1).repeat_interleave(s + 2)
    v = fractions(s + 2).repeat(s + 1)
    found = [tuple(pair) for pair in made.separate(u, v).tolist()]
    assert sorted(found) == sorted(places(a, b, length)[0])


@pytest.mark.parametrize(("a", "b", "length"), LINES)
def test_each_pair_that_is_not_apart_comes_once(a: int, b: int, length: int) -> None:
    _, touching = places(a, b, length)
    made = Line(torch.full((len(touching),), a), torch.full((len(touching),), b), length)
    found = [tuple(pair) for pair in made.together(fractions(len(touching))).tolist()]
    assert sorted(found) == sorted(touching)


@pytest.mark.parametrize("sizes", [((2, 2), (2, 3)), ((4, 1), (1, 4)), ((2, 4), (3, 5))])
def test_all_places_are_equally_likely(sizes: tuple[Pair, Pair]) -> None:
    (h, w), (m, n) = sizes
    canvas, draws = 7, 60_000
    expected = {
        (y, x, p, q)
        for (y, p), (x, q) in product(
            product(range(canvas - h + 1), range(canvas - m + 1)),
            product(range(canvas - w + 1), range(canvas - n + 1)),
        )
        if y + h < p or p + m < y or x + w < q or q + n < x
    }
    many = torch.tensor(sizes).expand(draws, 2, 2)
    corners = corners_apart(5, torch.arange(draws), many, canvas)
    counts = Counter(tuple(row) for row in corners.flatten(1).tolist())
    assert set(counts) <= expected
    mean = draws / len(expected)
    chi_square = sum((counts[place] - mean) ** 2 / mean for place in expected)
    free = len(expected) - 1
    assert abs(chi_square - free) < 5 * (2 * free) ** 0.5


def test_large_canvases_do_not_overflow() -> None:
    sizes = torch.tensor([[[900, 1000], [1000, 1047]]]).expand(500, 2, 2)
    top, left = corners_apart(1, torch.arange(500), sizes, 2048).unbind(2)
    apart = (top[:, 0] + 900 < top[:, 1]) | (top[:, 1] + 1000 < top[:, 0])
    apart |= (left[:, 0] + 1000 < left[:, 1]) | (left[:, 1] + 1047 < left[:, 0])
    assert bool(apart.all())
    assert int(top.min()) >= 0
    assert bool((left + sizes[..., 1] <= 2048).all())


def test_a_pair_depends_on_its_number_alone() -> None:
    sizes = torch.tensor([[[3, 4], [5, 2]]]).expand(40, 2, 2)
    whole = corners_apart(9, torch.arange(40), sizes, 12)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    assert torch.equal(corners_apart(9, order, sizes, 12), whole[order])
    assert not torch.equal(corners_apart(8, torch.arange(40), sizes, 12), whole)
