from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ibdrop.errors import RunError
from ibdrop.files import read_csv
from ibdrop.runs.folder import Run
from ibdrop.runs.sweep import Sweep, differing, tabulate

MakeRun = Callable[..., Run]
JOBS = [["beta=0.001", "seed=0"], ["beta=0.1", "seed=0"], ["beta=1", "seed=0"]]


@pytest.fixture
def sweep(tmp_path: Path, make_run: MakeRun) -> Path:
    command = ["ibdrop", "train", "-m", "beta=0.001,0.1,1"]
    Sweep.create(tmp_path, command=command, overrides=["beta=0.001,0.1,1"], jobs=JOBS)
    make_run(tmp_path / "0_beta-0.001", beta=1e-3, error=0.01)
    make_run(tmp_path / "1_beta-0.1", beta=0.1, error=0.02, warnings=["layer D0 has collapsed"])
    return tmp_path


def test_one_row_per_job_in_order(sweep: Path, make_run: MakeRun) -> None:
    make_run(sweep / "10_beta-1", beta=1.0)
    make_run(sweep / "2_beta-1", beta=1.0)
    tabulate(sweep)
    rows = read_csv(sweep / "sweep.csv")
    assert [row["number"] for row in rows] == ["0", "1", "2", "10"]
    assert [row["beta"] for row in rows[:2]] == ["0.001", "0.1"]
    assert [row["test_error"] for row in rows[:2]] == ["0.01", "0.02"]
    assert [row["warnings"] for row in rows[:2]] == ["0", "1"]
    assert float(rows[0]["kl_total"]) == float(rows[0]["kl/D0"]) + float(rows[0]["kl/D1"])
    assert float(rows[1]["effective_beta"]) == 0.1 / 50_000
    assert rows[1]["folder"] == "1_beta-0.1"


def test_a_failed_job_is_a_row(sweep: Path) -> None:
    Run.fail(sweep / "2_beta-1", JOBS[2], "loss is no number")
    row = tabulate(sweep)[2]
    assert row["status"] == "failed"
    assert row["error"] == "loss is no number"
    assert row["test_error"] is None
    assert row["number"] == 2
    assert read_csv(sweep / "sweep.csv")[2]["test_error"] == ""


def test_other_overrides_that_differ_are_columns(tmp_path: Path, make_run: MakeRun) -> None:
    for number, noise in enumerate(("binary", "information")):
        run = make_run(tmp_path / f"{number}_{noise}")
        run.update(overrides=[f"noise={noise}", "epochs=3", f"beta={number}", f"+extra={number}"])
    run.update(overrides=[*run.record["overrides"], "hydra.mode=RUN"])
    assert differing(Sweep.open(tmp_path).runs) == ["noise", "extra"]
    assert [row["noise"] for row in tabulate(tmp_path)] == ["binary", "information"]


def test_a_sweep_just_begun_has_an_empty_table(tmp_path: Path) -> None:
    Sweep.create(tmp_path, command=[], overrides=[], jobs=JOBS)
    assert tabulate(tmp_path) == []
    assert not (tmp_path / "sweep.csv").exists()


def test_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        tabulate(tmp_path)
    assert str(caught.value) == f"{tmp_path} is no sweep: it has no sweep.json and no runs in it"


def test_what_is_missing(sweep: Path) -> None:
    Run.fail(sweep / "1_other", [], "lost")
    stopped, waiting = Sweep.open(sweep).unfinished()
    assert [run.folder.name for run in stopped] == ["1_other"]
    assert waiting == {2: ["beta=1", "seed=0"]}


def test_status(sweep: Path, make_run: MakeRun) -> None:
    assert Sweep.open(sweep).status == "running"
    Sweep.open(sweep).end()
    assert Sweep.open(sweep).status == "incomplete"
    make_run(sweep / "2_beta-1", beta=1.0)
    Sweep.open(sweep).end()
    assert Sweep.open(sweep).status == "finished"
    assert Sweep.open(sweep).record["ended"]


def test_one_finished_run_is_no_picture(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "0")
    tabulate(tmp_path)
    assert not (tmp_path / "artifacts").exists()


def test_pictures(sweep: Path, make_run: MakeRun) -> None:
    make_run(sweep / "2_beta-0", beta=0.0)
    images = np.zeros((5, 1, 8, 8), np.uint8)
    for folder in ("0_beta-0.001", "1_beta-0.1"):
        maps = {"kl_D0": np.ones((5, 4, 4)), "kl_D1": np.zeros((5, 2, 2))}
        np.savez(sweep / folder / "artifacts" / "kl_maps.npz", images=images, **maps)
    tabulate(sweep)
    assert {path.name for path in (sweep / "artifacts").iterdir()} == {
        "error_and_nats.png",
        "information_plane.png",
        "heatmaps_over_beta_D0.png",
        "heatmaps_over_beta_D1.png",
    }


def test_pictures_over_words_and_without_information(tmp_path: Path, make_run: MakeRun) -> None:
    for number, noise in enumerate(("binary", "none")):
        run = make_run(tmp_path / f"{number}_{noise}", metrics={"test_error": 0.1, "test_nll": 1})
        run.update(overrides=[f"noise={noise}"])
    tabulate(tmp_path)
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == ["error_and_nats.png"]
