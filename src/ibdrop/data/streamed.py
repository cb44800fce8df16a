"""Pictures that are read from disk batch by batch, while the device works on the one before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet

__all__ = ["Streamed", "gathered", "readers"]

AHEAD = 2
"""Batches that are made ready at most; each takes memory."""

PIECE = 16
"""Pictures that a thread reads at a time, so that handing out work costs little."""


class Streamed(ImageSet):
    """Pictures read from disk when they are needed, by threads, and copied to the device.

    Reading needs no other process and no shared memory: decoders release Python's lock. What was
    announced by `prefetch` is read in the background; the pictures are the same without.

    Arguments:
        read: Gives picture `i` as uint8 on the CPU, with shape :math:`(C, H, W)`; called from
            several threads.
        labels: The classes as int64 on the CPU, with shape :math:`(N)`.
        shape: Channels, height and width of every picture.
        workers: The number of threads.
        device: Where batches go.
        names: What each picture is called.
    """

    resident = False

    def __init__(
        self,
        read: Callable[[int], Tensor],
        labels: Tensor,
        shape: tuple[int, int, int],
        *,
        workers: int,
        device: torch.device | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self.read = read
        self.labels = labels
        self.shape = shape
        self.workers = workers
        self.names = names
        self.device = device or torch.device("cpu")
        self.ready: deque[_Announced] = deque()

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        announced = self._announced(index)
        pixels = announced.pixels if announced else self._empty(len(index))
        if announced:
            for piece in announced.pieces:
                piece.result()
        else:
            gathered(self.read, index, pixels, self._pool)
        # Torch keeps pinned memory alive until the copy out of it is done.
        images = pixels.to(self.device, non_blocking=True)
        return Batch(index, images, self.labels[index].to(self.device, non_blocking=True))

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        while len(self.ready) >= AHEAD:
            self.ready.popleft().drop()
        pixels = self._empty(len(index))
        self.ready.append(_Announced(index, pixels, started(self.read, index, pixels, self._pool)))

    def to(self, device: torch.device) -> Streamed:
        plain = self.read, self.labels, self.shape
        return Streamed(*plain, workers=self.workers, device=device, names=self.names)

    def _announced(self, index: Tensor) -> _Announced | None:
        """What was made ready for this batch; older batches that nobody asked for are dropped."""
        if not any(torch.equal(index, one.index) for one in self.ready):
            return None
        while not torch.equal(index, self.ready[0].index):
            self.ready.popleft().drop()
        return self.ready.popleft()

    def _empty(self, count: int) -> Tensor:
        pinned = self.device.type == "cuda"
        return torch.empty(count, *self.shape, dtype=torch.uint8, pin_memory=pinned)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return readers(self.workers)


class _Announced(NamedTuple):
    """A batch that is being read."""

    index: Tensor  # type: ignore[assignment]  # a tuple has a method of this name
    pixels: Tensor
    pieces: list[Future[None]]

    def drop(self) -> None:
        for piece in self.pieces:
            piece.cancel()


def readers(workers: int) -> ThreadPoolExecutor:
    """Threads that read."""
    return ThreadPoolExecutor(workers, thread_name_prefix="reader")


def started(
    read: Callable[[int], Tensor], index: Tensor, into: Tensor, pool: ThreadPoolExecutor
) -> list[Future[None]]:
    """Starts to read pictures.

    Arguments:
        read: Gives picture `i` as uint8, with shape :math:`(C, H, W)`.
        index: The numbers of the pictures, with shape :math:`(B)`.
        into: Takes the pixels as uint8, with shape :math:`(B, C, H, W)`.
        pool: The threads.
    """

    def fill(start: int) -> None:
        for place, i in enumerate(numbers[start : start + PIECE], start):
            into[place] = read(i)

    numbers = index.tolist()
    return [pool.submit(fill, start) for start in range(0, len(numbers), PIECE)]


def gathered(
    read: Callable[[int], Tensor], index: Tensor, into: Tensor, pool: ThreadPoolExecutor
) -> None:
    """Reads pictures and waits for them; see `started`.

    Raises:
        Exception: What `read` raised for the first picture that it could not give.
    """
    pieces = started(read, index, into, pool)
    try:
        for piece in pieces:
            piece.result()
    finally:
        for piece in pieces:
            piece.cancel()
