from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.errors import ConfigError
from ibdrop.files import read_csv
from ibdrop.runs.train import train

TINY = (
    "dataset=digits",
    "optim=sgd",
    "schedule=constant",
    "artifacts=none",
    "trainer=smoke",
    "trainer.progress=false",
    "trainer.limit_epochs=1",
)


def composed(*overrides: str) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = compose("train", [*TINY, "name=test", *overrides])
    content = OmegaConf.to_container(config, resolve=True)
    assert isinstance(content, dict)
    return {str(key): value for key, value in content.items()}


def run(folder: Path, *overrides: str) -> float:
    return train(composed(*overrides), folder, command=["ibdrop"], overrides=overrides)


def test_a_run_that_is_probed_learns_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ("model=deepnet", "model.layers=5", "model.width=16", "noise=binary")
    plain = run(tmp_path / "plain", *small)
    assert "probe:" not in capsys.readouterr().err
    assert run(tmp_path / "probed", *small, "probe=true") == plain
    assert "probe: over 5 layers the variance of activations" in capsys.readouterr().err
    rows = read_csv(tmp_path / "probed/artifacts/probe.csv")
    assert [row["noise"] for row in rows] == 5 * ["on"] + 5 * ["off"]
    assert (tmp_path / "probed/artifacts/probe.png").is_file()
    report = (tmp_path / "probed/REPORT.md").read_text()
    assert "How variance passes through the fresh network" in report
    assert not (tmp_path / "plain/artifacts/probe.csv").exists()
    losses = [read_csv(tmp_path / f"{name}/metrics.csv")[0] for name in ("plain", "probed")]
    assert losses[0]["train_loss"] == losses[1]["train_loss"]


def test_autoencoders_have_nothing_to_probe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="probe=true: looks into classifiers alone"):
        run(tmp_path / "run", "model=autoencoder", "noise=none", "probe=true")
    assert not (tmp_path / "run").exists()
