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
    delta_orthogonal,
    gaussian001,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    heuristic_uniform,
    lecun_normal,
    lecun_uniform,
    lsuv,
    noisy_he,
    orthogonal,
    torch_default,
    tutorial,
)
from ibdrop.models.allcnn import AllCNN
from ibdrop.noise.information import InformationNoise

Initialiser = Callable[[nn.Module], object]


def conv_weight(initialise: Initialiser, groups: int = 1) -> Tensor:
    torch.manual_seed(0)
    conv = nn.Conv2d(40 * groups, 120 * groups, 3, groups=groups)
    initialise(nn.Sequential(conv))
    assert conv.bias is not None
    assert not conv.bias.any()
    return conv.weight.detach()


FAN_IN, FAN_OUT = 9 * 40, 9 * 120


@pytest.mark.parametrize("groups", [1, 2])
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
        (partial(he_normal, mode="fan_avg"), 4 / (FAN_IN + FAN_OUT), False),
        (partial(he_uniform, mode="fan_avg", gain=3.0), 18 / (FAN_IN + FAN_OUT), True),
        (partial(he_normal, gain="linear"), 1 / FAN_IN, False),
        (partial(he_normal, gain="tanh"), 2.53618 / FAN_IN, False),
        (lecun_normal, 1 / FAN_IN, False),
        (lecun_uniform, 1 / FAN_IN, True),
        (heuristic_uniform, 1 / 3 / FAN_IN, True),
        (gaussian001, 1e-4, False),
        (partial(gaussian001, std=0.3), 0.09, False),
        (noisy_he, 2 / FAN_IN, False),
        (partial(noisy_he, distribution="uniform"), 2 / FAN_IN, True),
        (orthogonal, 2 / FAN_IN, False),
        (lsuv, 1 / FAN_IN, False),
    ],
)
def test_variance_and_shape(
    initialise: Initialiser, variance: float, uniform: bool, groups: int
) -> None:
    """About 43,000 weights in a group: 3 % are four standard errors of a normal's variance."""
    weight = conv_weight(initialise, groups)
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
    "initialise",
    [
        delta_orthogonal,
        gaussian001,
        glorot_normal,
        glorot_uniform,
        he_normal,
        he_uniform,
        heuristic_uniform,
        lecun_normal,
        lecun_uniform,
        lsuv,
        noisy_he,
        orthogonal,
    ],
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
    """A ReLU net without bias is homogeneous, so no statistics are needed.

    Weights are multiplied by sqrt(1/2) in float64, whose rounding 30 layers add up to 1e-14.
    """
    depth = 30
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


def test_torch_draws_the_heuristic() -> None:
    """kaiming_uniform_ with a slope of sqrt 5 is uniform within 1 / sqrt(fan_in)."""
    assert torch_default is default
    for make in (partial(nn.Linear, 360, 120), partial(nn.Conv2d, 40, 120, 3)):
        torch.manual_seed(0)
        layer: nn.Module = make()
        assert isinstance(layer.weight, Tensor)
        weight = layer.weight.detach().clone()
        bound = 1 / math.sqrt(360)
        assert 0.999 * bound < float(weight.abs().max()) <= bound
        torch.manual_seed(0)
        heuristic_uniform(layer)
        assert torch.allclose(layer.weight, weight, rtol=1e-6, atol=1e-8)


def test_glorot_draws_as_torch_does() -> None:
    for ours, theirs in (
        (glorot_uniform, nn.init.xavier_uniform_),
        (glorot_normal, nn.init.xavier_normal_),
    ):
        weight = conv_weight(ours)
        torch.manual_seed(0)
        conv = nn.Conv2d(40, 120, 3)
        assert torch.equal(theirs(conv.weight), weight)


def test_a_truncated_normal_ends_at_two_deviations_and_has_he_s_variance() -> None:
    weight = conv_weight(partial(he_normal, truncated=True))
    deviation = math.sqrt(2 / FAN_IN)
    assert float(weight.std()) == pytest.approx(deviation, rel=0.02)
    end = 2 * deviation / 0.8796256610342398
    assert 0.999 * end < float(weight.abs().max()) <= end


def test_what_a_hundredth_does_to_vgg() -> None:
    """He et al., section 2.2: from conv10 to conv2 of model B the gradient shrinks to 1/17000.

    Per layer it falls by the ratio of the right standard deviation to 0.01.
    """
    product = exact = 1.0
    for channels, published, times in ((64, 59, 1), (128, 42, 2), (256, 29, 2), (512, 21, 4)):
        conv = nn.Conv2d(channels, channels, 3, bias=False)
        torch.manual_seed(0)
        he_normal(conv, mode="fan_out")
        right = float(conv.weight.detach().std())
        assert right == pytest.approx(published / 1000, abs=6e-4)
        gaussian001(conv)
        assert right / float(conv.weight.detach().std()) == pytest.approx(published / 10, abs=0.06)
        product *= (published / 10) ** times
        exact *= (math.sqrt(2 / (9 * channels)) / 0.01) ** times
    assert product == pytest.approx(1.7e4, rel=0.02)
    assert exact == pytest.approx(1.7e4, rel=0.03)


@pytest.mark.parametrize("std", [0.0, -1.0, math.inf])
def test_what_is_no_standard_deviation(std: float) -> None:
    message = rf"^std={std}: a standard deviation must be a number above 0\.$"
    with pytest.raises(ValueError, match=message):
        gaussian001(nn.Linear(2, 2), std=std)


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
