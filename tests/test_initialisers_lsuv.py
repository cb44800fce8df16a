from __future__ import annotations

import logging
import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ibdrop.initialisers import lsuv
from ibdrop.initialisers.wiring import at_work
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.deepnet import DeepNet
from ibdrop.models.lenet import LeNet
from ibdrop.models.mlp import MLP
from ibdrop.models.vae import VAE
from ibdrop.noise.baselines import ConstantLogNormalNoise, NoNoise
from ibdrop.noise.information import InformationNoise
from ibdrop.noise.variational import VariationalNoise


def outputs(model: nn.Module, x: Tensor, **options: Any) -> dict[str, Tensor]:
    """What each layer puts out, before norm and activation."""
    found: dict[str, Tensor] = {}

    def remember(name: str, layer: nn.Module, args: Any, y: Tensor) -> None:
        found[name] = y

    hooks = [
        layer.register_forward_hook(partial(remember, name))
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Conv2d | nn.Linear)
    ]
    with at_work(model), torch.no_grad():
        model(x, **options)
    for hook in hooks:
        hook.remove()
    return found


information = partial(InformationNoise, max_alpha=0.7)
log_normal = partial(InformationNoise, prior="log_normal")


@pytest.mark.parametrize(
    "make",
    [
        partial(DeepNet, 1, (8, 8), 3, NoNoise, layers=12, width=40),
        partial(DeepNet, 1, (16, 16), 3, NoNoise, kind="conv", layers=10),
        partial(MLP, 1, (8, 8), 3, log_normal, width=30, activation="softplus"),
        partial(LeNet, 1, (8, 8), 3, information, channels=[4], width=30, noisy_convs=True),
        partial(AllCNN, 1, (16, 16), 3, information, blocks=[4, 6], dense=True),
        partial(VAE, 1, (8, 8), 3, NoNoise, hidden=[20]),
    ],
)
def test_every_layer_has_unit_variance_on_the_batch(make: Any) -> None:
    torch.manual_seed(0)
    model, x = make().train(), torch.rand(64, 1, *make.args[1])
    before = {name: b.clone() for name, b in model.named_buffers()}
    lsuv(model)(x)
    for name, y in outputs(model, x).items():
        assert float(y.var()) == pytest.approx(1, abs=0.1), name
    assert all(part.training for part in model.modules())
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, before[name]), name


def test_the_model_comes_back_as_it_was() -> None:
    torch.manual_seed(0)
    model = AllCNN(1, (16, 16), 3, information, blocks=[4, 6])
    model.eval()
    model.head.train()
    model.noisy["D1"].merge = True
    modes = [part.training for part in model.modules()]
    adjust, x = lsuv(model), torch.rand(8, 1, 16, 16)
    state = torch.get_rng_state()
    adjust(x)
    assert torch.equal(torch.get_rng_state(), state)
    assert [part.training for part in model.modules()] == modes
    assert model.noisy["D1"].merge is True
    assert model.noisy["D2"].merge is None
    assert not any(part._forward_hooks for part in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())


def test_also_where_it_fails() -> None:
    model = MLP(1, (8, 8), 3, NoNoise, width=5)
    model.train()
    message = (
        r"^lsuv cannot rescale hidden\.D1\.affine, whose output on a training batch has "
        r"variance 0; init=he_normal needs no batch\.$"
    )
    with pytest.raises(ValueError, match=message):
        lsuv(model)(torch.zeros(4, 1, 8, 8))
    assert model.training
    assert not any(part._forward_hooks for part in model.modules())


def test_the_weights_stay_orthogonal_and_the_scales_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    torch.manual_seed(0)
    model = MLP(1, (8, 8), 3, NoNoise, width=20, depth=2)
    with caplog.at_level(logging.INFO, "ibdrop.initialisers.lsuv"):
        lsuv(model)(torch.rand(64, 1, 8, 8))
    weight = model.hidden["D2"].affine.weight.detach()
    square = float(weight.square().sum()) / 20
    assert torch.allclose(weight @ weight.T, square * torch.eye(20), atol=1e-4)
    (line,) = caplog.messages
    assert line.startswith("lsuv: orthogonal weights were multiplied by hidden.D1.affine ")
    assert f"hidden.D2.affine {square**0.5:.4g}" in line


def test_with_the_noise_on_the_noisy_net_has_unit_variance() -> None:
    torch.manual_seed(0)
    noise = partial(ConstantLogNormalNoise, alpha=0.7)
    model = DeepNet(1, (8, 8), 3, noise, layers=6, width=400)
    x = torch.randn(256, 1, 8, 8)
    lsuv(model, noise_on=True, tolerance=0.01)(x)
    loud = [float(y.var()) for y in outputs(model, x, sample=True).values()]
    quiet = [float(y.var()) for y in outputs(model, x).values()]
    assert loud == pytest.approx([1.0] * 6, abs=0.25)
    assert quiet[-1] == pytest.approx(math.exp(-0.98 * 5), rel=0.4)


def test_noise_in_the_weights_is_no_obstacle() -> None:
    torch.manual_seed(0)
    model = MLP(1, (8, 8), 3, partial(VariationalNoise, at="weights"), width=30)
    lsuv(model, noise_on=True)(torch.rand(64, 1, 8, 8))
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tolerance": 0.0}, r"^tolerance=0\.0: how far the variance is from 1, in \(0, 1\)\.$"),
        ({"tries": 0}, r"^tries=0: a layer must be rescaled at least once\.$"),
    ],
)
def test_what_lsuv_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        lsuv(nn.Linear(2, 2), **options)
