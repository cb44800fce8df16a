"""The group `augment`: on the command line, in recipes, in runs, and in those of before."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.cli.hooks import plain, visible
from ibdrop.cli.main import main
from ibdrop.config.check import problems
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.data.augment import Augmentation, Augmented
from ibdrop.data.base import StaticImages
from ibdrop.errors import ConfigError

OPTIONS = sorted(file.stem for file in (conf_dir() / "augment").glob("*.yaml"))
TINY = ("dataset=digits", "model=mlp", "model.width=6", "noise=binary", "artifacts=none")
RUN = (*TINY, "trainer=smoke", "trainer.progress=false")
COMMAND = (sys.executable, "-m", "ibdrop")

Compose = Callable[..., dict[str, Any]]


@pytest.fixture
def composed() -> Iterator[Compose]:
    """Composes as `ibdrop train` does."""
    register()
    GlobalHydra.instance().clear()

    def run(*overrides: str, config_dir: Path | None = None) -> dict[str, Any]:
        search = [f"hydra.searchpath=['file://{config_dir}']"] if config_dir else []
        config = compose("train", [*search, *overrides], return_hydra_config=True)
        with visible(config):
            return plain(config)

    with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
        yield run


def option(name: str) -> dict[str, Any]:
    shown = OmegaConf.to_container(OmegaConf.load(conf_dir() / "augment" / f"{name}.yaml"))
    assert isinstance(shown, dict)
    return {str(key): value for key, value in shown.items()}


def test_there_are_the_usual_ones() -> None:
    assert {"none", "shift_flip"} <= set(OPTIONS)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_shows_and_explains_every_parameter(name: str) -> None:
    text = (conf_dir() / "augment" / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    lines = [line for line in text.splitlines() if not line.startswith(("#", "_target_"))]
    assert all(" # " in line for line in lines)
    shown = option(name)
    assert shown.pop("_target_") == "ibdrop.data.augment.Augmentation"
    assert list(shown) == list(inspect.signature(Augmentation).parameters)
    assert (Augmentation(**shown) == Augmentation()) == (name == "none")


def test_none_shows_the_defaults(composed: Compose) -> None:
    node = composed()["augment"]
    assert node.pop("_target_").endswith("Augmentation")
    assert Augmentation(**node) == Augmentation()


def test_on_the_command_line(composed: Compose) -> None:
    usual = composed("augment=shift_flip")["augment"]
    assert (usual["shift"], usual["flip"], usual["crop"]) == (4, True, 1.0)
    own = composed("augment.shift=2", "augment.flip=true")["augment"]
    assert (own["shift"], own["flip"], own["padding"]) == (2, True, "black")
    both = composed("augment=strong", "augment.cutout=0")["augment"]
    assert (both["shift"], both["cutout"]) == (4, 0)


def test_a_recipe_may_choose_and_the_command_line_may_choose_again(
    composed: Compose, tmp_path: Path
) -> None:
    recipe = "# @package _global_\ndefaults:\n  - override /augment: shift_flip\n"
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / "mine.yaml").write_text(f"{recipe}dataset:\n  _target_: mine.Data\n")
    assert composed("dataset=mine", config_dir=tmp_path)["augment"]["shift"] == 4
    chosen = composed("dataset=mine", "augment=none", config_dir=tmp_path)
    assert chosen["augment"]["shift"] == 0
    changed = composed("dataset=mine", "augment.shift=1", config_dir=tmp_path)["augment"]
    assert (changed["shift"], changed["flip"]) == (1, True)


def test_mistakes_are_named(composed: Compose) -> None:
    config = composed("augment.shift=1.5", "augment.padding=reflct", "augment.flip=3")
    assert problems(config) == [
        "augment.shift: 1.5 is not a whole number",
        "augment.padding: 'reflct' is not one of 'black', 'reflect'",
        "augment.flip: 3 is not true or false",
    ]


class TestBuild:
    def test_without_augmentation_the_set_is_untouched(self, composed: Compose) -> None:
        assert type(build.data(composed("dataset=digits")).train) is StaticImages

    def test_only_training_images_are_varied(self, composed: Compose) -> None:
        kept = build.data(composed("dataset=digits"))
        found = build.data(composed("dataset=digits", "augment=strong"))
        assert isinstance(found.train, Augmented)
        assert len(found.train) == len(kept.train)
        index = torch.arange(64)
        assert not torch.equal(found.train.batch(index).images, kept.train.batch(index).images)
        for split in ("val", "test"):
            one, other = (getattr(data, split).batch(index).images for data in (found, kept))
            assert torch.equal(one, other)

    def test_the_seed_of_the_run_keys_it(self, composed: Compose) -> None:
        first, again, other = (
            build.data(composed("dataset=digits", "augment.shift=3", f"seed={seed}")).train
            for seed in (4, 4, 5)
        )
        assert isinstance(first, Augmented)
        assert isinstance(other, Augmented)
        assert (first.seed, other.seed) == (4, 5)
        index = torch.arange(64)
        assert torch.equal(first.batch(index, 3).images, again.batch(index, 3).images)

    @pytest.mark.parametrize(
        ("word", "sentence"),
        [
            (
                "augment.shift=16",
                "augment: shift is 16 px, but the images have 16 x 16 pixels; it must be below 16",
            ),
            (
                "augment.cutout=20",
                "augment: cutout is 20 px, but the images have 16 x 16 pixels;"
                " it must be at most 16",
            ),
            (
                "augment.crop=0",
                "augment: crop is 0; the share of a side that is left must lie in (0, 1]",
            ),
        ],
    )
    def test_what_cannot_be_is_the_users_to_mend(
        self, composed: Compose, word: str, sentence: str
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            build.data(composed("dataset=digits", word))
        assert list(caught.value.problems) == [sentence]

    def test_an_experiment_learns_from_varied_images(self, composed: Compose) -> None:
        experiment = build.experiment(composed(*TINY, "augment=shift_flip", "trainer=cpu"))
        assert isinstance(experiment.data.train, Augmented)
        assert not isinstance(experiment.data.val, Augmented)

    def test_a_config_of_before_makes_the_same_data(self, composed: Compose) -> None:
        config = composed(*TINY, "trainer=cpu")
        del config["augment"]
        assert type(build.data(config).train) is StaticImages
        assert type(build.experiment(config).data.train) is StaticImages


def test_data_show_draws_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    pictures = []
    for words in ([], ["augment.shift=4"], ["augment.shift=4", "--split", "test"]):
        assert main(["data", "show", "digits", *words, "--images", "6"]) == 0
        pictures.append((tmp_path / "digits.png").read_bytes())
    assert main(["data", "show", "digits", "--split", "test", "--images", "6"]) == 0
    assert pictures[0] != pictures[1]
    assert pictures[2] == (tmp_path / "digits.png").read_bytes()
    capsys.readouterr()


@pytest.fixture(scope="module")
def old_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, interrupted after the first, as if there were no augmentation yet."""
    folder = tmp_path_factory.mktemp("runs") / "old"
    words = [*RUN, "trainer.limit_epochs=null", "epochs=1", f"hydra.run.dir={folder}"]
    subprocess.run([*COMMAND, "train", *words], check=True, timeout=120, capture_output=True)
    config = read(folder)
    assert config.pop("augment")["shift"] == 0
    OmegaConf.save(config, folder / "config.yaml")
    return folder


def read(folder: Path) -> dict[str, Any]:
    config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "RUN"],
        ["evaluate", "RUN", "noise=on", "passes=2", "ood=uniform"],
        ["rank", "RUN", "--passes", "2", "--images", "2"],
        ["heatmap", "RUN"],
        ["report", "RUN"],
        ["compare", "RUN", "RUN"],
        ["runs", "RUN"],
        ["resume", "RUN"],
    ],
    ids=lambda words: "-".join(words[:1] + words[2:3]),
)
def test_every_command_on_a_run_of_before(
    old_run: Path, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(old_run) if word == "RUN" else word for word in words]) == 0
    assert "Traceback" not in capsys.readouterr().err


def test_an_interrupted_run_of_before_goes_on(old_run: Path) -> None:
    OmegaConf.save({**read(old_run), "epochs": 2}, old_run / "config.yaml")
    record = json.loads((old_run / "run.json").read_text())
    (old_run / "run.json").write_text(json.dumps(record | {"status": "interrupted"}))
    subprocess.run(
        [*COMMAND, "resume", str(old_run)], check=True, timeout=120, capture_output=True
    )
    assert "augment" not in read(old_run)
    record = json.loads((old_run / "run.json").read_text())
    assert (record["status"], record["epoch"]) == ("finished", 2)


def test_a_varied_run_is_tested_again_with_the_same_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    words = [*RUN, "augment=shift_flip", f"hydra.run.dir={folder}"]
    subprocess.run([*COMMAND, "train", *words], check=True, timeout=120, capture_output=True)
    assert read(folder)["augment"]["shift"] == 4
    record = json.loads((folder / "run.json").read_text())
    assert record["status"] == "finished"
    assert main(["evaluate", str(folder)]) == 0
    (line,) = [row for row in capsys.readouterr().out.splitlines() if "test_nll" in row]
    _, stored, again, *_ = line.split()
    assert stored == again
