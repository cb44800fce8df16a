from __future__ import annotations

import pytest
import torch

from ibdrop.data.counter import draw

MASK = (1 << 64) - 1


def reference(stream: int, counter: int, ranges: tuple[int, ...]) -> list[int]:
    """The same in Python's integers, which never wrap."""
    z = (stream + (counter + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    fraction = (z ^ (z >> 31)) >> 2
    digits = []
    for size in ranges:
        digits.append((fraction * size) >> 62)
        fraction = (fraction * size) & ((1 << 62) - 1)
    return digits


@pytest.mark.parametrize("stream", [0, 1, 2**63 - 1, 1234567890123456789])
@pytest.mark.parametrize("ranges", [(7,), (50_000, 21, 21, 89, 89), (2**31 - 1, 3)])
def test_the_integers_are_those_of_exact_arithmetic(stream: int, ranges: tuple[int, ...]) -> None:
    counters = [0, 1, 1023, 1024, 51_200_000, 2**40]
    found = draw(stream, torch.tensor(counters), ranges)
    for column, counter in enumerate(counters):
        assert [int(values[column]) for values in found] == reference(stream, counter, ranges)


def test_splitmix_gives_its_published_first_output() -> None:
    # 0xE220A8397B1DCDAF is SplitMix64's first output for seed 0; its upper 31 bits here.
    (value,) = draw(0, torch.tensor([0]), (2**31 - 1,))
    assert int(value) == ((0xE220A8397B1DCDAF >> 2) * (2**31 - 1)) >> 62


def test_values_are_uniform_and_independent() -> None:
    rows, columns = draw(99, torch.arange(400_000), (20, 20))
    counts = torch.bincount(rows * 20 + columns, minlength=400).double()
    chi_square = float(((counts - 1000) ** 2 / 1000).sum())
    assert abs(chi_square - 399) < 5 * (2 * 399) ** 0.5


def test_neighbouring_streams_have_nothing_in_common() -> None:
    first, second = (draw(stream, torch.arange(100_000), (10,))[0] for stream in (7, 8))
    assert abs(float((first == second).double().mean()) - 0.1) < 0.005


def test_the_counter_may_have_any_shape() -> None:
    counter = torch.arange(24)
    flat, shaped = draw(3, counter, (1000,))[0], draw(3, counter.view(2, 3, 4), (1000,))[0]
    assert torch.equal(flat.view(2, 3, 4), shaped)
