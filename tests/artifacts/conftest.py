"""A small synthetic network and data with known places, for every artifact."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec, StaticImages
from ibdrop.models.base import Prediction
from ibdrop.models.generative import Autoencoder, Costs, Reconstruction
from ibdrop.noise.base import Noisy
from ibdrop.noise.draws import standard_normal, standard_uniform

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


class Sketch(Autoencoder):
    """A random linear autoencoder with whatever a test asks for.

    Arguments:
        width: The units of the code.
        channels: Those of the images.
        positive: Whether codes are rectified, and noisy in proportion.
        corrupts: Whether it is trained on images with pixels left out.
        prior: Whether codes can be drawn.
        seen: Whether it has filters.
        below: Whether the lower half alone, in black and white, is its target.
    """

    def __init__(
        self,
        width: int = 3,
        channels: int = 1,
        positive: bool = False,
        corrupts: bool = False,
        prior: bool = False,
        seen: bool = True,
        below: bool = False,
    ) -> None:
        super().__init__((channels, SIDE, SIDE))
        random = torch.Generator().manual_seed(width)
        weights = torch.randn(channels * SIDE**2, width, generator=random) / SIDE
        self.weights = nn.Parameter(weights)
        self.positive, self.corrupts = positive, corrupts
        self.prior, self.seen, self.below = prior, seen, below

    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        code = x.flatten(1) @ self.weights
        if not self.positive:
            return Reconstruction(self.decode(code), code, {})
        code = code.relu()
        alpha = 0.1 + 0.2 * torch.sigmoid(code)
        layer = Noisy(code, -alpha.log(), alpha, cap=0.3)
        return Reconstruction(self.decode(code), code, {"z": layer})

    def decode(self, code: Tensor) -> Tensor:
        return (4 * code @ self.weights.T - 2).view(-1, *self.image_shape)

    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        ce = self.nll(self(x).output, x).mean()
        return Costs(ce, {"ce": ce})

    def corrupted(self, x: Tensor) -> Tensor:
        return x * (standard_uniform(x) > 0.5) if self.corrupts else x

    def target(self, x: Tensor) -> Tensor:
        return (x > 0.5).to(x.dtype)[:, :, SIDE // 2 :] if self.below else x

    def codes(self, count: int) -> Tensor | None:
        like = self.weights.new_empty(count, self.weights.shape[1])
        return standard_normal(like) if self.prior else None

    def filters(self) -> Tensor | None:
        return self.weights.detach().T.view(-1, *self.image_shape) if self.seen else None


def sketched(folder: Path, *, channels: int = 1, **options: Any) -> Trained:
    """A run folder of a `Sketch`, on pictures of as many channels."""
    noise = torch.Generator().manual_seed(channels)
    shape = (COUNT, channels, SIDE, SIDE)
    pictures = torch.randint(256, shape, generator=noise).to(torch.uint8)
    images = StaticImages(pictures, torch.arange(COUNT) % len(CLASSES))
    spec = ImageSpec(channels, SIDE, SIDE, CLASSES)
    data = ImageData("noise", spec, images, images, images)
    model = Sketch(channels=channels, **options).eval()
    return Trained(model, data, torch.device("cpu"), 0, lambda: model, folder)


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
def sketch() -> SimpleNamespace:
    """`trained(folder, channels=, **options of Sketch)`, and `run` as in `synthetic`."""
    return SimpleNamespace(trained=sketched, run=run, classes=CLASSES, count=COUNT)


@pytest.fixture
def without_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the ranking from drawing, where only its numbers matter."""

    def no_pictures(*_: Any) -> list[Path]:
        return []

    monkeypatch.setattr("ibdrop.artifacts.ranking.EntropyRanking._draw", no_pictures)
