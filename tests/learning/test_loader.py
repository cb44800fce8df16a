"""The same images in the same order, however an epoch is cut."""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.data.base import Batch, StaticImages
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


class Noted(StaticImages):
    """Remembers what it was told and asked."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        super().__init__(images, labels)
        self.told: list[tuple[str, list[int], int]] = []

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.told.append(("announced", index.tolist(), epoch))

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        self.told.append(("asked", index.tolist(), epoch))
        return super().batch(index, epoch)


def noted() -> Noted:
    plain = dataset()
    return Noted(plain.images, plain.labels)


def test_each_chunk_is_announced_before_the_one_before_is_learnt() -> None:
    images = noted()
    chunks = iter(Chunks(images, 10, Position(epoch=3), 0, steps=10))
    next(chunks)
    assert [word for word, *_ in images.told] == ["asked", "announced"]
    for _ in chunks:
        pass
    announced = [(index, epoch) for word, index, epoch in images.told if word == "announced"]
    asked = [(index, epoch) for word, index, epoch in images.told if word == "asked"]
    assert asked[1:] == announced
    assert {epoch for _, epoch in asked} == {3}


def test_evaluation_announces_each_batch() -> None:
    images = noted()
    for _ in batches(images, 25):
        pass
    announced = [index for word, index, _ in images.told if word == "announced"]
    asked = [index for word, index, _ in images.told if word == "asked"]
    assert asked[1:] == announced
    assert len(asked) == 5


def test_the_order_of_the_set_on_demand() -> None:
    chunks = Chunks(dataset(), 10, Position(epoch=3, step=2), 0, steps=10, shuffle=False)
    assert torch.equal(torch.cat([chunk.labels for chunk in chunks]), torch.arange(20, 100))
