from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor, nn

from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noise, Noisy

CONF = Path(__file__).parents[2] / "conf"
SMALL: dict[str, dict[str, Any]] = {
    "allcnn": {"width": 0.1},
    "mlp": {"width": 12},
    "lenet": {"width": 20, "channels": [3, 4]},
}


def shake(model: nn.Module) -> nn.Module:
    """Random weights and moments, such that no layer is dead and none is like another."""
    generator = torch.Generator().manual_seed(1)
    for name, value in model.state_dict().items():
        if value.dtype.is_floating_point:
            drawn = torch.randn(value.shape, generator=generator)
            if "running_var" in name:
                value.copy_(0.5 + drawn.abs())
            elif "log_sigma2" in name:
                value.copy_(-4 + drawn)
            elif value.ndim > 1:
                value.copy_(drawn * (2 / value[0].numel()) ** 0.5)
            else:
                value.add_(0.2 * drawn)
    return model.eval()


@pytest.fixture
def make() -> Callable[..., nn.Module]:
    """Builds a small network of the configs' groups, with random weights."""

    def build(model: str, noise: str, **options: Any) -> nn.Module:
        node = OmegaConf.merge(
            OmegaConf.load(CONF / "model" / f"{model}.yaml"), SMALL.get(model, {})
        )
        factory = instantiate(OmegaConf.load(CONF / "noise" / f"{noise}.yaml"), **options)
        torch.manual_seed(0)
        built: nn.Module = instantiate(
            node, in_channels=1, image_size=(28, 28), num_classes=5, noise=factory
        )
        return shake(built)

    return build


@pytest.fixture
def images() -> Tensor:
    return torch.rand(11, 1, 28, 28, generator=torch.Generator().manual_seed(2))


class Halving(Noise):
    """A noise of a user's own, with torch's own random functions."""

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        if not sample:
            return Noisy(f)
        return Noisy(f * (1 + torch.rand_like(f) - 0.5) * (torch.rand_like(f) > 0.2))


class Own(nn.Module):
    """A network of a user's own: a branch, an in-place activation, a view, dropout of torch."""

    def __init__(self, noise: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 5, stride=3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.off = nn.Dropout(0.9)
        self.noise = Halving(4) if noise is None else noise
        self.out = nn.Linear(4 * 8 * 8, 5)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        x = self.relu(self.norm(self.first(images)))
        y = self.noise(self.second(x), None, bool(sample)).z
        z = self.off(self.relu(x + y))
        return Prediction(self.out(z.view(z.size(0), -1)), {})


@pytest.fixture
def own() -> Callable[..., nn.Module]:
    def build(kind: type[Own] = Own, noise: nn.Module | None = None) -> nn.Module:
        return shake(kind(noise))

    build.kind = Own  # type: ignore[attr-defined]
    return build
