"""The Monte Carlo dropout post: its recipe, and its accuracy on real MNIST."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop.config.check import problems
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.data.sources import MNIST

COMMAND = Path(sys.executable).with_name("ibdrop")


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = compose("train", ["experiment=mc_dropout_mnist", "name=test", *overrides])
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def options(node: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in ("_target_", "_partial_")}


@pytest.fixture
def mnist_root(checkout: Path) -> str:
    """A folder with MNIST in it, where this machine has one."""
    named = os.environ.get("IBDROP_DATA")
    for root in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(root):
            return str(root)
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")


def test_the_recipe_of_the_post() -> None:
    config = composed()
    assert (config["epochs"], config["batch_size"], config["seed"]) == (10, 1000, 0)
    assert config["model"] == {
        "_target_": "ibdrop.models.lenet.LeNet",
        "channels": [16, 32],
        "width": 1000,
        "activation": "relu",
        "noisy_convs": False,
    }
    assert config["noise"]["_target_"] == "ibdrop.noise.baselines.BinaryNoise"
    assert options(config["noise"]) == {"rate": 0.5, "whole_channels": False}
    assert config["init"]["_target_"] == "ibdrop.initialisers.lecun_normal"
    assert config["optim"]["_target_"] == "torch.optim.Adam"
    assert options(config["optim"]) == {
        "lr": 1e-4,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "weight_decay": 0.0,
    }
    assert config["schedule"]["_target_"] == "ibdrop.learning.schedule.Constant"
    assert config["dataset"]["_target_"] == "ibdrop.data.mnist.mnist"
    assert config["dataset"]["val_images"] == 1000


def test_the_ranking_of_the_post() -> None:
    ranking = composed()["artifacts"]["ranking"]
    assert {name: ranking[name] for name in ("passes", "images", "galleries")} == {
        "passes": 50,
        "images": 30,
        "galleries": True,
    }


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("noise=information", "model.noisy_convs=true", "beta=0.01"),
        ("noise=gaussian",),
        ("dataset=digits",),
        ("artifacts=none",),
        ("optim=sgd", "optim.lr=0.01"),
        ("model=mlp", "init=he_normal"),
    ],
)
def test_parts_can_be_exchanged(overrides: tuple[str, ...]) -> None:
    assert problems(composed(*overrides)) == []


def test_the_file_says_what_was_published() -> None:
    head = (conf_dir() / "experiment/mc_dropout_mnist.yaml").read_text().split("defaults:")[0]
    for said in ("98.41 %", "98.28 %", "37 minutes", "500,000", "deterministic row"):
        assert said in head, said


@pytest.mark.slow
def test_as_accurate_as_the_post(mnist_root: str, tmp_path: Path) -> None:
    """Two minutes on two cores; 98.41 % and 98.28 % were published."""
    folder = tmp_path / "run"
    words = (
        "experiment=mc_dropout_mnist",
        f"dataset.root={mnist_root}",
        f"hydra.run.dir={folder}",
        "artifacts=none",
        "trainer=cpu",
        "trainer.progress=false",
    )
    done = subprocess.run(
        [COMMAND, "train", *words],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": str(os.cpu_count() or 1)},
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((folder / "run.json").read_text())
    assert record["parameters"] == 2_168_810
    assert record["name"] == "mc_dropout_mnist_binary"
    assert "has no effect" not in done.stdout + done.stderr
    assert record["warnings"] == []
    assert 0.980 <= record["metrics"]["test_accuracy"] <= 0.986
