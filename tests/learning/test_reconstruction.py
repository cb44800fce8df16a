"""Autoencoders learn, are judged and are tested as what they are."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.errors import ConfigError, Interrupted
from ibdrop.files import read_csv
from ibdrop.learning import loader
from ibdrop.learning.fit import finish, fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.reconstruction import Reconstructing
from ibdrop.learning.recorder import Recorder
from ibdrop.learning.tasks import task_of
from ibdrop.runs.evaluate import infer

TINY = (
    "model=vae",
    "model.hidden=[12]",
    "noise=none",
    "optim=adam",
    "optim.lr=0.01",
    "schedule=constant",
    "dataset=digits",
    "beta=1",
    "beta_units=nats",
    "epochs=3",
    "batch_size=200",
    "trainer=cpu",
    "name=test",
)


class StopsAt(Interruption):
    """A signal that comes at a given check."""

    def __init__(self, check: int) -> None:
        super().__init__()
        self.left = check

    def check(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Interrupted("stopped by SIGTERM", 15)


def config(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        found = OmegaConf.to_container(compose("train", [*TINY, *overrides]), resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def recorder(folder: Path, interruption: Interruption | None = None) -> Recorder:
    folder.mkdir(exist_ok=True)
    signals = interruption or Interruption()
    return Recorder(folder, folder / "metrics.csv", signals, 5, lambda *_: None)


def learnt(folder: Path, *overrides: str) -> tuple[build.Experiment, list[dict[str, str]]]:
    built = build.experiment(config(*overrides))
    written = recorder(folder)
    fit(built.module, built.data, built.options, written)
    finish(built.module, built.data, built.options, written, reestimate_batchnorm=True)
    return built, read_csv(folder / "metrics.csv")


def trained(built: build.Experiment, folder: Path) -> Trained:
    model = built.module.model
    return Trained(model, built.data, built.device, 0, built.fresh_model, folder)


def test_the_network_says_what_it_is_for() -> None:
    assert isinstance(build.experiment(config()).module.task, Reconstructing)
    network = torch.nn.Linear(1, 1)
    assert task_of(network).name == "classification"
    network.task = "dreaming"  # type: ignore[assignment]
    with pytest.raises(ValueError, match=r"^task=dreaming: must be one of classification, recon"):
        task_of(network)


def test_the_cost_falls_and_the_least_is_kept(tmp_path: Path) -> None:
    built, rows = learnt(tmp_path)
    costs = [float(row["val_cost"]) for row in rows]
    assert costs[-1] < costs[0]
    for row in rows:
        ce, kl, loss = (float(row[f"train_{name}"]) for name in ("ce", "kl", "loss"))
        assert loss == pytest.approx(ce + kl, rel=1e-6)
        cost = float(row["val_ce"]) + float(row["val_kl"])
        assert float(row["val_cost"]) == pytest.approx(cost, rel=1e-6)
    content = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert content["val_cost"] == min(costs)
    assert built.module.model.training is False


@pytest.mark.parametrize("check", [1, 4, 6, 7, 9, 13])
def test_an_interrupted_run_ends_like_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: int
) -> None:
    monkeypatch.setattr(loader, "MOST_STEPS", 1)
    whole, rows = learnt(tmp_path / "a")
    built = build.experiment(config())
    with pytest.raises(Interrupted):
        fit(built.module, built.data, built.options, recorder(tmp_path / "b", StopsAt(check)))
    again = build.experiment(config())
    written = recorder(tmp_path / "b")
    written.restore(again.module)
    fit(again.module, again.data, again.options, written)
    finish(again.module, again.data, again.options, written, reestimate_batchnorm=True)
    resumed = read_csv(tmp_path / "b" / "metrics.csv")
    for one, other in zip(rows, resumed, strict=True):
        assert {**one, "seconds": ""} == {**other, "seconds": ""}
    pairs = zip(whole.module.model.parameters(), again.module.model.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_the_test_does_not_depend_on_the_batch_size(tmp_path: Path) -> None:
    built, _ = learnt(tmp_path, "epochs=1")
    found = [
        infer(trained(built, tmp_path), {}, tmp_path, batch_size=size)[0] for size in (1, 7, 250)
    ]
    for other in found[1:]:
        for name, value in found[0].items():
            assert other[name] == pytest.approx(value, rel=1e-6), name


def test_a_test_stands_beside_what_knows_little(tmp_path: Path) -> None:
    built, _ = learnt(tmp_path, "epochs=40")
    figures, _ = infer(trained(built, tmp_path), {}, tmp_path, batch_size=100)
    numbers = {name: value for name, value in figures.items() if isinstance(value, float)}
    assert numbers["test_ce_floor"] < numbers["test_ce"] < numbers["test_ce_mean_image"]
    assert numbers["test_cost"] == pytest.approx(numbers["test_ce"] + numbers["test_kl"])
    assert numbers["test_mse_pca"] < numbers["test_mse_mean_image"]
    x = built.data.inputs(built.data.test.batch(torch.arange(5)).images)
    assert numbers["test_ce_floor"] < x[0].numel() * math.log(2)
    task = built.module.task
    assert task.score(figures) == numbers["test_cost"]
    assert task.verdict(figures).startswith(f"test cost {numbers['test_cost']:.3f} nats per image")


def test_pixels_that_cannot_be_given_back_are_refused() -> None:
    class Wide(build.ImageData):
        def inputs(self, images: Tensor) -> Tensor:
            return super().inputs(images) * 4 - 1

    built = build.experiment(config())
    data = Wide(**vars(built.data))
    with pytest.raises(ConfigError, match="its pixels reach the network as -1 to 3; an autoenc"):
        build._acquaint(built.module.model, data)  # type: ignore[arg-type]


def test_a_cost_that_is_no_number_stops_with_what_broke(tmp_path: Path) -> None:
    from ibdrop.errors import TrainingError

    built = build.experiment(config())
    with torch.no_grad():
        next(built.module.model.parameters()).fill_(math.nan)
    with pytest.raises(
        TrainingError, match=r"became nan at step 1 of epoch 1, first seen in laye"
    ):
        fit(built.module, built.data, built.options, recorder(tmp_path))


def test_pretraining_wants_such_pixels_too() -> None:
    words = ("model=stacked_autoencoder", "model.hidden=[5]", "model.corruption=[0.1]")
    small = [word for word in TINY if not word.startswith("model")]
    with initialize_config_dir(str(conf_dir()), **version_base()):
        found = OmegaConf.to_container(compose("train", [*small, *words]), resolve=True)
    assert isinstance(found, dict)
    built = build.experiment({str(key): value for key, value in found.items()})

    class Wide(build.ImageData):
        def inputs(self, images: Tensor) -> Tensor:
            return super().inputs(images) * 2

    with pytest.raises(
        ConfigError, match="its pixels reach the network as 0 to 2; an autoencoder"
    ):
        build._acquaint(built.module.model, Wide(**vars(built.data)))
