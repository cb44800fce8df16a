"""Pictures from disk are the pictures from memory, however they are read."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import ImageSet, ImageSpec, StaticImages
from ibdrop.data.corruptions import Corrupted
from ibdrop.data.holding import GIB, hold
from ibdrop.data.outliers import Adapted, Permuted
from ibdrop.data.progress import track, watched
from ibdrop.data.streamed import AHEAD, Streamed
from ibdrop.errors import DataError

COUNT, SHAPE = 101, (3, 5, 4)
PIXELS = torch.randint(
    0, 256, (COUNT, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
)
LABELS = torch.arange(COUNT) % 7


def read(i: int) -> Tensor:
    return PIXELS[i]


def streamed(workers: int = 3, how: Callable[[int], Tensor] = read) -> Streamed:
    return Streamed(how, LABELS, SHAPE, workers=workers)


def held(resident: float, how: Callable[[int], Tensor] = read) -> ImageSet:
    return hold(how, LABELS, SHAPE, resident=resident, workers=2, what="reading")


@pytest.mark.parametrize("workers", [1, 2, 8])
@pytest.mark.parametrize("size", [1, 7, COUNT])
@pytest.mark.parametrize("announced", [True, False])
def test_batches_are_those_of_memory(workers: int, size: int, announced: bool) -> None:
    order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(2))
    images, memory = streamed(workers), StaticImages(PIXELS, LABELS)
    for index in order.split(size):
        if announced:
            images.prefetch(index)
        found, wanted = images.batch(index), memory.batch(index)
        assert torch.equal(found.images, wanted.images)
        assert torch.equal(found.labels, wanted.labels)
        assert torch.equal(found.index, index)


def test_what_was_announced_is_read_once_and_in_the_background() -> None:
    seen: list[tuple[int, bool]] = []
    done = threading.Event()

    def noted(i: int) -> Tensor:
        seen.append((i, threading.current_thread() is threading.main_thread()))
        if len(seen) == 9:
            done.set()
        return PIXELS[i]

    images = streamed(how=noted)
    images.prefetch(torch.arange(9))
    assert done.wait(20)
    images.batch(torch.arange(9))
    assert sorted(seen) == [(i, False) for i in range(9)]


def test_a_batch_that_was_not_announced_throws_nothing_away() -> None:
    images = streamed()
    images.prefetch(torch.arange(4))
    assert torch.equal(images.batch(torch.arange(50, 60)).images, PIXELS[50:60])
    assert len(images.ready) == 1
    assert torch.equal(images.batch(torch.arange(4)).images, PIXELS[:4])
    assert not images.ready


def test_few_batches_wait() -> None:
    images = streamed()
    for start in range(0, 50, 5):
        images.prefetch(torch.arange(start, start + 5))
    assert len(images.ready) == AHEAD
    assert torch.equal(images.batch(torch.arange(45, 50)).images, PIXELS[45:50])
    assert not images.ready


@pytest.mark.parametrize("announced", [True, False])
def test_what_goes_wrong_in_a_thread_comes_out(announced: bool) -> None:
    def broken(i: int) -> Tensor:
        if i == 33:
            raise DataError("33.png is gone")
        return PIXELS[i]

    images = streamed(how=broken)
    if announced:
        images.prefetch(torch.arange(60))
    with pytest.raises(DataError, match=r"^33\.png is gone$"):
        images.batch(torch.arange(60))
    assert torch.equal(images.batch(torch.arange(10)).images, PIXELS[:10])
    with pytest.raises(DataError, match=r"^33\.png is gone$"):
        held(1.0, broken)


def test_the_size_decides() -> None:
    size = PIXELS.numel() / GIB
    inside, outside = held(size), held(size * 0.999)
    assert isinstance(inside, StaticImages)
    assert inside.resident
    assert torch.equal(inside.images, PIXELS)
    assert isinstance(outside, Streamed)
    assert not outside.resident
    assert len(outside) == COUNT


def test_reading_is_told() -> None:
    told: list[tuple[str, int, int]] = []
    with watched(lambda *progress: told.append(progress)):
        held(1.0)
    assert told == [("reading", 0, COUNT), ("reading", COUNT, COUNT)]
    track("unseen", 3)(3)
    assert len(told) == 2


class Noted(StaticImages):
    """Remembers what was announced."""

    resident = False

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.announced = index, epoch


def test_wrappers_pass_the_announcement_on() -> None:
    spec = ImageSpec(*SHAPE, tuple("abcdefg"))
    for wrap in (
        lambda images: Permuted(images, 0),
        lambda images: Adapted(images, 1, (spec.height, spec.width)),
        lambda images: Corrupted(images, "contrast", 1, 0),
    ):
        inner = Noted(PIXELS, LABELS)
        outer = wrap(inner)
        outer.prefetch(torch.arange(3), 5)
        assert torch.equal(inner.announced[0], torch.arange(3))
        assert inner.announced[1] == 5
        assert not outer.resident


@pytest.mark.gpu
def test_batches_on_the_gpu_are_those_of_memory() -> None:
    device = torch.device("cuda")
    images = streamed().to(device)
    for index in torch.arange(COUNT).split(13):
        images.prefetch(index)
        batch = images.batch(index)
        assert batch.images.device.type == "cuda"
        assert torch.equal(batch.images.cpu(), PIXELS[index])
