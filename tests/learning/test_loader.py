"""The same images in the same order, however an epoch is cut."""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.data.base import StaticImages
from ibdrop.learning.loader import Chunks, Position, batches, count_batches


def dataset(count: int = 103) -> StaticImages:
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    return StaticImages(images, torch.arange(count))


def seen(position: Position, *, pace: int = 2, seed: int = 0) -> Tensor:
    chunks = Chunks(dataset(), 10, position, seed, steps=10)
    chunks.pace = pace
    return torch.cat([chunk.labels for chunk in chunks])


def test_chunking_does_not_matter() -> None:
    assert torch.equal(seen(Position(), pace=1), seen(Position(), pace=7))


def test_an_epoch_shows_each_image_at_most_once() -> None:
    labels = seen(Position())
    assert len(labels) == 100
    assert len(labels.unique()) == 100


def test_resuming_continues_the_epoch() -> None:
    whole = seen(Position(epoch=4))
    assert torch.equal(seen(Position(epoch=4, step=6)), whole[60:])


def test_epochs_and_seeds_differ() -> None:
    first = seen(Position())
    assert not torch.equal(first, seen(Position(epoch=1)))
    assert not torch.equal(first, seen(Position(), seed=1))


def test_a_small_set_is_one_batch() -> None:
    assert count_batches(dataset(7), 10) == 1
    chunk = next(iter(Chunks(dataset(7), 10, Position(), 0, steps=1)))
    assert len(chunk.labels) == 7


def test_evaluation_goes_once_through_all() -> None:
    labels = torch.cat([batch.labels for batch in batches(dataset(), 25)])
    assert torch.equal(labels, torch.arange(103))
    assert sum(len(batch.labels) for batch in batches(dataset(), 25, limit=30)) == 30
