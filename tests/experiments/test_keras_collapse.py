"""Why the Keras port found no bottleneck: the same normalisation collapses here too."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.learning.fit import fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.monitor import collapse_warnings
from ibdrop.learning.recorder import Recorder

SMALL = (
    "experiment=keras_collapse",
    "dataset=cluttered_digits",
    "dataset.train_images=2000",
    "dataset.val_images=50",
    "dataset.test_images=50",
    "model.width=0.25",
    "epochs=7",
    "trainer=cpu",
    "trainer.progress=false",
)


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = compose("train", [*overrides, "name=test"])
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def trained_rows(tmp_path: Path, *overrides: str) -> tuple[build.Experiment, list[dict[str, Any]]]:
    experiment = build.experiment(composed(*SMALL, *overrides))
    rows: list[dict[str, Any]] = []
    recorder = Recorder(
        tmp_path, tmp_path / "metrics.csv", Interruption(), 5, lambda row, _: rows.append(row)
    )
    fit(experiment.module, experiment.data, experiment.options, recorder)
    return experiment, rows


@pytest.fixture(scope="module")
def collapsed(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[build.Experiment, list[dict[str, Any]]]:
    return trained_rows(tmp_path_factory.mktemp("keras"))


def test_one_nat_weighs_one_nat(
    collapsed: tuple[build.Experiment, list[dict[str, Any]]],
) -> None:
    experiment, rows = collapsed
    assert experiment.module.weight.b == 1.0
    assert experiment.module.batch_size == 100
    assert rows[-1]["beta_effective"] == 1.0


def test_every_alpha_goes_to_the_cap(
    collapsed: tuple[build.Experiment, list[dict[str, Any]]],
) -> None:
    _, rows = collapsed
    for layer in ("D0", "D1", "D2", "D3"):
        assert rows[-1][f"at_cap/{layer}"] > 0.99
        assert rows[-1][f"alpha/{layer}"] == pytest.approx(0.5, rel=0.01)
    assert rows[-1]["val_kl"] < 3 < 50 < rows[0]["train_kl"]


def test_the_published_loss_is_the_floor_plus_cross_entropy(
    collapsed: tuple[build.Experiment, list[dict[str, Any]]],
) -> None:
    """The port sums -log alpha; at the cap that is units x ln 2, 91,029.63 for its network."""
    experiment, rows = collapsed
    batch = experiment.data.val.batch(torch.arange(50))
    with torch.no_grad():
        prediction = experiment.module.model.eval()(experiment.data.inputs(batch.images))
    alphas = [layer.alpha for layer in prediction.layers.values() if layer.alpha is not None]
    penalty = sum(-alpha.double().log().sum().item() for alpha in alphas) / 50
    units = sum(alpha[0].numel() for alpha in alphas)
    assert penalty - units * math.log(2) == pytest.approx(rows[-1]["val_kl"], rel=0.05)


def test_the_warning_says_so(
    collapsed: tuple[build.Experiment, list[dict[str, Any]]],
) -> None:
    _, rows = collapsed
    sentences = collapse_warnings(rows[-1])
    assert len(sentences) == 4
    assert all("has collapsed: 100% of its alphas are at the cap" in said for said in sentences)


def test_the_papers_normalisation_does_not_collapse(tmp_path: Path) -> None:
    _, rows = trained_rows(tmp_path, "beta=0.01", "beta_units=paper", "epochs=3")
    assert rows[-1]["val_kl"] > 300
    assert not collapse_warnings(rows[-1])
