"""Batches for training and evaluation, taken from resident data without a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet
from ibdrop.seeds import generator

__all__ = ["Chunk", "Chunks", "Position", "batches", "count_batches"]

SECONDS_PER_CHUNK = 0.5
MOST_STEPS = 256
MOST_PIXELS = 64_000_000


@dataclass
class Position:
    """How far training has come: the only truth about it, and what a checkpoint stores.

    Attributes:
        epoch: The number of finished epochs.
        step: The number of optimiser steps done in the epoch under way.
    """

    epoch: int = 0
    step: int = 0


class Chunk(NamedTuple):
    """Several batches rendered at once.

    Attributes:
        images: Pixels as uint8, with shape :math:`(M B, C, H, W)`.
        labels: Classes, with shape :math:`(M B)`.
        steps: The number of batches :math:`M`; 0 if nothing of the epoch is left to learn.
    """

    images: Tensor
    labels: Tensor
    steps: int


class Chunks:
    """An epoch of training data, shuffled if wanted, cut into chunks of about half a second.

    Each chunk is announced while the one before is learnt, so that a set which lives on the disk
    can read it meanwhile.

    The order is keyed by seed and epoch, so it is the same however the epoch is cut and wherever
    it is resumed. The remainder that fills no batch is left out of the epoch.

    Arguments:
        images: The training images.
        batch_size: The number of images :math:`B` per optimiser step.
        position: Where to begin; read at the start of each epoch.
        seed: The seed of the run.
        steps: The number of steps of an epoch.
        shuffle: Whether every epoch has an order of its own; else all have that of the set.
    """

    def __init__(
        self,
        images: ImageSet,
        batch_size: int,
        position: Position,
        seed: int,
        steps: int,
        *,
        shuffle: bool = True,
    ) -> None:
        self.images = images
        self.batch_size = min(batch_size, len(images))
        self.position = position
        self.seed = seed
        self.steps = steps
        self.shuffle = shuffle
        self.pace = 1

    def __iter__(self) -> Iterator[Chunk]:
        epoch, step = self.position.epoch, self.position.step
        order = self._order(epoch)
        if step >= self.steps:
            # Interrupted between the last step and validation: the epoch still has to be ended.
            yield Chunk(torch.empty(0), torch.empty(0), 0)
        index = self._upcoming(order, step)
        while len(index):
            started = time.monotonic()
            batch = self.images.batch(index, epoch)
            count = len(index) // self.batch_size
            step += count
            index = self._upcoming(order, step)
            if len(index):
                self.images.prefetch(index, epoch)
            yield Chunk(batch.images, batch.labels, count)
            self._keep_pace(count, time.monotonic() - started, batch.images[0].numel())

    def _order(self, epoch: int) -> Tensor:
        count = len(self.images)
        if not self.shuffle:
            return torch.arange(count)
        return torch.randperm(count, generator=generator(self.seed, "order", epoch))

    def _upcoming(self, order: Tensor, step: int) -> Tensor:
        """The numbers of the images of the next chunk; none at the end of the epoch."""
        count = max(0, min(self.pace, self.steps - step))
        return order[step * self.batch_size : (step + count) * self.batch_size]

    def _keep_pace(self, count: int, seconds: float, pixels: int) -> None:
        wanted = int(count * SECONDS_PER_CHUNK / max(seconds, 1e-3))
        most = min(MOST_STEPS, MOST_PIXELS // (self.batch_size * pixels))
        self.pace = max(1, min(wanted, 2 * self.pace, most))


def count_batches(images: ImageSet, batch_size: int) -> int:
    """The number of full batches in an epoch, at least one."""
    return max(1, len(images) // batch_size)


def batches(images: ImageSet, batch_size: int, limit: int | None = None) -> Iterator[Batch]:
    """Goes once through the images in order, for evaluation.

    Arguments:
        images: The images.
        batch_size: The number of images per batch; the last one may be smaller.
        limit: The number of images to stop after, or `None` for all.
    """
    count = len(images) if limit is None else min(limit, len(images))
    parts = torch.arange(count).split(batch_size)
    for index, upcoming in zip_longest(parts, parts[1:]):
        batch = images.batch(index)
        if upcoming is not None:
            images.prefetch(upcoming)
        yield batch
