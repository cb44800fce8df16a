from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

from ibdrop.models.generative import Autoencoder
from ibdrop.noise.base import Noise

CONF = Path(__file__).parents[2] / "conf"
NOISES, MODELS, INITS = (
    sorted(path.stem for path in (CONF / group).glob("**/*.yaml"))
    for group in ("noise", "model", "init")
)


def load(group: str, name: str) -> Any:
    """The node of an option, also where its file brings a recipe beside it."""
    found = OmegaConf.load(CONF / group / f"{name}.yaml")
    return found.get(group, found)


def build(model: str, noise: str, **options: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    node = OmegaConf.merge(load("model", model), options)
    factory = instantiate(load("noise", noise))
    module: torch.nn.Module = instantiate(
        node, in_channels=1, image_size=(12, 12), num_classes=3, noise=factory
    )
    return module


def test_these_files_are_found() -> None:
    assert NOISES == [
        "binary",
        "concrete",
        "constant_lognormal",
        "gaussian",
        "information",
        "information_binary",
        "none",
        "sparse_variational",
        "variational",
    ]
    assert MODELS == [
        "allcnn",
        "autoencoder",
        "deepnet",
        "discrete_vae",
        "lenet",
        "mlp",
        "stacked_autoencoder",
        "torchvision",
        "vae",
    ]
    assert INITS == [
        "default",
        "delta_orthogonal",
        "gaussian001",
        "glorot_normal",
        "glorot_uniform",
        "he_normal",
        "he_uniform",
        "heuristic_uniform",
        "lecun_normal",
        "lecun_uniform",
        "lsuv",
        "noisy_he",
        "orthogonal",
        "torch_default",
        "tutorial",
    ]


WITH_KL = {
    "concrete",
    "information",
    "information_binary",
    "sparse_variational",
    "variational",
}
SMALL: dict[str, dict[str, Any]] = {
    "allcnn": {"width": 0.05},
    "autoencoder": {"hidden": 6},
    "deepnet": {"layers": 4, "width": 6},
    "discrete_vae": {"units": [6]},
    "lenet": {"channels": [3, 4], "width": 6},
    "mlp": {"width": 6},
    "stacked_autoencoder": {"hidden": [6, 5], "corruption": [0.1, 0.2]},
    "torchvision": {"name": "shufflenet_v2_x0_5"},
    "vae": {"hidden": [6]},
}


NOISY = ["allcnn", "deepnet", "lenet", "mlp"]
"""Models whose layers take the noise of its group."""

AUTOENCODERS = ["autoencoder", "discrete_vae", "vae"]


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("model", NOISY)
def test_every_noise_in_every_model(model: str, noise: str) -> None:
    module = build(model, noise, **SMALL[model])
    prediction = module(torch.rand(5, 1, 12, 12))
    total = sum((kl.sum() for kl in prediction.kls.values()), start=torch.zeros(()))
    (prediction.logits.square().sum() + total).backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
    assert bool(prediction.kls) == (noise in WITH_KL)
    for name, layer in prediction.layers.items():
        assert layer.kl is None or layer.kl.shape == layer.z.shape, name


def test_each_model_is_of_one_kind() -> None:
    kinds = {name: build(name, "information", **SMALL[name]) for name in MODELS}
    assert [name for name, one in kinds.items() if isinstance(one, Autoencoder)] == AUTOENCODERS
    modules = {name: list(one.modules()) for name, one in kinds.items()}
    noisy = [name for name, parts in modules.items() if any(isinstance(p, Noise) for p in parts)]
    assert noisy == NOISY


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("model", AUTOENCODERS)
def test_every_autoencoder_with_every_noise(model: str, noise: str) -> None:
    """It takes any, whether or not it has a use for it."""
    module = build(model, noise, **SMALL[model])
    assert isinstance(module, Autoencoder)
    costs = module.costs(torch.rand(5, 1, 12, 12), 0.5, 0.5)
    costs.loss.backward()
    assert "ce" in costs.figures
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name


@pytest.mark.parametrize("model", AUTOENCODERS)
def test_every_autoencoder_keeps_its_contract(model: str) -> None:
    module = build(model, "none", **SMALL[model]).eval()
    assert isinstance(module, Autoencoder)
    x = torch.rand(5, 1, 12, 12)
    made = module(x, sample=False)
    assert made.output.shape == x.shape
    assert torch.equal(module(x, sample=False).output, made.output)
    assert module.decode(made.code).shape == x.shape
    judged = module.judge(x)
    assert list(judged)[:2] == ["cost", "ce"]
    assert all(each.shape == (5,) for each in judged.values())
    torch.manual_seed(0)
    weights, codes = module.log_weights(x, 3), module.codes(4)
    assert (weights is not None) == module.is_bound
    assert weights is None or weights.shape == (3, 5)
    assert codes is None or codes.shape == (4, made.code.shape[1])
    filters = module.filters()
    assert filters is None or filters.shape[1:] == x.shape[1:]
    for name, layer in made.layers.items():
        assert layer.kl is None or layer.kl.shape[0] == 5, name


@pytest.mark.parametrize("model", NOISY)
def test_options_for_softplus_fit_together(model: str) -> None:
    torch.manual_seed(0)
    noise = instantiate(load("noise", "information"), prior="log_normal")
    assert isinstance(noise, partial)
    node = OmegaConf.merge(load("model", model), SMALL[model], {"activation": "softplus"})
    module = instantiate(node, in_channels=1, image_size=[12, 12], num_classes=3, noise=noise)
    assert module(torch.rand(5, 1, 12, 12)).logits.isfinite().all()


@pytest.mark.parametrize("group", ["noise", "model", "init"])
def test_every_file_says_what_it_is_and_shows_every_option(group: str) -> None:
    given = {"in_channels", "image_size", "num_classes", "noise", "module"}
    given |= {"channels"} if group == "noise" else set()
    for name in {"noise": NOISES, "model": MODELS, "init": INITS}[group]:
        text = (CONF / group / f"{name}.yaml").read_text()
        assert text.startswith("# "), name
        node = load(group, name)
        signature = inspect.signature(get_object(node["_target_"])).parameters
        defaults = {key: p.default for key, p in signature.items() if key not in given}
        shown = {key: value for key, value in node.items() if not str(key).startswith("_")}
        assert shown == defaults, name


NEEDING_INPUTS = {"lsuv", "noisy_he"}


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("model", MODELS)
def test_every_initialisation_of_every_model(model: str, init: str) -> None:
    module = build(model, "information", **SMALL[model])
    adjust = instantiate(load("init", init))(module)
    assert (adjust is None) == (init not in NEEDING_INPUTS)
    if adjust is not None:
        adjust(torch.rand(5, 1, 12, 12))
    assert module(torch.rand(5, 1, 12, 12))[0].isfinite().all()
