"""What depth does to bad initial weights, in a few epochs of the experiment itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.data.sources import MNIST
from ibdrop.learning.fit import fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.recorder import Recorder
from ibdrop.models.deepnet import DeepNet


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = compose("train", [*overrides, "name=test", "trainer.progress=false"])
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def errors(folder: Path, epochs: int, *overrides: str) -> list[float]:
    """The validation error of each epoch, in [0, 1]."""
    experiment = build.experiment(composed("experiment=depth", f"epochs={epochs}", *overrides))
    folder.mkdir()
    rows: list[dict[str, Any]] = []
    recorder = Recorder(
        folder, folder / "metrics.csv", Interruption(), 5, lambda row, _: rows.append(row)
    )
    fit(experiment.module, experiment.data, experiment.options, recorder)
    return [1 - row["val_accuracy"] for row in rows]


@pytest.fixture(scope="module")
def root(checkout: Path) -> str:
    named = os.environ.get("IBDROP_DATA")
    for place in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(place):
            return f"dataset.root={place}"
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_he_learns_at_30_layers_where_glorot_stands_still(
    tmp_path: Path, root: str, seed: int
) -> None:
    given = (root, "model.layers=30", "trainer=cpu", f"seed={seed}")
    he = errors(tmp_path / "he", 4, "init=he_normal", *given)
    glorot = errors(tmp_path / "glorot", 4, "init=glorot_normal", *given)
    assert he[-1] < 0.4
    assert min(glorot) > 0.7


@pytest.mark.parametrize("name", ["depth", "depth_conv", "depth_conv_wide"])
def test_the_experiments_make_the_networks_they_name(name: str) -> None:
    config = composed(f"experiment={name}", "trainer=cpu")
    assert config["probe"] is True
    assert config["optim"]["nesterov"] is False
    assert config["optim"]["lr"] == 0.01
    model = config["model"]
    assert model["_target_"] == f"{DeepNet.__module__}.DeepNet"
    assert model["kind"] == ("fc" if name == "depth" else "conv")
