"""A small synthetic network and data with known places, for every artifact."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy

SIDE, COUNT, CLASSES = 16, 40, ("nought", "one/ten", "two")


class Blobs(ImageSet):
    """Squares whose brightness is their class, at known places."""

    def __init__(self, placed: bool = True) -> None:
        self.placed = placed

    def __len__(self) -> int:
        return COUNT

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        labels = index % len(CLASSES)
        top, left = index % 11, (3 * index) % 11
        boxes = torch.stack([top, left, top + 5, left + 5], 1)
        masks = torch.zeros(len(index), SIDE, SIDE, dtype=torch.bool)
        for mask, (y, x, bottom, right) in zip(masks, boxes.tolist(), strict=True):
            mask[y:bottom, x:right] = True
        images = (masks * (80 * labels[:, None, None] + 60)).to(torch.uint8)[:, None]
        if not self.placed:
            return Batch(index, images, labels)
        return Batch(index, images, labels, boxes, masks)

    def to(self, device: torch.device) -> Blobs:
        return self


class Net(nn.Module):
    """Reads the class from the brightest pixel; its KL is the pooled image."""

    def __init__(self, rate: float = 0.3, kl: float = 1.0) -> None:
        super().__init__()
        self.rate = rate
        self.kl = kl

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        level = images.amax((1, 2, 3)) * 255
        if sample and self.rate:
            level = level + 100 * self.rate * torch.randn_like(level)
        centres = 80.0 * torch.arange(len(CLASSES)) + 60
        logits = -((level[:, None] - centres) / 40).square()
        pooled = nn.functional.avg_pool2d(images, 2).repeat(1, 3, 1, 1)
        layers = {
            "D0": Noisy(pooled, self.kl * pooled),
            "D1": Noisy(pooled, torch.zeros_like(pooled)),
            "flat": Noisy(level[:, None], level[:, None]),
        }
        return Prediction(logits, layers if self.kl else {"D0": Noisy(pooled)})


class Fresh(Net):
    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        found = super().forward(images, sample)
        ones = {name: torch.ones_like(layer.z) for name, layer in found.layers.items()}
        return Prediction(found.logits, {name: Noisy(one, one) for name, one in ones.items()})


def trained(folder: Path, model: nn.Module | None = None, placed: bool = True) -> Trained:
    spec = ImageSpec(1, SIDE, SIDE, CLASSES)
    data = ImageData("blobs", spec, Blobs(), Blobs(), Blobs(placed))
    network = (model or Net()).eval()
    return Trained(network, data, torch.device("cpu"), 0, lambda: Fresh().eval(), folder)


def run(artifact: Artifact, what: Trained, folder: Path, size: int = 16) -> list[Path]:
    folder.mkdir(exist_ok=True)
    artifact.begin(what)
    for index in torch.arange(COUNT).split(size):
        batch = what.data.test.batch(index)
        artifact.update(batch, what.model(what.data.inputs(batch.images), sample=False))
    return artifact.write(folder)


@pytest.fixture
def synthetic() -> SimpleNamespace:
    """`trained(folder, model, placed)`, `run(artifact, trained, folder, size)` and `Net`."""
    return SimpleNamespace(trained=trained, run=run, Net=Net, classes=CLASSES, count=COUNT)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the ranking from drawing, where only its numbers matter."""

    def no_pictures(*_: Any) -> list[Path]:
        return []

    monkeypatch.setattr("ibdrop.artifacts.ranking.EntropyRanking._draw", no_pictures)
