from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ibdrop.models.lenet import LeNet
from ibdrop.noise import draws
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise


def tiny(image_size: tuple[int, int] = (11, 12), **options: Any) -> LeNet:
    torch.manual_seed(0)
    noise = options.pop("noise", InformationNoise)
    return LeNet(2, image_size, 4, noise, **{"channels": [3, 5], "width": 8, **options})


def images(height: int = 11, width: int = 12) -> Tensor:
    return torch.rand(6, 2, height, width, generator=torch.Generator().manual_seed(0))


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("noisy_convs", [False, True])
def test_the_posts_network_on_mnist(noisy_convs: bool) -> None:
    model = LeNet(1, (28, 28), 10, BinaryNoise, noisy_convs=noisy_convs)
    convolutions = (9 * 1 * 16 + 16) + (9 * 16 * 32 + 32)
    dense = (1152 * 1000 + 1000) + (1000 * 1000 + 1000) + (1000 * 10 + 10)
    assert count(model) == convolutions + dense == 2_168_810
    affine = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in affine] == [
        (16, 1, 3, 3),
        (32, 16, 3, 3),
        (1000, 1152),
        (1000, 1000),
        (10, 1000),
    ]
    assert all(layer.bias is not None for layer in affine)


def test_maps_of_the_post() -> None:
    """28 - 26 - 13 - 11 - 6; without the incomplete windows it would be 5, and 800 inputs."""
    model = LeNet(1, (28, 28), 10, NoNoise)
    shapes = []
    for layer in (*model.convs.values(), model.dense["D1"]):
        layer.register_forward_hook(
            lambda _, given, got: shapes.append((given[0].shape[1:], getattr(got, "shape", None)))
        )
    model(torch.rand(3, 1, 28, 28))
    assert [tuple(given) for given, _ in shapes] == [(1, 28, 28), (16, 13, 13), (1152,)]
    assert [tuple(got) for _, got in shapes if got is not None] == [
        (3, 16, 26, 26),
        (3, 32, 11, 11),
    ]


@pytest.mark.parametrize(("height", "width"), [(28, 28), (11, 12), (12, 13), (9, 10), (7, 7)])
@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_against_the_layers_written_out(height: int, width: int, activation: str) -> None:
    """Incomplete windows by hand: minus infinity added on the right and below."""
    model = tiny((height, width), noise=NoNoise, activation=activation).double()
    phi = {"relu": F.relu, "softplus": F.softplus}[activation]
    x = images(height, width).double()
    found = model(x).logits
    for conv in model.convs.values():
        x = phi(F.conv2d(x, conv.weight, conv.bias))
        odd = (0, x.shape[3] % 2, 0, x.shape[2] % 2)
        x = F.max_pool2d(F.pad(x, odd, value=-torch.inf), 2)
    x = x.flatten(1)
    for layer in model.dense.values():
        x = phi(x @ layer.affine.weight.T + layer.affine.bias)
    torch.testing.assert_close(found, x @ model.out.weight.T + model.out.bias)


def test_noise_on_the_dense_layers_alone() -> None:
    prediction = tiny()(images())
    assert prediction.logits.shape == (6, 4)
    assert {name: kl.shape for name, kl in prediction.kls.items()} == {"D1": (6, 8), "D2": (6, 8)}


def test_noise_on_the_convolutions_too_comes_before_pooling() -> None:
    layers = tiny(noisy_convs=True)(images()).layers
    assert {name: tuple(layer.z.shape) for name, layer in layers.items()} == {
        "C1": (6, 3, 9, 10),
        "C2": (6, 5, 3, 3),
        "D1": (6, 8),
        "D2": (6, 8),
    }
    for name, layer in layers.items():
        assert layer.kl is not None, name
        assert layer.kl.shape == layer.z.shape, name
        assert layer.kl.isfinite().all(), name


def test_as_many_convolutions_as_channels() -> None:
    layers = tiny((15, 15), channels=[3, 4, 5], noisy_convs=True)(images(15, 15)).layers
    assert list(layers) == ["C1", "C2", "C3", "D1", "D2"]
    assert layers["C3"].z.shape == (6, 5, 1, 1)
    assert list(tiny((3, 3), channels=[3], noisy_convs=True)(images(3, 3)).layers) == [
        "C1",
        "D1",
        "D2",
    ]


@pytest.mark.parametrize("noisy_convs", [False, True])
@pytest.mark.parametrize("activation", ["relu", "softplus"])
def test_every_parameter_gets_a_gradient(activation: str, noisy_convs: bool) -> None:
    model = tiny(activation=activation, noisy_convs=noisy_convs)
    prediction = model(images())
    loss = prediction.logits.square().sum() + sum(kl.sum() for kl in prediction.kls.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_evaluation_is_deterministic_and_sampling_is_asked_for() -> None:
    model = tiny(noise=BinaryNoise, noisy_convs=True).eval()
    first = model(images()).logits
    assert torch.equal(first, model(images()).logits)
    assert not torch.equal(first, model(images(), sample=True).logits)
    model.train()
    assert torch.equal(first, model(images(), sample=False).logits)
    assert not torch.equal(first, model(images()).logits)


def test_half_of_the_dense_units_are_off() -> None:
    model = tiny(noise=BinaryNoise, width=400, activation="softplus")
    for name, layer in model(images()).layers.items():
        off = float((layer.z == 0).float().mean())
        assert off == pytest.approx(0.5, abs=5 * 0.5 / (6 * 400) ** 0.5), name


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    model, other = tiny(noisy_convs=True), tiny(noisy_convs=True, noise=InformationNoise)
    with torch.no_grad():
        model.out.bias.fill_(3.0)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(model.eval()(images()).logits, other.eval()(images()).logits)


def test_channels_last_changes_nothing() -> None:
    model = tiny(noisy_convs=True).eval()
    expected = model(images())
    model = model.to(memory_format=torch.channels_last)
    found = model(images().to(memory_format=torch.channels_last))
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.kls["C2"], expected.kls["C2"])


@pytest.mark.parametrize("sample", [None, True, False])
def test_one_graph_without_breaks(sample: bool | None) -> None:
    compiled = torch.compile(tiny(noisy_convs=True), fullgraph=True, backend="eager")
    assert list(compiled(images(), sample=sample).kls) == ["C1", "C2", "D1", "D2"]


@pytest.mark.parametrize("noisy_convs", [False, True])
def test_it_can_be_traced(noisy_convs: bool) -> None:
    model = tiny(noise=BinaryNoise, noisy_convs=noisy_convs).eval()
    tracer = fx.Tracer(autowrap_functions=(draws.dropout,))
    graph = tracer.trace(model, concrete_args={"sample": True})
    drawn = [node for node in graph.nodes if node.target is draws.dropout]
    assert len(drawn) == (4 if noisy_convs else 2)
    traced = fx.GraphModule(model, graph)
    torch.manual_seed(1)
    expected = model(images(), sample=True).logits
    torch.manual_seed(1)
    assert torch.equal(traced(images(), True).logits, expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width=0: a dense layer needs at least 1 unit."),
        (
            {"channels": []},
            "channels=[]: must be one number of at least 1 for each convolution.",
        ),
        (
            {"channels": [3, 0]},
            "channels=[3, 0]: must be one number of at least 1 for each convolution.",
        ),
        ({"activation": "gelu"}, "activation=gelu: must be one of relu, softplus."),
        (
            {"image_size": (40, 6)},
            "images of 40 x 6 pixels are too small: 2 convolutions with pooling need at least "
            "7 x 7; shorten channels=[3, 5].",
        ),
        (
            {"image_size": (14, 14), "channels": [3, 4, 5]},
            "images of 14 x 14 pixels are too small: 3 convolutions with pooling need at least "
            "15 x 15; shorten channels=[3, 4, 5].",
        ),
        (
            {"noise": partial(InformationNoise, prior="log_normal")},
            "prior=log_normal needs activation=softplus: "
            "log f(x) does not exist where ReLU gives 0",
        ),
    ],
)
def test_ranges(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tiny(**options)
