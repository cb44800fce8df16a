from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ibdrop.models.mlp import MLP
from ibdrop.noise.baselines import NoNoise
from ibdrop.noise.information import InformationNoise


def tiny(**options: Any) -> MLP:
    torch.manual_seed(0)
    return MLP(2, (4, 5), 3, options.pop("noise", InformationNoise), **{"width": 8, **options})


def images() -> torch.Tensor:
    return torch.rand(6, 2, 4, 5, generator=torch.Generator().manual_seed(0))


def test_shapes_and_names() -> None:
    prediction = tiny(depth=2)(images())
    assert prediction.logits.shape == (6, 3)
    assert {name: kl.shape for name, kl in prediction.kls.items()} == {"D1": (6, 8), "D2": (6, 8)}


@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_parameter_gets_a_gradient(batch_norm: bool) -> None:
    model = tiny(batch_norm=batch_norm, activation="softplus")
    prediction = model(images())
    loss = prediction.logits.square().sum() + sum(kl.sum() for kl in prediction.kls.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_parameter_counts() -> None:
    def count(model: nn.Module) -> int:
        return sum(p.numel() for p in model.parameters())

    assert count(tiny(noise=NoNoise)) == 40 * 8 + 8 + 2 * (8 * 8 + 8) + 8 * 3 + 3
    assert count(tiny()) == 2 * (40 * 8 + 8 + 2 * (8 * 8 + 8)) + 8 * 3 + 3


def test_evaluation_is_deterministic_and_sampling_is_asked_for() -> None:
    model = tiny().eval()
    first = model(images()).logits
    assert torch.equal(first, model(images()).logits)
    assert not torch.equal(first, model(images(), sample=True).logits)


@pytest.mark.parametrize("options", [{"width": 0}, {"depth": 0}])
def test_ranges(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="both must be at least 1"):
        tiny(**options)
