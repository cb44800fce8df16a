"""Keyed random numbers against the published generator, and against chance."""

from __future__ import annotations

import pytest
import torch

from ibdrop.sampling.counter import keys, uniform, words
from ibdrop.splitmix import mix


def test_words_are_those_of_splitmix64() -> None:
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    found = words(torch.tensor(1234567), 5).tolist()
    assert [word % 2**64 for word in found] == published


def test_mixing_loses_nothing() -> None:
    numbers = torch.cat([torch.arange(-50_000, 50_000), torch.arange(100) * (1 << 56)])
    assert len(mix(numbers.unique().clone()).unique()) == len(numbers.unique())


def test_keys_differ_for_all_pairs() -> None:
    found = keys(7, torch.arange(300), torch.arange(-1, 300))
    assert found.shape == (300, 301)
    assert len(found.unique()) == found.numel()
    assert torch.equal(found[5:6, 9:12], keys(7, torch.tensor([5]), torch.arange(8, 11)))


def test_uniform_is_uniform_and_open() -> None:
    u = uniform(keys(3, torch.arange(100), torch.arange(20)), 501)
    assert u.shape == (100, 20, 501)
    assert 0 < u.min() < 1e-5
    assert 1 - 1e-5 < u.max() < 1
    counts = torch.histc(u, 64, 0, 1)
    chi2 = float(((counts - u.numel() / 64).square() / (u.numel() / 64)).sum())
    assert chi2 < 63 + 5 * (2 * 63) ** 0.5
    assert float(u.double().mean()) == pytest.approx(0.5, abs=5 / (12 * u.numel()) ** 0.5)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_are_uncorrelated(axis: int) -> None:
    u = uniform(keys(5, torch.arange(60), torch.arange(60)), 60).double() - 0.5
    left, right = u.narrow(axis, 0, 59), u.narrow(axis, 1, 59)
    correlation = 12 * float((left * right).mean())
    assert abs(correlation) < 5 / left.numel() ** 0.5
