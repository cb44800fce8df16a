from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.initialisers import he_normal, noisy_he
from ibdrop.initialisers.wiring import at_work, wiring
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.deepnet import DeepNet
from ibdrop.models.lenet import LeNet
from ibdrop.models.mlp import MLP
from ibdrop.noise.base import NoiseFactory
from ibdrop.noise.baselines import BinaryNoise, ConstantLogNormalNoise, GaussianNoise, NoNoise
from ibdrop.noise.information import InformationNoise
from ibdrop.noise.variational import VariationalNoise

LOUD = math.exp(0.98)
log_normal = partial(ConstantLogNormalNoise, alpha=0.7)


def moments(model: nn.Module, side: int) -> dict[str, float]:
    found = wiring(model, torch.rand(2, 1, side, side))
    return {name: place.moment for name, place in found.items()}


def test_an_mlp_has_noise_before_each_layer_but_the_first() -> None:
    assert moments(MLP(1, (8, 8), 3, log_normal, width=5), 8) == pytest.approx(
        {"hidden.D1.affine": 1, "hidden.D2.affine": LOUD, "hidden.D3.affine": LOUD, "out": LOUD}
    )


def test_noise_is_followed_through_pooling_and_flattening() -> None:
    model = LeNet(1, (16, 16), 3, log_normal, channels=[3, 4], width=6, noisy_convs=True)
    found = moments(model, 16)
    assert found.pop("convs.C1.affine") == 1
    assert list(found) == ["convs.C2.affine", "dense.D1.affine", "dense.D2.affine", "out"]
    assert list(found.values()) == pytest.approx([LOUD] * 4)


def test_only_the_layer_behind_a_noisy_one_notices() -> None:
    """In the order of execution, which is not that of the modules, and with the raw maps."""
    noise = partial(InformationNoise, max_alpha=0.7)
    model = AllCNN(1, (16, 16), 3, noise, blocks=[4, 6])
    before = model.noisy["D1"].merge
    found = moments(model, 16)
    assert [name for name, moment in found.items() if moment != 1] == ["plain.1.0", "head.0"]
    assert found["head.0"] == pytest.approx(math.exp(2 * 0.351**2))
    assert {"noisy.D1.affine", "noisy.D1.raw"} <= set(found)
    assert model.noisy["D1"].merge is before


def test_raw_maps_know_the_noise_of_their_input_too() -> None:
    noise = partial(InformationNoise, max_alpha=0.7)
    found = moments(MLP(1, (8, 8), 3, noise, width=5, depth=2), 8)
    assert found["hidden.D2.raw"] == found["hidden.D2.affine"] > 1
    assert found["hidden.D1.raw"] == 1


@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_deep_stacks(kind: Any) -> None:
    noise = partial(BinaryNoise, rate=0.5)
    found = moments(DeepNet(1, (16, 16), 3, noise, kind=kind, layers=10, noise_every=3), 16)
    assert list(found.values()) == [1, 1, 1, 2, 1, 1, 2, 1, 1, 2]


class Branches(nn.Module):
    """Noise twice in a row, branches that meet, and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = (nn.Linear(6, 6) for _ in range(4))
        self.once, self.twice = BinaryNoise(6, rate=0.5), GaussianNoise(6, sd=1.0)
        self.norm = nn.LayerNorm(6)

    def forward(self, x: Tensor, sample: bool = False) -> Tensor:
        f = F.relu(self.a(x))
        once = self.once(f, None, sample).z
        twice = self.twice(self.once(f, None, sample).z, None, sample).z
        y = self.b(torch.stack([twice, f]).sum(0) + self.c(once))
        z = self.once(F.relu(y), None, sample).z
        return self.d(self.norm(z))


def test_noise_in_a_row_multiplies_and_a_norm_ends_it() -> None:
    found = wiring(Branches(), torch.rand(2, 6))
    assert {name: place.moment for name, place in found.items()} == {
        "a": 1,
        "c": 2,
        "b": 4,
        "d": 1,
    }


@pytest.mark.parametrize(
    ("noise", "factor"),
    [
        (partial(BinaryNoise, rate=0.2), 0.8),
        (partial(GaussianNoise, sd=0.5), 0.8),
        (log_normal, 1 / 2.664),
        (partial(ConstantLogNormalNoise, alpha=0.7, unit_mean=True), math.exp(-0.49)),
        (partial(VariationalNoise, initial_alpha=0.25), 0.8),
        (NoNoise, 1.0),
    ],
)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_the_variance_of_the_weights(
    noise: NoiseFactory, factor: float, distribution: Any
) -> None:
    """65,000 weights: 3 % are over five standard errors."""
    torch.manual_seed(0)
    model = MLP(1, (8, 8), 3, noise, width=256, depth=2)
    noisy_he(model, distribution=distribution)(torch.rand(4, 1, 8, 8))
    first, second = (model.hidden[name].affine.weight.detach().var() for name in ("D1", "D2"))
    assert float(first) * 64 / 2 == pytest.approx(1, rel=0.05)
    assert float(second) * 256 / 2 == pytest.approx(factor, rel=0.03)


def test_information_noise_is_averaged_over_the_raw_maps_that_the_inputs_give() -> None:
    noise = partial(InformationNoise, max_alpha=0.7)
    x = torch.randn(100, 1, 8, 8)
    weights = []
    for raw_sd in (None, math.sqrt(2) * float(x.square().mean().sqrt()), 0.0):
        torch.manual_seed(0)
        model = MLP(1, (8, 8), 3, noise, width=30, depth=2)
        noisy_he(model, raw_sd=raw_sd)(x)
        weights.append(model.out.weight.detach().square().sum())
    assert float(weights[0]) == pytest.approx(float(weights[1]))
    assert float(weights[2] / weights[0]) == pytest.approx(1.419 / 1.279, abs=0.01)


def mean_squares(model: nn.Module, x: Tensor, sample: bool) -> Tensor:
    """Of the pre-activations of each layer, in float64, with shape (L)."""
    found: list[Tensor] = []

    def remember(layer: nn.Module, args: Any, y: Tensor) -> None:
        found.append(y.square().mean())

    hooks = [
        layer.register_forward_hook(remember)
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear) and "raw" not in name
    ]
    with at_work(model), torch.no_grad():
        model(x, sample=sample)
    for hook in hooks:
        hook.remove()
    return torch.stack(found)


LAYERS = 13


def over_depth(initialise: Any, noise: NoiseFactory, sample: bool) -> float:
    """The log of the last layer's mean square over that of the first, averaged over four nets."""
    total = 0.0
    for seed in range(4):
        torch.manual_seed(seed)
        model = DeepNet(1, (8, 8), 300, noise, layers=LAYERS, width=300)
        x = torch.randn(60, 1, 8, 8)
        adjust = initialise(model)
        if adjust is not None:
            adjust(x)
        squares = mean_squares(model, x, sample)
        total += math.log(float(squares[-1] / squares[0])) / 4
    return total


@pytest.mark.parametrize(
    ("noise", "mu2"),
    [
        (partial(BinaryNoise, rate=0.5), 2.0),
        (partial(ConstantLogNormalNoise, alpha=0.5), math.exp(0.5)),
        (partial(InformationNoise, max_alpha=0.7), 1.419),
        (partial(VariationalNoise, at="weights", initial_alpha=0.6), 1.6),
    ],
)
def test_through_depth(noise: NoiseFactory, mu2: float) -> None:
    """With the noise on ours stays while He explodes; with it off ours shrinks and He stays.

    The log strays by 0.3 to 0.4 over 12 layers of width 300, so by 0.2 in the mean of four nets;
    0.7 is over three standard errors, and what is claimed is at least 12 log(1.419) = 4.2. He's
    raw maps grow with the signal, so under information noise he explodes a little faster.
    """
    claimed = (LAYERS - 1) * math.log(mu2)
    ours, he = (over_depth(one, noise, True) for one in (noisy_he, he_normal))
    assert ours == pytest.approx(0, abs=0.7)
    assert claimed - 0.7 < he < 1.5 * claimed + 0.7
    ours, he = (over_depth(one, noise, False) for one in (noisy_he, he_normal))
    assert ours == pytest.approx(-claimed, abs=0.7)
    assert he == pytest.approx(0, abs=0.7)


def test_the_same_weights_but_for_an_exact_factor() -> None:
    """Noise off, ours over He is the product of 1 / mu2, layer by layer, to float precision."""
    noise = partial(BinaryNoise, rate=0.5)
    squares = []
    for initialise in (noisy_he, he_normal):
        torch.manual_seed(0)
        model = DeepNet(1, (8, 8), 3, noise, layers=LAYERS, width=20).double()
        x = torch.randn(30, 1, 8, 8, dtype=torch.float64)
        adjust = initialise(model)
        if adjust is not None:
            adjust(x)
        squares.append(mean_squares(model, x, False))
    ratios = torch.log2(squares[1] / squares[0]).tolist()
    assert ratios == pytest.approx(range(LAYERS), abs=1e-9)


def test_the_moments_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    model = MLP(1, (8, 8), 3, partial(BinaryNoise, rate=0.5), width=5, depth=1)
    with caplog.at_level(logging.INFO, "ibdrop.initialisers.noisy"):
        noisy_he(model)(torch.rand(2, 1, 8, 8))
    assert caplog.messages == [
        "noisy_he: second moments of the noise before each layer: hidden.D1.affine 1, out 2"
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"distribution": "cauchy"}, r"^distribution=cauchy: must be one of normal, uniform\.$"),
        (
            {"raw_sd": -1.0},
            r"^raw_sd=-1\.0: a standard deviation must be a number of at least 0\.$",
        ),
        ({"gain": "auto"}, "^gain=auto: must be a number above 0, or one of relu, "),
    ],
)
def test_what_noisy_he_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        noisy_he(nn.Linear(2, 2), **options)
