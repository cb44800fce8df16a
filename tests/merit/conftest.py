"""Predictions with mistakes, ties and saturated confidences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.sampling.predictive import Predictive


def random(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def members(images: int = 300, classes: int = 4, count: int = 5) -> tuple[Tensor, Tensor]:
    """Logits of several noisy passes (R, N, K) in float64, and labels."""
    labels = torch.randint(classes, (images,), generator=random(1))
    plain = 2 * torch.randn(images, classes, generator=random(2), dtype=torch.float64)
    plain[torch.arange(images), labels] += 3
    noise = torch.randn(count, images, classes, generator=random(3), dtype=torch.float64)
    return plain + noise, labels


@pytest.fixture
def found() -> Predictive:
    """Five groups of 300 images and four classes."""
    logits, _ = members()
    return Predictive.of_logits(logits, logits.mean(0).softmax(-1))


@pytest.fixture
def labels() -> Tensor:
    """The classes of `found`."""
    return members()[1]
