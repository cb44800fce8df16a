"""What a run leaves behind for people to look at."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from ibdrop.data.base import Batch, ImageData

__all__ = ["Artifact", "Trained"]


@dataclass(frozen=True)
class Trained:
    """A trained network and what it was trained on.

    Attributes:
        model: The network in evaluation mode, on `device`.
        data: The data, on the same device.
        device: Where both live.
        seed: The seed of the run; artifacts that draw at random key their draws by it.
        untrained: Makes the same network with fresh weights, in evaluation mode, on `device`.
        folder: The run folder, for artifacts drawn from its files (`metrics.csv`).
    """

    model: nn.Module
    data: ImageData
    device: torch.device
    seed: int
    untrained: Callable[[], nn.Module]
    folder: Path


class Artifact(ABC):
    """Numbers and pictures gathered in one deterministic pass over the test set.

    The order of calls is `begin`, `update` for each batch, `write`. Every artifact writes its
    numbers first (CSV, NPZ) and draws its pictures from those very files.

    Attributes:
        task: The kind of network that it is made for, such as `classification`; `None`: any.
        rounds: How often `write` goes over the images once more, for progress bars.
        on_images: To be called in `write` with the number of images gone over.
    """

    task: ClassVar[str | None] = "classification"
    rounds: int = 0
    on_images: Callable[[int], None] = staticmethod(lambda images: None)

    def begin(self, trained: Trained) -> None:
        """Starts a pass; forgets whatever an earlier one gathered."""

    def update(self, batch: Batch, prediction: Any) -> None:
        """Takes in a batch and what the network, noise off, made of it.

        Arguments:
            batch: The images.
            prediction: A `Prediction`, or the `Reconstruction` of an autoencoder.
        """

    def write(self, folder: Path) -> list[Path]:
        """Writes into `folder` and returns the files, the most telling picture first."""
        return []
