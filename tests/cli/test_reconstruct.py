"""`ibdrop reconstruct`, on the run of a tiny autoencoder."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ibdrop.cli import reconstruct
from ibdrop.cli.runs import main
from ibdrop.errors import RunError

TINY = ["dataset=digits", "trainer=smoke", "epochs=1", "artifacts=none", "trainer.progress=false"]
MODEL = [
    "model=vae",
    "model.hidden=[16]",
    "noise=none",
    "init=glorot_uniform",
    "optim=adam",
    "schedule=constant",
    "beta=1",
    "beta_units=nats",
]


def train(folder: Path, *words: str) -> Path:
    argv = [*TINY, *words, f"hydra.run.dir={folder}"]
    subprocess.run([sys.executable, "-m", "ibdrop", "train", *argv], check=True, timeout=120)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run") / "a", *MODEL)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "a")
    return tmp_path / "a"


def test_pictures_of_a_run_without_artifacts(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("reconstruct", [str(run), "--images", "3"]) == 0
    written = {path.name for path in (run / "artifacts").iterdir()}
    assert {
        "reconstructions.png",
        "filters.png",
        "latent_scatter.png",
        "manifold.png",
        "interpolations.png",
        "samples.png",
    } <= written
    with np.load(run / "artifacts" / "reconstructions.npz") as data:
        assert len(data["index"]) - int(data["first"]) == 3
    recorded = json.loads((run / "run.json").read_text())["artifacts"]
    assert "artifacts/reconstructions.png" in recorded
    assert capsys.readouterr().out.endswith(f"report {run}/report.html\n")


def test_pictures_go_where_they_are_asked_to(run: Path, tmp_path: Path) -> None:
    assert main("reconstruct", [str(run), "--output", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b" / "reconstructions.png").is_file()
    assert not (run / "artifacts" / "reconstructions.png").exists()


def test_fewer_test_images_are_fewer_tiles(run: Path) -> None:
    assert main("reconstruct", [str(run), "trainer.limit_images=20"]) == 0
    with np.load(run / "artifacts" / "reconstructions.npz") as data:
        assert int(data["first"]) == 20


def test_a_classifier_reconstructs_nothing(tmp_path: Path) -> None:
    folder = train(tmp_path / "a", "model.width=0.125")
    with pytest.raises(RunError) as caught:
        main("reconstruct", [str(folder)])
    assert str(caught.value) == (
        f"{folder}: its network is a classifier, which reconstructs nothing; "
        "`ibdrop train experiment=autoencoder_mnist` trains one that does"
    )
    assert caught.value.status == 2
    assert not (folder / "artifacts" / "reconstructions.npz").exists()


def test_every_picture_is_an_artifact_of_autoencoders() -> None:
    from ibdrop.artifacts.filters import Filters
    from ibdrop.artifacts.latents import Latents
    from ibdrop.artifacts.manifold import Manifold
    from ibdrop.artifacts.reconstructions import Reconstructions

    kinds = (Reconstructions, Filters, Latents, Manifold)
    assert len(reconstruct.PICTURES) == len(kinds)
    assert {kind.task for kind in kinds} == {"reconstruction"}


@pytest.mark.parametrize("words", [["corruption=gaussian_noise"], ["passes=5"], ["noise=on"]])
def test_what_is_for_classifiers_is_refused(run: Path, words: list[str]) -> None:
    start = f"^{re.escape(str(run))}: an autoencoder names no classes; passes, corruptions, outli"
    with pytest.raises(RunError, match=start):
        main("evaluate", [str(run), *words])


@pytest.mark.parametrize("command", ["rank", "heatmap"])
def test_pictures_of_classifiers_are_refused(run: Path, command: str) -> None:
    name = {"rank": "ranking"}.get(command, command)
    sentence = f"^{re.escape(str(run))}: {name} is not for a network made for reconstruction$"
    with pytest.raises(RunError, match=sentence):
        main(command, [str(run)])


def test_evaluate_finds_the_same_figures(run: Path) -> None:
    before = json.loads((run / "run.json").read_text())["metrics"]
    assert {"test_cost", "test_ce", "test_ce_floor", "test_mse_pca"} <= set(before)
    assert main("evaluate", [str(run)]) == 0
    assert json.loads((run / "run.json").read_text())["metrics"] == before
