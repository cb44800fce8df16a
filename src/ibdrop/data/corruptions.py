"""Images made worse in known ways and degrees, on the device, by number."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.data.base import Batch, ImageSet

__all__ = ["CORRUPTIONS", "SEVERITIES", "Corrupted", "Corruption", "corrupt"]

SEVERITIES = (1, 2, 3, 4, 5)


class Corruption(NamedTuple):
    """A way to make images worse: what it does, and its amount for each severity."""

    apply: Callable[..., Tensor]
    amounts: tuple[float, ...]
    meaning: str
    moves: bool = False


CORRUPTIONS: dict[str, Corruption] = {}


def corrupt(images: Tensor, index: Tensor, name: str, severity: int, seed: int) -> Tensor:
    """Makes uint8 images (B, C, H, W) worse; image `i` never depends on its batch."""
    raise NotImplementedError


class Corrupted(ImageSet):
    """A set of images, each made worse; names: `CORRUPTIONS`, severity 1 to 5."""

    def __init__(self, images: ImageSet, name: str, severity: int, seed: int) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        raise NotImplementedError

    def to(self, device: torch.device) -> Corrupted:
        raise NotImplementedError
