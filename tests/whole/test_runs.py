"""What a user may rely on: complete folders, equal numbers, and runs that can go on."""

from __future__ import annotations

import csv
import json
import re
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

if TYPE_CHECKING:
    from tests.whole.conftest import Installed

FIGURES = ("test_accuracy", "test_nll", "test_brier", "test_ece", "kl", "kl_total", "at_cap")


def figures(folder: Path) -> dict[str, object]:
    content = json.loads((folder / "run.json").read_text())
    return {name: content["metrics"][name] for name in FIGURES}


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        found = list(csv.DictReader(file))
    for row in found:
        del row["seconds"]
    return found


def test_the_folder_is_complete(installed: Installed, finished: Path) -> None:
    names = {path.name for path in finished.rglob("*") if path.is_file()}
    assert {
        "config.yaml",
        "run.json",
        "metrics.csv",
        "train.log",
        "best.ckpt",
        "last.ckpt",
        "confusion.csv",
        "confusion.png",
        "curves.png",
        "calibration.csv",
        "kl_heatmap.png",
        "kl_maps.npz",
        "ranking.csv",
        "report.html",
    } <= names
    assert not [name for name in names if name.startswith(".") and "tmp" in name]
    content = installed.record(finished)
    assert content["status"] == "finished"
    assert content["epoch"] == 3
    assert content["effective_beta"] == pytest.approx(1e-3 / 400)
    assert "=" not in finished.name


def test_the_config_is_resolved(installed: Installed, finished: Path) -> None:
    text = (finished / "config.yaml").read_text()
    assert "${" not in text
    assert "???" not in text


def test_the_same_config_and_seed_give_the_same_numbers(
    installed: Installed, finished: Path, tmp_path: Path
) -> None:
    installed.train(tmp_path / "again")
    assert figures(tmp_path / "again") == figures(finished)
    assert rows(tmp_path / "again") == rows(finished)


def test_evaluate_prints_the_identical_figures(installed: Installed, finished: Path) -> None:
    said = installed.ibdrop("evaluate", str(finished), cwd=finished.parent).stdout
    for name in ("test_accuracy", "test_nll", "test_ece"):
        value = installed.record(finished)["metrics"][name]
        line = next(line for line in said.splitlines() if name in line)
        numbers = re.findall(r"\d+\.\d+(?:e-?\d+)?", line)
        assert len(numbers) >= 2, line
        assert numbers[0] == numbers[1], line
        assert float(numbers[1]) == pytest.approx(value, rel=1e-3)


def test_figures_do_not_depend_on_the_batch_size(installed: Installed, finished: Path) -> None:
    from ibdrop.runs.evaluate import infer
    from ibdrop.runs.folder import Run
    from ibdrop.runs.reload import trained as reloaded

    trained = reloaded(Run.open(finished))
    one, _ = infer(trained, {}, finished / "artifacts", batch_size=1)
    many, _ = infer(trained, {}, finished / "artifacts", batch_size=60)
    assert one["test_nll"] == pytest.approx(many["test_nll"], rel=1e-5)
    assert one["test_accuracy"] == many["test_accuracy"]


def test_a_killed_run_resumes_to_the_same_numbers(
    installed: Installed, finished: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    assert installed.interrupted(folder, number=signal.SIGKILL, after=1) == -signal.SIGKILL
    assert installed.record(folder)["status"] == "running"
    assert "killed" in installed.ibdrop("runs", str(tmp_path), cwd=tmp_path).stdout
    installed.ibdrop("resume", str(folder), cwd=tmp_path)
    assert figures(folder) == figures(finished)
    assert rows(folder) == rows(finished)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_leaves_a_run_that_resumes(
    installed: Installed, finished: Path, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    folder = tmp_path / "stopped"
    assert installed.interrupted(folder, number=number, after=1) == status
    content = installed.record(folder)
    assert content["status"] == "interrupted"
    assert "ibdrop resume" in content["error"]
    installed.ibdrop("resume", str(folder), cwd=tmp_path)
    assert figures(folder) == figures(finished)
    assert rows(folder) == rows(finished)


def test_resuming_a_finished_run_says_so(installed: Installed, finished: Path) -> None:
    done = installed.ibdrop("resume", str(finished), cwd=finished.parent)
    assert "finished" in done.stdout + done.stderr


def test_a_loss_that_is_no_number_stops(installed: Installed, tmp_path: Path) -> None:
    done = installed.train(tmp_path / "nan", "optim.lr=1e30", "schedule=constant", expect=1)
    assert re.search(
        r"the loss became (nan|inf) at step \d+ of epoch 1, first seen in", done.stderr
    )
    assert "try a smaller optim.lr" in done.stderr
    assert "Traceback" not in done.stderr
    assert installed.record(tmp_path / "nan")["status"] == "failed"


def test_a_damaged_checkpoint(installed: Installed, finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    ignored = installed.train(folder, "trainer.limit_steps=2", "epochs=1")
    assert ignored.returncode == 0
    path = folder / "checkpoints" / "best.ckpt"
    path.write_bytes(path.read_bytes()[:-100])
    done = installed.ibdrop("evaluate", str(folder), cwd=tmp_path, expect=2)
    assert "best.ckpt: the checkpoint is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_checkpoints_hold_tensors_and_plain_values(installed: Installed, finished: Path) -> None:
    for name in ("best.ckpt", "last.ckpt"):
        content = torch.load(finished / "checkpoints" / name, weights_only=True)
        assert content["format"] == 1
        assert content["model"]


@pytest.mark.gpu
def test_a_run_on_cuda_repeats_and_resumes(installed: Installed, tmp_path: Path) -> None:
    """bf16 training, float32 evaluation: the same figures twice, and after a kill."""
    cuda = ("trainer.device=cuda",)
    installed.train(tmp_path / "a", *cuda)
    installed.train(tmp_path / "b", *cuda)
    assert figures(tmp_path / "a") == figures(tmp_path / "b")
    folder = tmp_path / "killed"
    assert installed.interrupted(folder, *cuda, number=signal.SIGKILL, after=1) == -signal.SIGKILL
    installed.ibdrop("resume", str(folder), cwd=tmp_path)
    assert figures(folder) == figures(tmp_path / "a")
    assert "cuda" in installed.record(folder)["device"]
