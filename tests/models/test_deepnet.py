from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn

from ibdrop.models.base import NoisyLayer
from ibdrop.models.deepnet import DeepNet
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise

PAPER: dict[str, Any] = {
    "kind": "conv",
    "channels": (64, 128, 256),
    "kernel": 2,
    "stem": (7, 2, 3),
    "pyramid": (6, 3, 2, 1),
    "dense": 4096,
}


def tiny(**options: Any) -> DeepNet:
    torch.manual_seed(0)
    given = {"layers": 9, "width": 8, "channels": (3, 4, 5), "dense": 6, **options}
    return DeepNet(2, (12, 16), 3, given.pop("noise", NoNoise), **given)


def images() -> torch.Tensor:
    return torch.rand(4, 2, 12, 16, generator=torch.Generator().manual_seed(0))


def weight_layers(model: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize("layers", [14, 22, 30])
@pytest.mark.parametrize("kind", ["fc", "conv"])
def test_as_many_weight_layers_as_asked_for(kind: str, layers: int) -> None:
    model = tiny(kind=kind, layers=layers)
    assert len(weight_layers(model)) == layers
    assert model(images()).logits.shape == (4, 3)


def test_the_papers_small_model() -> None:
    with torch.device("meta"):
        model = DeepNet(3, (224, 224), 1000, NoNoise, layers=30, **PAPER)
    layers = weight_layers(model)
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [conv.out_channels for conv in convs] == [64] + 4 * [128] + 22 * [256]
    assert [layer.weight.shape[:2] for layer in layers[27:]] == [
        (4096, 50 * 256),
        (4096, 4096),
        (1000, 4096),
    ]


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_maps_keep_their_size_and_place(kernel: int) -> None:
    model = tiny(kind="conv", layers=30, kernel=kernel, channels=(1, 1, 1))
    point = torch.zeros(1, 1, 99, 99)
    point[0, 0, 49, 49] = 1
    for number in range(7, 27):
        layer = model.hidden[f"D{number}"]
        assert isinstance(layer, NoisyLayer)
        assert isinstance(layer.affine, nn.Conv2d)
        weight = torch.full_like(layer.affine.weight, 1 / kernel**2)
        padded = model.before[f"D{number}"](point)
        point = nn.functional.conv2d(padded, weight, padding=layer.affine.padding)
        assert point.shape == (1, 1, 99, 99)
    places = torch.arange(99.0)
    for axis in (2, 3):
        mass = point.sum(tuple({0, 1, 2, 3} - {axis}))
        assert float((mass * places).sum()) == pytest.approx(49.0, abs=1e-3)


@pytest.mark.parametrize("kind", ["fc", "conv"])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_every_parameter_gets_a_gradient(kind: str, batch_norm: bool) -> None:
    options = {"kind": kind, "batch_norm": batch_norm, "activation": "softplus"}
    model = tiny(noise=InformationNoise, **options)
    prediction = model(images())
    loss = prediction.logits.square().sum() + sum(kl.sum() for kl in prediction.kls.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
    assert any("norm.weight" in name for name, _ in model.named_parameters()) is batch_norm


def test_few_layers_are_reported_unless_they_have_information() -> None:
    assert list(tiny(noise=BinaryNoise)(images()).layers) == ["D8"]
    assert len(tiny(noise=InformationNoise)(images()).kls) == 8
    some = tiny(noise=InformationNoise, noise_every=3)
    assert list(some(images()).kls) == ["D3", "D6"]


def test_noise_is_drawn_on_demand() -> None:
    model = tiny(noise=BinaryNoise).eval()
    assert torch.equal(model(images()).logits, model(images()).logits)
    assert not torch.equal(model(images()).logits, model(images(), sample=True).logits)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kind": "rnn"}, "kind=rnn: must be fc or conv."),
        ({"layers": 1}, "layers=1: kind=fc needs at least 2."),
        ({"kind": "conv", "layers": 8}, "layers=8: kind=conv needs at least 9."),
        ({"noise_every": 0}, "noise_every=0: must be at least 1."),
        ({"width": 0}, "width=0: must be at least 1."),
        ({"channels": (3, 4)}, "channels=[3, 4]: must be three numbers of at least 1."),
        ({"pyramid": ()}, "pyramid=[]: must be some numbers of at least 1."),
        ({"dense": 0}, "dense=0: must be at least 1."),
        (
            {"kind": "conv", "stem": (7, 4, 3)},
            "images of 12 x 16 pixels are too small for kind=conv with stem=[7, 4, 3]: two "
            "poolings leave nothing of them.",
        ),
    ],
)
def test_objections(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        tiny(**options)
