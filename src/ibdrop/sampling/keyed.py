"""Random codes keyed by image, so that they depend on no batch and no order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.random import Rows
from ibdrop.seeds import key

__all__ = ["keyed"]


@contextmanager
def keyed(seed: int, what: str, index: Tensor, device: torch.device) -> Iterator[None]:
    """Keys the draws of the block by seed, purpose and the numbers of the images.

    Arguments:
        seed: The seed.
        what: What the draws are for.
        index: The numbers of the images, with shape :math:`(B)`.
        device: Where to draw.
    """
    draws = Draws(key(seed, what), (1,), "row", "independent", device)
    with drawing_from(Rows(draws, range(1), index.to(device), lifted=False)):
        yield
