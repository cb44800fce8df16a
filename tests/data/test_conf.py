from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_method
from omegaconf import OmegaConf

from ibdrop.config.schema import register, version_base
from ibdrop.data.sources import SOURCES

NAMES = sorted(SOURCES)


def node(checkout: Path, name: str) -> dict[str, Any]:
    whole = OmegaConf.load(checkout / "conf" / "dataset" / f"{name}.yaml")
    plain = OmegaConf.to_container(whole, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def test_each_data_set_has_a_config_and_a_source(checkout: Path) -> None:
    files = (checkout / "conf" / "dataset").glob("*.yaml")
    assert sorted(file.stem for file in files) == NAMES
    assert len(NAMES) >= 4


@pytest.mark.parametrize("name", NAMES)
def test_the_config_shows_every_parameter_with_its_default(
    checkout: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("IBDROP_DATA", raising=False)
    shown = node(checkout, name)["dataset"]
    function = get_method(shown.pop("_target_"))
    parameters = inspect.signature(function).parameters
    assert list(shown) == [key for key in parameters if key != "seed"]
    for key, value in shown.items():
        default = parameters[key].default
        plain = list(default) if isinstance(default, tuple) else default
        assert value == ("data" if key == "root" and SOURCES[name] else plain), key


@pytest.mark.parametrize("name", NAMES)
def test_the_config_says_what_each_parameter_is(checkout: Path, name: str) -> None:
    lines = (checkout / "conf" / "dataset" / f"{name}.yaml").read_text().splitlines()
    parameters = [line for line in lines if line.startswith("  ") and "_target_" not in line]
    assert parameters
    assert all(" # " in line for line in parameters)


def test_cluttered_mnist_is_the_papers_recipe(checkout: Path) -> None:
    whole = node(checkout, "cluttered_mnist")
    assert (whole["epochs"], whole["batch_size"]) == (80, 128)
    assert whole["defaults"] == [{"override /schedule": "multistep"}]


def test_the_root_of_the_data_may_come_from_the_environment(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBDROP_DATA", "/somewhere")
    assert node(checkout, "mnist")["dataset"]["root"] == "/somewhere"


@pytest.mark.parametrize(
    ("overrides", "schedule", "epochs"),
    [
        (["dataset=cluttered_mnist"], "MultiStep", 80),
        (["dataset=cluttered_mnist", "schedule=cosine", "epochs=3"], "Cosine", 3),
        (["experiment=keras_collapse"], "Constant", 5),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_recipe_yields_to_experiments_and_to_the_command_line(
    checkout: Path, overrides: list[str], schedule: str, epochs: int
) -> None:
    register()
    with initialize_config_dir(str(checkout / "conf"), job_name="train", **version_base()):
        config = compose("train", overrides)
    assert config.dataset._target_ == "ibdrop.data.mnist.cluttered_mnist"
    assert config.schedule._target_.endswith(f".{schedule}")
    assert config.epochs == epochs
