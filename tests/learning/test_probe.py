from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.initialisers import he_normal, lecun_normal
from ibdrop.learning.probe import probe, summary
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.base import NoisyLayer
from ibdrop.models.deepnet import DeepNet
from ibdrop.models.lenet import LeNet
from ibdrop.models.mlp import MLP
from ibdrop.noise.base import NoiseFactory
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise
from ibdrop.noise.variational import VariationalNoise

SIDE, CLASSES = 12, 10
Init = Callable[[nn.Module], object]


def images(count: int = 16, side: int = SIDE) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, 1, side, side, generator=random), torch.arange(count) % CLASSES


def deep(init: Init, noise: NoiseFactory = NoNoise, seed: int = 0, **options: Any) -> DeepNet:
    torch.manual_seed(seed)
    model = DeepNet(1, (SIDE, SIDE), CLASSES, noise, **options)
    init(model)
    return model


@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_xavier_halves_he_exactly_in_every_layer(kind: str) -> None:
    """ReLU nets without bias are homogeneous: layer l loses 2^-l of He's variance, on any data."""
    x, labels = images()
    options = {"kind": kind, "layers": 30, "width": 32, "dense": 16}
    he, xavier = (
        probe(deep(init, **options).double(), x.double(), labels, 0)
        for init in (he_normal, lecun_normal)
    )
    assert len(he) == 30
    for row, other in zip(he, xavier, strict=True):
        # The weights are drawn in single precision, whose rounding grows with depth.
        ratio = other["variance"] / row["variance"]
        assert ratio == pytest.approx(2.0 ** -row["layer"], rel=2e-6)
        assert other["cosine"] == pytest.approx(row["cosine"], abs=1e-5)
    along = [rows[0]["gradient"] / rows[-1]["gradient"] for rows in (he, xavier)]
    assert along[1] / along[0] == pytest.approx(2.0**-29, rel=0.5)


def test_scaled_weights_lose_2_to_the_minus_l_to_float_precision() -> None:
    x, labels = images()
    model = deep(he_normal, layers=30, width=32).double()
    before = probe(model, x.double(), labels, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.5**0.5)
    after = probe(model, x.double(), labels, 0)
    for row, other in zip(before, after, strict=True):
        ratio = other["variance"] / row["variance"]
        assert ratio == pytest.approx(2.0 ** -row["layer"], rel=1e-12)


def test_wide_layers_do_what_is_predicted() -> None:
    x, labels = images(64)
    found: dict[str, list[float]] = {}
    for seed in range(4):
        rows = probe(deep(he_normal, seed=seed, layers=8, width=1024), x, labels, 0)
        for row in rows[:-1]:
            for name in ("variance", "gradient", "cosine"):
                found.setdefault(name, []).append(row[name] / row[f"{name}_predicted"])
    assert {name: statistics.fmean(ratios) for name, ratios in found.items()} == pytest.approx(
        {"variance": 1.0, "gradient": 1.0, "cosine": 1.0}, abs=0.05
    )


def test_biases_of_pytorchs_default_are_counted() -> None:
    x, labels = images(64)
    rows = probe(deep(lambda model: None, layers=12, width=1024), x, labels, 0)
    for row in rows[:-1]:
        assert row["variance"] == pytest.approx(row["variance_predicted"], rel=0.25)
        assert row["cosine"] == pytest.approx(row["cosine_predicted"], abs=0.05)


def test_measures_are_those_of_the_network_written_out() -> None:
    x, labels = images()
    model = deep(he_normal, layers=3, width=7)
    weights = [layer.weight for layer in model.modules() if isinstance(layer, nn.Linear)]
    h, ys = x.flatten(1), []
    for weight in weights:
        ys.append(h @ weight.T)
        h = ys[-1].relu()
    gradients = torch.autograd.grad(F.cross_entropy(ys[-1], labels), ys + weights)
    for place, row in enumerate(probe(model, x, labels, 0)):
        y = ys[place].detach()
        assert row["variance"] == pytest.approx(float(y.var(correction=0)), rel=1e-5)
        slope = float(gradients[place].var(correction=0))
        assert row["gradient"] == pytest.approx(slope, rel=1e-5)
        norm = float(gradients[3 + place].norm())
        assert row["weight_gradient"] == pytest.approx(norm, rel=1e-5)
        pairs = [float(F.cosine_similarity(a, b, 0)) for i, a in enumerate(y) for b in y[:i]]
        assert row["cosine"] == pytest.approx(statistics.fmean(pairs), abs=1e-5)
        dead = None if place == 2 else float((y <= 0).all(0).float().mean())
        assert row["dead"] == dead
    assert row["logit_deviation"] == pytest.approx(row["variance"] ** 0.5)


def test_the_network_is_left_alone() -> None:
    x, labels = images()
    model = deep(he_normal, noise=BinaryNoise, layers=4, width=8, batch_norm=True)
    model.hidden["D2"].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    rows = probe(model, x, labels, 0)
    assert rows == probe(model, x, labels, 0) != probe(model, x, labels, 1)
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]
    assert all(parameter.grad is None for parameter in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_also_after_an_error() -> None:
    x, labels = images()
    model = deep(he_normal, layers=3, width=8).eval()
    with pytest.raises(RuntimeError):
        probe(model, x[:, :, 1:], labels, 0)
    assert not model.training
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_noise_multiplies_by_its_second_moment() -> None:
    x, labels = images(64)
    model = deep(he_normal, noise=lambda c: BinaryNoise(c, rate=0.2), layers=10, width=256)
    rows = probe(model, x, labels, 0)
    assert [row["noise"] for row in rows] == 10 * ["on"] + 10 * ["off"]
    on, off = rows[:10], rows[10:]
    assert [row["mu2"] for row in on[:-1]] == pytest.approx(9 * [1.25], rel=0.05)
    assert {row["mu2"] for row in off} == {1.0}
    assert on[9]["variance_predicted"] / off[9]["variance_predicted"] == pytest.approx(
        1.25**9, rel=0.1
    )
    assert on[8]["variance"] == pytest.approx(on[8]["variance_predicted"], rel=0.5)
    assert on[8]["cosine"] < off[8]["cosine"]


def test_dead_units_are_counted() -> None:
    x, labels = images()
    for options in ({}, {"kind": "conv", "layers": 9, "channels": (8, 8, 8)}):
        model = deep(he_normal, **{"layers": 3, "width": 8, **options})
        layer = model.hidden["D2"]
        assert isinstance(layer, NoisyLayer)
        assert layer.affine.bias is not None
        with torch.no_grad():
            layer.affine.bias[:4] = -1e3
        rows = probe(model, x, labels, 0)
        assert rows[1]["dead"] >= 0.5
        assert rows[0]["dead"] < 0.5


@pytest.mark.parametrize("noise", [NoNoise, InformationNoise, VariationalNoise])
@pytest.mark.parametrize("merge", [True, False])
def test_every_classifier(noise: NoiseFactory, merge: bool) -> None:
    x, labels = images(side=32)
    spec = (1, (32, 32), CLASSES, noise)
    allcnn, lenet = AllCNN(*spec, width=0.1), LeNet(*spec, channels=(4, 6), width=20)
    for model in (allcnn, lenet, MLP(*spec, width=20)):
        he_normal(model)
        raw = 0
        for layer in model.modules():
            if isinstance(layer, NoisyLayer):
                layer.merge, raw = merge, raw + (layer.raw is not None)
        layers = sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in model.modules()) - raw
        rows = probe(model, x, labels, 0)
        states = 1 if noise is NoNoise else 2
        assert len(rows) == states * layers
        assert [row["layer"] for row in rows] == states * list(range(1, layers + 1))
        assert all(row["gradient"] > 0 for row in rows)
        assert "probe: over" in summary(rows)
    segments = [row["segment"] for row in probe(lenet, x, labels, 0)[:5]]
    assert segments == [1, 2, 3, 3, 3]


def test_batch_norm_explodes_gradients_backward_as_predicted() -> None:
    x, labels = images(128)
    model = deep(he_normal, layers=12, width=256, batch_norm=True)
    rows = probe(model, x, labels, 0)
    ratio = rows[0]["gradient"] / rows[-2]["gradient"]
    predicted = rows[0]["gradient_predicted"] / rows[-2]["gradient_predicted"]
    assert 10 < ratio < 3 * predicted


def test_the_sentence() -> None:
    first = {"variance": 2.0, "variance_predicted": 2.0}
    first |= {"gradient": 1e-9, "gradient_predicted": 2e-9}
    last = {"variance": 4e-9, "variance_predicted": 6e-9, "logit_deviation": 6.3e-5}
    last |= {"gradient": 0.5, "gradient_predicted": 0.5}
    assert summary([{"noise": "off"} | row for row in (first, last)]) == (
        "probe: over 2 layers the variance of activations changes by a factor of 2e-09 (predicted "
        "3e-09), that of gradients by 2e-09 (4e-09); the logits deviate by 6.3e-05"
    )
