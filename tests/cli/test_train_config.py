from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ibdrop.cli.help import groups
from ibdrop.cli.hooks import plain, visible
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import GROUPS, register, version_base

GOLDEN = Path(__file__).parents[1] / "golden" / "config_keys.txt"

Compose = Callable[..., dict[str, Any]]


@pytest.fixture
def composed() -> Iterator[Compose]:
    """Composes as `ibdrop train` does, with an optional folder of the user's own options."""
    register()
    GlobalHydra.instance().clear()

    def run(*overrides: str, config_dir: Path | None = None) -> dict[str, Any]:
        search = [f"hydra.searchpath=['file://{config_dir}']"] if config_dir else []
        config = compose("train", [*search, *overrides], return_hydra_config=True)
        with visible(config):
            return plain(config)

    with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
        yield run


def write(folder: Path, name: str, text: str) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def options() -> list[tuple[str, str]]:
    return [(group, option) for group, found in groups().items() for option in found]


RECIPE = """
# @package _global_
defaults:
  - override /schedule: multistep
epochs: 77
batch_size: 5
beta: 0.25
dataset:
  _target_: mine.Data
"""

EXPERIMENT = """
# @package _global_
defaults:
  - override /noise: binary
  - override /dataset: mine
epochs: 99
beta: 0.5
"""


class TestPrecedence:
    """Schema < dataset recipe < primary file < experiment < command line."""

    @pytest.fixture
    def mine(self, tmp_path: Path) -> Path:
        write(tmp_path, "dataset/mine.yaml", RECIPE.lstrip())
        write(tmp_path, "dataset/bare.yaml", "_target_: mine.Data\n")
        write(tmp_path, "experiment/mine.yaml", EXPERIMENT.lstrip())
        return tmp_path

    def test_schema_gives_what_no_file_says(self, composed: Compose, mine: Path) -> None:
        config = composed("dataset=bare", config_dir=mine)
        assert (config["epochs"], config["batch_size"]) == (10, 64)
        assert config["dataset"] == {"_target_": "mine.Data"}
        assert config["schedule"]["_target_"].endswith("OneCycle")

    def test_recipe_of_the_data_set(self, composed: Compose, mine: Path) -> None:
        config = composed("dataset=mine", config_dir=mine)
        assert (config["epochs"], config["batch_size"]) == (77, 5)
        assert config["schedule"]["_target_"].endswith("MultiStep")
        assert config["beta"] == 0.25  # As those models bring it whose KL has a price of its own.

    def test_experiment_over_recipe(self, composed: Compose, mine: Path) -> None:
        config = composed("experiment=mine", config_dir=mine)
        assert (config["epochs"], config["batch_size"], config["beta"]) == (99, 5, 0.5)
        assert config["noise"]["_target_"].endswith("BinaryNoise")
        assert config["name"] == "mine_allcnn_binary_beta-0.5"

    def test_command_line_over_all(self, composed: Compose, mine: Path) -> None:
        given = ("experiment=mine", "epochs=1", "beta=2", "noise=none", "schedule=cosine")
        config = composed(*given, config_dir=mine)
        assert (config["epochs"], config["beta"]) == (1, 2.0)
        assert config["noise"]["_target_"].endswith("NoNoise")
        assert config["schedule"]["_target_"].endswith("Cosine")


def test_there_are_options() -> None:
    assert len(options()) >= 25
    assert set(GROUPS) <= set(groups())


@pytest.mark.parametrize(("group", "option"), options())
def test_beta_is_written_once(composed: Compose, group: str, option: str) -> None:
    config = composed(f"{group}={option}", "beta=0.123")
    betas = {key: value for key, value in flat(config).items() if key.split(".")[-1] == "beta"}
    assert set(betas.values()) == {0.123}


@pytest.mark.parametrize(("group", "option"), options())
def test_every_option_is_sound(
    composed: Compose, group: str, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from ibdrop.config.check import problems

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert problems(composed(f"{group}={option}")) == []


def test_the_surface_is_frozen(composed: Compose) -> None:
    """A key added or removed is a decision: `IBDROP_WRITE_GOLDEN=1 pytest ...` writes the list."""
    surface: dict[str, list[str]] = {key: [] for key in composed() if key not in GROUPS}
    for group in GROUPS:
        for option in groups()[group]:
            for key in flat(composed(f"{group}={option}")):
                if key.startswith(f"{group}.") and not key.rpartition(".")[2].startswith("_"):
                    surface.setdefault(key, []).append(option)
    lines = [f"{key}: {' '.join(found)}".rstrip(": ") for key, found in sorted(surface.items())]
    text = "\n".join(lines) + "\n"
    if os.environ.get("IBDROP_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def flat(node: Any, prefix: str = "") -> dict[str, Any]:
    """Values by dotted key; lists count as values."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    return {
        key: value
        for name, inner in node.items()
        for key, value in flat(inner, f"{prefix}{name}.").items()
    }


def test_names_hold_no_equals_sign(composed: Compose) -> None:
    assert composed("beta=1e-2")["name"] == "cluttered_digits_allcnn_information_beta-0.01"


def test_outputs_follow_the_environment(
    composed: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBDROP_OUTPUTS", "/somewhere")
    assert composed()["output_dir"] == "/somewhere"
    monkeypatch.delenv("IBDROP_OUTPUTS")
    assert composed()["output_dir"] == "outputs"


def test_an_option_of_the_users_adds_to_ours_and_never_replaces(
    composed: Compose, tmp_path: Path
) -> None:
    write(tmp_path, "noise/mine.yaml", "_target_: my.Noise\n_partial_: true\nloud: 3\n")
    write(tmp_path, "noise/binary.yaml", "_target_: my.Noise\n")
    assert composed("noise=mine", config_dir=tmp_path)["noise"]["loud"] == 3
    assert composed("noise=binary", config_dir=tmp_path)["noise"]["rate"] == 0.5
    assert "mine" in groups(tmp_path)["noise"]


def test_config_is_plain_and_resolved(composed: Compose) -> None:
    text = OmegaConf.to_yaml(OmegaConf.create(composed()))
    assert "${" not in text
    assert "hydra" not in composed()
