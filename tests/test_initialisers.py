from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ibdrop.initialisers import (
    default,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    tutorial,
)
from ibdrop.models.allcnn import AllCNN
from ibdrop.noise.information import InformationNoise

Initialiser = Callable[[nn.Module], None]


def conv_weight(initialise: Initialiser) -> Tensor:
    torch.manual_seed(0)
    conv = nn.Conv2d(40, 120, 3)
    initialise(nn.Sequential(conv))
    assert conv.bias is not None
    assert torch.equal(conv.bias, torch.zeros(120))
    return conv.weight.detach()


FAN_IN, FAN_OUT = 9 * 40, 9 * 120


@pytest.mark.parametrize(
    ("initialise", "variance", "uniform"),
    [
        (he_normal, 2 / FAN_IN, False),
        (partial(he_normal, mode="fan_out"), 2 / FAN_OUT, False),
        (partial(he_normal, slope=0.25), 2 / (1 + 0.25**2) / FAN_IN, False),
        (he_uniform, 2 / FAN_IN, True),
        (partial(he_uniform, mode="fan_out", slope=1.0), 1 / FAN_OUT, True),
        (glorot_normal, 2 / (FAN_IN + FAN_OUT), False),
        (glorot_uniform, 2 / (FAN_IN + FAN_OUT), True),
        (lecun_normal, 1 / FAN_IN, False),
    ],
)
def test_variance_and_shape(initialise: Initialiser, variance: float, uniform: bool) -> None:
    weight = conv_weight(initialise)
    assert float(weight.var()) == pytest.approx(variance, rel=0.03)
    assert float(weight.mean()) == pytest.approx(0, abs=0.02 * math.sqrt(variance))
    spread = float(weight.abs().max()) / math.sqrt(3 * variance)
    assert 0.99 < spread <= 1 if uniform else spread > 1.5


def test_default_is_the_heuristic_and_touches_nothing() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(300, 400)
    before = layer.weight.clone()
    default(layer)
    assert torch.equal(layer.weight, before)
    assert layer.bias.abs().max() > 0
    assert layer.weight.var().item() == pytest.approx(1 / (3 * 300), rel=0.02)


@pytest.mark.parametrize(
    "initialise", [he_normal, he_uniform, glorot_normal, glorot_uniform, lecun_normal]
)
def test_a_model_gets_all_its_weights_and_keeps_its_norms(initialise: Initialiser) -> None:
    noise = partial(InformationNoise, prior="log_normal")
    model = AllCNN(1, (16, 16), 3, noise, blocks=[4, 6], activation="softplus", dense=True)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    initialise(model)
    affine = {
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    }
    assert {"noisy.D1.affine.weight", "noisy.D1.raw.weight", "dense.weight"} <= affine
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in affine | {"dense.bias"}), name
    assert torch.equal(model.noisy["D1"].raw.bias, torch.zeros(4))


def test_same_seed_same_weights() -> None:
    assert torch.equal(conv_weight(he_normal), conv_weight(he_normal))


def test_he_over_fan_in_xavier_is_exactly_two_to_the_depth() -> None:
    """A ReLU net without bias is homogeneous, so no statistics are needed."""
    depth = 10
    model = nn.Sequential(*(nn.Linear(16, 16, bias=False) for _ in range(depth))).double()
    x = torch.rand(32, 16, dtype=torch.float64)

    def outputs(slope: float) -> list[float]:
        torch.manual_seed(0)
        he_normal(model, slope=slope)
        y, variances = x, []
        for layer in model:
            y = layer(y)
            variances.append(float(y.detach().var()))
            y = y.relu()
        return variances

    he, xavier = outputs(0.0), outputs(1.0)
    ratios = [math.log2(a / b) for a, b in zip(he, xavier, strict=True)]
    assert ratios == pytest.approx(range(1, depth + 1), abs=1e-9)


def test_lecun_keeps_the_variance_of_linear_units_and_halves_that_behind_relu() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(500, 4000).double()
    lecun_normal(layer)
    x = torch.randn(500, 500, dtype=torch.float64)
    with torch.no_grad():
        assert float(layer(x).var()) == pytest.approx(1, rel=0.02)
        assert float(layer(x.relu()).var(dim=1).mean()) == pytest.approx(0.5, rel=0.02)


def test_unknown_mode() -> None:
    with pytest.raises(ValueError, match="^mode=fan_avg: must be one of fan_in, fan_out.$"):
        he_normal(nn.Linear(2, 2), mode="fan_avg")


def test_the_tutorials_weights_are_fixed_digits() -> None:
    """Numpy's legacy generator: an integer first, then (in, out) in rows."""
    layer = nn.Linear(784, 500)
    tutorial(layer)
    random = np.random.RandomState(123)
    random.randint(2**30)
    bound = 4 * (6 / 1284) ** 0.5
    expected = random.uniform(-bound, bound, (784, 500)).astype(np.float32)
    assert bound == pytest.approx(0.27344, abs=1e-5)
    assert np.array_equal(layer.weight.detach().numpy(), expected.T)
    assert not layer.bias.any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numpy_seed": -1}, r"^numpy_seed=-1: must be 0 to 4294967295\.$"),
        ({"gain": 0.0}, r"^gain=0\.0: must be a positive number\.$"),
    ],
)
def test_what_is_no_seed_or_gain(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tutorial(nn.Linear(2, 3), **options)
