from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ibdrop.models.allcnn import AllCNN, blocks_for
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise


def tiny(**options: Any) -> AllCNN:
    torch.manual_seed(0)
    noise = options.pop("noise", InformationNoise)
    return AllCNN(1, (16, 16), 4, noise, **{"blocks": [4, 6], **options})


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("size", "blocks", "names"),
    [
        (28, (96, 192), ["D1", "D2"]),
        (39, (96, 192), ["D1", "D2"]),
        (40, (16, 32, 48, 96), ["D0", "D1", "D2", "D3"]),
        (63, (16, 32, 48, 96), ["D0", "D1", "D2", "D3"]),
        (64, (32, 64, 96, 192), ["D0", "D1", "D2", "D3"]),
    ],
)
def test_blocks_by_image_size(size: int, blocks: tuple[int, ...], names: list[str]) -> None:
    assert blocks_for((size, size + 100)) == blocks_for((size + 100, size)) == blocks
    model = AllCNN(1, (size, size), 10, NoNoise, width=1 / 16)
    assert list(model.noisy) == names
    assert [layer.noise.channels for layer in model.noisy.values()] == [c // 16 for c in blocks]


def test_evaluation_is_deterministic_and_sampling_is_asked_for() -> None:
    model = tiny().eval()
    x = images()
    first = model(x)
    assert torch.equal(first.logits, model(x).logits)
    torch.manual_seed(0)
    drawn = model(x, sample=True).logits
    assert not torch.equal(first.logits, drawn)
    torch.manual_seed(0)
    assert torch.equal(drawn, model(x, sample=True).logits)


def test_every_parameter_gets_a_gradient() -> None:
    for options in ({}, {"activation": "softplus", "noise": log_normal()}, {"conv_bias": True}):
        model = tiny(dense=True, **options)
        prediction = model(images(8))
        loss = prediction.logits.square().sum() + sum(kl.sum() for kl in prediction.kls.values())
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            # A shift before batch norm changes nothing.
            if not (options.get("conv_bias") and name.endswith("bias")):
                assert parameter.grad.abs().max() > 0, name


def log_normal() -> partial[InformationNoise]:
    return partial(InformationNoise, prior="log_normal")


def test_norm_scale_off_fixes_the_scale_at_one() -> None:
    model = tiny(norm_scale=False)
    model(images()).logits.sum().backward()
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 9
    for norm in norms:
        assert norm.eps == 1e-3
        assert not norm.weight.requires_grad
        assert norm.weight.grad is None
        assert torch.equal(norm.weight, torch.ones_like(norm.weight))
        assert norm.bias.requires_grad


def test_the_last_convolution_has_the_activation_too() -> None:
    model = tiny(noise=NoNoise)
    logits = model(images()).logits.detach()
    assert logits.shape == (3, 4)
    assert float(logits.min()) >= 0


def test_the_head_keeps_the_positions() -> None:
    model = tiny()
    z = model(images()).layers["D2"].z
    assert z.shape == (3, 6, 4, 4)
    assert model.head(z).shape == (3, 4, 4, 4)


def test_state_survives_a_round_trip(tmp_path: Path) -> None:
    model = tiny(noise=log_normal(), activation="softplus", dense=True)
    model(images())
    torch.save(model.state_dict(), tmp_path / "state.pt")
    other = tiny(noise=log_normal(), activation="softplus", dense=True)
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    expected = model.eval()(images())
    found = other.eval()(images())
    assert torch.equal(expected.logits, found.logits)
    assert all(torch.equal(expected.kls[name], found.kls[name]) for name in expected.kls)


def test_channels_last_changes_nothing() -> None:
    model = tiny().eval()
    expected = model(images())
    model = model.to(memory_format=torch.channels_last)
    found = model(images().to(memory_format=torch.channels_last))
    torch.testing.assert_close(found.logits, expected.logits)
    torch.testing.assert_close(found.kls["D1"], expected.kls["D1"])


@pytest.mark.parametrize("sample", [None, True, False])
def test_one_graph_without_breaks(sample: bool | None) -> None:
    model = tiny(input_dropout=0.1)
    compiled = torch.compile(model, fullgraph=True, backend="eager")
    prediction = compiled(images(), sample=sample)
    assert list(prediction.kls) == ["D1", "D2"]


def test_double_precision_throughout() -> None:
    model = tiny(noise=log_normal(), activation="softplus").double()
    prediction = model(images().double())
    assert prediction.logits.dtype == torch.float64
    assert {kl.dtype for kl in prediction.kls.values()} == {torch.float64}


def test_autocast_keeps_the_price_wide() -> None:
    model = tiny()
    with torch.autocast("cpu", torch.bfloat16):
        prediction = model(images())
    assert {kl.dtype for kl in prediction.kls.values()} == {torch.float32}
    assert {layer.z.dtype for layer in prediction.layers.values()} == {torch.bfloat16}


def test_input_dropout_is_off_with_the_noise() -> None:
    model = tiny(noise=NoNoise, input_dropout=0.5)
    x = images()
    assert not torch.equal(model(x).logits, model(x).logits)
    assert torch.equal(model(x, sample=False).logits, model(x, sample=False).logits)
    model.eval()
    assert torch.equal(model(x, sample=True).logits, model(x).logits)


def test_binary_dropout_is_on_in_training_only() -> None:
    model = tiny(noise=BinaryNoise)
    x = images()
    share = (model(x).layers["D2"].z == 0).float().mean()
    assert share > (model(x, sample=False).layers["D2"].z == 0).float().mean() + 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": "large"}, "blocks=large: must be auto or a list of channels."),
        ({"blocks": []}, "blocks=[]: the network needs at least one block."),
        ({"width": 0.1}, "width=0.1: leaves a block of [4, 6] without channels."),
        ({"activation": "gelu"}, "activation=gelu: must be one of relu, softplus."),
        (
            {"input_dropout": 1.0},
            "input_dropout=1.0: the share switched off must be in [0, 1).",
        ),
        (
            {"noise": log_normal()},
            "prior=log_normal needs activation=softplus: "
            "log f(x) does not exist where ReLU gives 0",
        ),
    ],
)
def test_ranges(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        tiny(**options)
