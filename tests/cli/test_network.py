from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibdrop.cli.runs import main
from ibdrop.errors import ConfigError, RunError
from ibdrop.files import read_csv

TINY = ["dataset=digits", "model.width=0.125", "trainer=smoke", "epochs=1", "artifacts=none"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "a"
    words = [*TINY, "trainer.progress=false", f"hydra.run.dir={folder}"]
    subprocess.run([sys.executable, "-m", "ibdrop", "train", *words], check=True, timeout=120)
    return folder


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "a")
    return tmp_path / "a"


def test_evaluate_finds_the_same_figures(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", [str(run)]) == 0
    lines = capsys.readouterr().out.splitlines()
    shown = {line.split()[0]: line.split()[1:] for line in lines[1:]}
    stored = json.loads((run / "run.json").read_text())["metrics"]
    assert shown["test_nll"] == [f"{stored['test_nll']:.6f}"] * 2
    assert shown["kl_total"] == [f"{stored['kl_total']:.6f}"] * 2
    assert all(values[0] == values[1] for values in shown.values())


def test_an_override_that_matters_is_marked(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("evaluate", [str(run), "trainer.limit_images=20"]) == 0
    line = next(x for x in capsys.readouterr().out.splitlines() if "test_images" in x)
    assert line.split() == ["test_images", "50", "20", "differs"]


def test_a_mistyped_override(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"dataset\.rot: the run's config\.yaml has no such key"):
        main("evaluate", [str(run), "dataset.rot=x"])


def test_rank_adds_to_a_run_without_artifacts(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("rank", [str(run), "--passes", "3", "--images", "2"]) == 0
    with (run / "artifacts" / "ranking_summary.csv").open() as file:
        assert [row["passes"] for row in csv.DictReader(file)] == ["1", "3"]
    recorded = json.loads((run / "run.json").read_text())["artifacts"]
    assert "artifacts/ranking.csv" in recorded
    said = capsys.readouterr().out
    assert said.endswith(f"report {run}/report.html\n")
    lines = said.splitlines()
    assert lines[0].split()[:3] == ["prediction", "error", "[%]"]
    assert "error of the 20 least sure [%]" in lines[0]
    assert lines[1].startswith("deterministic ")
    assert lines[2].startswith("monte carlo (T = 3) ")
    assert " ± " in lines[2]


def test_rank_draws_as_it_is_told(run: Path, tmp_path: Path) -> None:
    words = ["--passes", "4", "--mask-sharing", "row", "--design", "independent"]
    assert main("rank", [str(run), *words, "--output", str(tmp_path / "b")]) == 0
    row = read_csv(tmp_path / "b" / "ranking_summary.csv")[1]
    assert (row["mask_sharing"], row["design"], row["groups"]) == ("row", "independent", "4")
    assert not (run / "artifacts" / "ranking.csv").exists()


def test_rank_needs_a_noise_layer(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ibdrop.sampling.engine import MonteCarlo, NoNoiseError

    def refuse(*_: object) -> None:
        raise NoNoiseError("the network has no noise layer, so there is nothing to sample")

    monkeypatch.setattr(MonteCarlo, "__call__", refuse)
    with pytest.raises(RunError) as caught:
        main("rank", [str(run)])
    assert str(caught.value) == (
        f"{run}: the network has no noise layer, so there is nothing to sample"
    )
    assert caught.value.status == 2
    assert not (run / "artifacts" / "ranking.csv").exists()


def test_heatmaps_of_chosen_images(run: Path) -> None:
    import numpy as np

    assert main("heatmap", [str(run), "--index", "17,3"]) == 0
    with np.load(run / "chosen" / "kl_maps.npz") as content:
        assert sorted(content["index"]) == [3, 17]
        assert len(content[f"kl_{content['layers'][0]}"]) == 2
    assert not (run / "artifacts" / "kl_maps.npz").exists()


def test_heatmaps_go_where_they_are_asked_to(run: Path, tmp_path: Path) -> None:
    assert main("heatmap", [str(run), "--images", "2", "--output", str(tmp_path / "b")]) == 0
    assert (tmp_path / "b" / "kl_heatmap.png").is_file()


def test_an_image_that_is_not_there(run: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--index: there is no test image 99999; they have"):
        main("heatmap", [str(run), "--index", "3,99999"])


def test_a_class_that_cannot_be_imported(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    start = config.index("_target_: ibdrop.noise")
    end = config.index("\n", start)
    (run / "config.yaml").write_text(f"{config[:start]}_target_: my_noise.Mine{config[end:]}")
    with pytest.raises(RunError) as caught:
        main("evaluate", [str(run)])
    where = json.loads((run / "run.json").read_text())["directory"]
    assert str(caught.value) == (
        f"{run} needs a class that cannot be imported here (Error loading 'my_noise.Mine'); "
        f"the run was made in {where}: call ibdrop from there"
    )


def test_another_networks_checkpoint(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("width: 0.125", "width: 0.25"))
    with pytest.raises(RunError, match=r"best\.ckpt does not fit the network that config\.yaml"):
        main("evaluate", [str(run)])
