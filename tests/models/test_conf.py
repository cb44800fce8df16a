from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import get_object, instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf"
NOISES, MODELS, INITS = (
    sorted(path.stem for path in (CONF / group).glob("**/*.yaml"))
    for group in ("noise", "model", "init")
)


def load(group: str, name: str) -> Any:
    return OmegaConf.load(CONF / group / f"{name}.yaml")


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
    assert MODELS == ["allcnn", "lenet", "mlp"]
    assert INITS == [
        "default",
        "glorot_normal",
        "glorot_uniform",
        "he_normal",
        "he_uniform",
        "lecun_normal",
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
    "lenet": {"channels": [3, 4], "width": 6},
    "mlp": {"width": 6},
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("model", MODELS)
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


@pytest.mark.parametrize("model", MODELS)
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


@pytest.mark.parametrize("init", INITS)
@pytest.mark.parametrize("model", MODELS)
def test_every_initialisation_of_every_model(model: str, init: str) -> None:
    module = build(model, "information", **SMALL[model])
    instantiate(load("init", init))(module)
    assert module(torch.rand(5, 1, 12, 12)).logits.isfinite().all()
