"""The stacked autoencoder's experiment: its recipe; `tests/models/test_stacked.py` trains it."""

from __future__ import annotations

from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop.config.check import problems
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = compose("train", ["experiment=stacked_mnist", "name=test", *overrides])
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def test_the_small_recipe() -> None:
    config = composed()
    assert problems(config) == []
    assert (config["epochs"], config["batch_size"], config["shuffle"]) == (12, 20, False)
    assert config["model"] == {
        "_target_": "ibdrop.models.stacked.StackedAutoencoder",
        "hidden": [500, 500],
        "corruption": [0.1, 0.2],
        "pretrain_epochs": 5,
        "pretrain_lr": 0.05,
        "pretrain_batch": 20,
    }
    assert config["init"]["_target_"] == "ibdrop.initialisers.tutorial"
    assert (config["init"]["numpy_seed"], config["init"]["gain"]) == (89677, 4.0)
    dataset = config["dataset"]
    assert (dataset["split"], dataset["val_images"], dataset["white"]) == ("original", 10_000, 256)
    optim = config["optim"]
    assert (optim["lr"], optim["momentum"], optim["nesterov"]) == (0.1, 0.0, False)
    assert config["schedule"]["_target_"] == "ibdrop.learning.schedule.Constant"


def test_the_tutorial_is_a_change_of_sizes_and_rates() -> None:
    config = composed(
        "model.hidden=[1000,1000,1000]",
        "model.corruption=[0.1,0.2,0.3]",
        "model.pretrain_epochs=15",
        "model.pretrain_lr=0.001",
        "model.pretrain_batch=1",
        "batch_size=1",
        "epochs=1000",
    )
    assert problems(config) == []
