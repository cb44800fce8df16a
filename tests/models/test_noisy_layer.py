from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.base import Noise, Noisy
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.information import InformationNoise


def conv_layer(noise: Noise, *, bias: bool = False, merge: bool | None = None) -> NoisyLayer:
    torch.manual_seed(0)
    affine = nn.Conv2d(3, noise.channels, 3, stride=2, padding=1, bias=bias)
    return NoisyLayer(affine, nn.BatchNorm2d(noise.channels), "relu", noise, merge)


def linear_layer(noise: Noise, *, bias: bool = False, merge: bool | None = None) -> NoisyLayer:
    torch.manual_seed(0)
    affine = nn.Linear(7, noise.channels, bias=bias)
    return NoisyLayer(affine, nn.Identity(), "softplus", noise, merge)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", ["contiguous", "channels_last", "linear"])
def test_merged_is_separate(kind: str, bias: bool) -> None:
    make = linear_layer if kind == "linear" else conv_layer
    one, two = (make(InformationNoise(5), bias=bias, merge=merge) for merge in (False, True))
    assert list(one.state_dict()) == list(two.state_dict())
    x = torch.randn(4, 7) if kind == "linear" else torch.randn(4, 3, 6, 6)
    if kind == "channels_last":
        x = x.to(memory_format=torch.channels_last)
    for layer in (one, two):
        torch.manual_seed(1)
        noisy = layer(x, sample=True)
        (noisy.z.square().sum() + noisy.kl.sum()).backward()
    torch.manual_seed(1)
    first = one(x, sample=True)
    torch.manual_seed(1)
    second = two(x, sample=True)
    torch.testing.assert_close(first.z, second.z, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(first.kl, second.kl, rtol=1e-6, atol=1e-6)
    for (name, p), q in zip(one.named_parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(
            p.grad, q.grad, rtol=1e-5, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_maps_are_as_many_as_asked_for_and_start_without_bias() -> None:
    class Two(NoNoise):
        maps = 2

        def forward(self, f: torch.Tensor, a: torch.Tensor | None, sample: bool) -> Noisy:
            assert a is not None
            assert a.shape == (f.shape[0], 2 * f.shape[1], *f.shape[2:])
            return Noisy(f)

    for merge in (False, True):
        layer = conv_layer(Two(5), merge=merge)
        assert layer.raw is not None
        assert layer.raw.bias is not None
        assert torch.equal(layer.raw.bias, torch.zeros(10))
        assert layer(torch.rand(2, 3, 6, 6), sample=True).z.shape == (2, 5, 3, 3)


def test_a_noise_without_maps_has_no_second_layer() -> None:
    layer = conv_layer(BinaryNoise(5))
    assert layer.raw is None
    assert not [name for name in layer.state_dict() if name.startswith("raw")]


def test_log_normal_needs_softplus() -> None:
    noise = InformationNoise(5, prior="log_normal")
    message = (
        "prior=log_normal needs activation=softplus: log f(x) does not exist where ReLU gives 0"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        NoisyLayer(nn.Linear(7, 5), nn.Identity(), "relu", noise)
    NoisyLayer(nn.Linear(7, 5), nn.Identity(), "softplus", noise)


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="^activation=tanh: must be one of relu, softplus.$"):
        NoisyLayer(nn.Linear(7, 5), nn.Identity(), "tanh", NoNoise(5))


def test_prediction_gives_only_the_prices_there_are() -> None:
    f = torch.ones(1)
    layers = {"D0": Noisy(f), "D1": Noisy(f, kl=f)}
    assert list(Prediction(f, layers).kls) == ["D1"]
