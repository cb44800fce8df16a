"""Pictures that are kept in memory if they fit there, and read from disk as needed if not."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ibdrop.data.base import ImageSet, StaticImages
from ibdrop.data.progress import track
from ibdrop.data.streamed import Streamed, gathered, readers

__all__ = ["GIB", "hold"]

GIB = 2**30
CHUNK = 1024


def hold(
    read: Callable[[int], Tensor],
    labels: Tensor,
    shape: tuple[int, int, int],
    *,
    resident: float,
    workers: int,
    what: str,
    names: Sequence[str] | None = None,
) -> ImageSet:
    """Reads all pictures at once if they fit in memory; if not, each batch when it is needed.

    Arguments:
        read: Gives picture `i` as uint8 on the CPU, with shape :math:`(C, H, W)`; called from
            several threads.
        labels: The classes as int64, with shape :math:`(N)`.
        shape: Channels, height and width of every picture.
        resident: The memory in GiB that the pixels may take.
        workers: The number of threads that read.
        what: Names the work for the progress bar.
        names: What each picture is called.
    """
    if math.prod(shape) * len(labels) > resident * GIB:
        return Streamed(read, labels, shape, workers=workers, names=names)
    images = torch.empty(len(labels), *shape, dtype=torch.uint8)
    advance = track(what, len(labels))
    with readers(workers) as pool:
        for index in torch.arange(len(labels)).split(CHUNK):
            gathered(read, index, images[index[0] : index[-1] + 1], pool)
            advance(len(index))
    return StaticImages(images, labels, names)
