from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from ibdrop.cli import again
from ibdrop.cli.runs import PARSERS, main, parser
from ibdrop.errors import ConfigError, RunError
from ibdrop.runs.folder import Run
from ibdrop.runs.sweep import Sweep

JOBS = [["sweep=beta", f"beta={beta}"] for beta in ("0.1", "1", "10")]


def finished(folder: Path, beta: float = 0.1, error: float = 0.02) -> Run:
    """A run folder made without training."""
    config = {"name": folder.name, "beta": beta, "noise": {"max_alpha": 0.7}}
    run = Run.create(folder, config, command=["ibdrop", "train"], overrides=[f"beta={beta}"])
    metrics = {"test_images": 500, "test_error": error, "test_accuracy": 1 - error}
    run.update(status="finished", metrics={**metrics, "kl": {"D0": 3.5}, "kl_total": 3.5})
    return run


@pytest.mark.parametrize("command", PARSERS)
def test_help_ends_with_examples_and_the_next_step(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command, ["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"usage: ibdrop {command} ")
    assert text.index("examples:\n") < text.index("next: ")


@pytest.mark.parametrize(
    "command", ["evaluate", "rank", "heatmap", "reconstruct", "report", "compare", "resume"]
)
def test_a_missing_run_is_a_usage_error(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(command, []) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"usage: ibdrop {command} ")
    assert "the following arguments are required: RUN" in text
    assert text.endswith(
        "`ibdrop runs` lists the runs there are; `latest` stands for the newest\n"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--passes", "0"], "argument --passes: '0' is no whole number above 0"),
        (["--passes", "many"], "argument --passes: 'many' is no whole number above 0"),
        (["--images", "-3"], "argument --images: '-3' is no whole number above 0"),
    ],
)
def test_bad_counts(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("rank", ["RUN", *words]) == 2
    assert f"ibdrop rank: {message}\n" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["rank", "heatmap", "reconstruct"])
def test_only_data_and_trainer_change(command: str, tmp_path: Path) -> None:
    finished(tmp_path / "a")
    with pytest.raises(ConfigError) as caught:
        main(command, [str(tmp_path / "a"), "optim.lr=1", "--images", "3", "foo"])
    assert caught.value.problems == (
        "optim.lr=1: only dataset.* and trainer.* change here",
        "foo: only dataset.* and trainer.* change here",
    )


def test_indices(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser("heatmap").parse_args(["RUN", "--index", "3,17"]).index == [3, 17]
    assert main("heatmap", ["RUN", "--index", "3,x"]) == 2
    message = "argument --index: '3,x' is no list of image numbers such as 3,17"
    assert message in capsys.readouterr().err


def test_report_names_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "a")
    assert main("report", [str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out == f"report  {tmp_path}/a/report.html\n"
    assert (tmp_path / "a" / "REPORT.md").is_file()


def test_runs_lists_and_writes_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "a")
    finished(tmp_path / "b", beta=1.0).update(status="failed", started="2020-01-01T00:00:00")
    assert main("runs", [str(tmp_path), "--csv", str(tmp_path / "runs.csv")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert " ".join(lines[0].split()) == "when name status beta test error KL [nats] folder"
    assert [line.split()[2:6] for line in lines[1:3]] == [
        ["a", "finished", "0.1", "2.00%"],
        ["b", "failed", "1", "2.00%"],
    ]
    with (tmp_path / "runs.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["finished", "failed"]


def test_runs_of_an_empty_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("runs", [str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}; `ibdrop train` makes one\n"
    with pytest.raises(RunError, match=f"^there is no folder {tmp_path}/a$"):
        main("runs", [str(tmp_path / "a")])


def test_compare_puts_changed_parameters_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finished(tmp_path / "a", beta=0.1)
    finished(tmp_path / "b", beta=1.0, error=0.01)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main("compare", [*folders, "--csv", str(tmp_path / "c.csv")]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"A  {folders[0]}\nB  {folders[1]}\n")
    assert text.index("beta ") < text.index("test_error ↓")
    assert (tmp_path / "c.csv").read_text().startswith(f"part,name,{folders[0]},{folders[1]}\n")


def test_compare_needs_two(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    with pytest.raises(RunError, match="compare needs at least two runs"):
        main("compare", [str(tmp_path / "a")])


def test_latest_is_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IBDROP_OUTPUTS", str(tmp_path))
    with pytest.raises(RunError, match="there are no runs in .*; `ibdrop train` makes one"):
        main("report", ["latest"])
    finished(tmp_path / "a")
    finished(tmp_path / "b").update(started="2020-01-01T00:00:00+00:00")
    assert main("report", ["latest"]) == 0
    assert capsys.readouterr().out == f"report  {tmp_path}/a/report.html\n"


def test_evaluate_changes_no_weights(tmp_path: Path) -> None:
    finished(tmp_path / "a")
    with pytest.raises(ConfigError) as caught:
        main("evaluate", [str(tmp_path / "a"), "model.width=2", "dataset.root=x"])
    assert str(caught.value) == (
        "model.width=2: evaluate changes only dataset.*, trainer.*, artifacts.*"
    )


def test_a_finished_run_is_not_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished(tmp_path / "a")
    assert main("resume", [str(tmp_path / "a")]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path}/a has finished already")


def test_a_running_run_is_not_resumed(tmp_path: Path) -> None:
    finished(tmp_path / "a").update(status="running")
    with pytest.raises(RunError, match=r"a is still running \(process \d+ on"):
        main("resume", [str(tmp_path / "a")])


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    command = ["ibdrop", "train", "--config-dir", "mine", "sweep=beta"]
    Sweep.create(tmp_path, command=command, overrides=["sweep=beta"], jobs=JOBS).end()
    finished(tmp_path / "0_beta-0.1").update(status="interrupted")
    Run.fail(tmp_path / "1_beta-1", [*JOBS[1], "hydra.mode=RUN"], "no such key")
    return tmp_path


def test_resume_of_a_sweep_carries_out_what_is_missing(
    sweep: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []

    def pretend(words: list[str]) -> int:
        assert words[:3] == [sys.executable, "-m", "ibdrop"]
        called.append(words[3:])
        if words[3] == "resume":
            Run.open(Path(words[4])).update(status="finished")
            return 0
        folder = Path(words[-1].removeprefix("hydra.run.dir=").strip("'"))
        finished(folder)
        return 0

    monkeypatch.setattr(again, "_call", pretend)
    assert main("resume", [str(sweep)]) == 0
    common = ["train", "--config-dir", "mine", "sweep=beta"]
    assert called == [
        ["resume", f"{sweep}/0_beta-0.1"],
        [*common, "beta=1", "hydra.mode=RUN", f"hydra.run.dir='{sweep}/1_beta-1'"],
        [*common, "beta=10", "hydra.mode=RUN", f"hydra.run.dir='{sweep}/2_beta-10'"],
    ]
    assert "3 of 3 jobs finished" in capsys.readouterr().out
    assert Sweep.open(sweep).status == "finished"
    assert main("resume", [str(sweep)]) == 0
    assert capsys.readouterr().out == f"all 3 jobs of {sweep} have finished already\n"


def test_an_interrupt_ends_the_sweep(sweep: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    def interrupted(words: list[str]) -> int:
        called.append(words)
        return 143

    monkeypatch.setattr(again, "_call", interrupted)
    assert main("resume", [str(sweep)]) == 143
    assert len(called) == 1
    assert Sweep.open(sweep).record["status"] == "incomplete"


def test_a_job_that_fails_again_does_not_stop_the_others(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    def failing(words: list[str]) -> int:
        called.append(words)
        return 1

    monkeypatch.setattr(again, "_call", failing)
    assert main("resume", [str(sweep)]) == 1
    assert len(called) == 3


def test_a_running_sweep_is_left_alone(sweep: Path) -> None:
    Sweep.open(sweep).begin_again()
    with pytest.raises(RunError, match=r"is still running \(process \d+ on"):
        main("resume", [str(sweep)])


def test_children_get_sigterm() -> None:
    script = (
        "import os, signal, sys, threading\n"
        "from ibdrop.cli.again import _call\n"
        "threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "sys.exit(-_call([sys.executable, '-c', 'import time; time.sleep(30)']))\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=20).returncode == 15


@pytest.mark.parametrize("command", ["runs", "compare"])
def test_tables_do_without_torch(tmp_path: Path, command: str) -> None:
    finished(tmp_path / "a")
    finished(tmp_path / "b")
    words = [str(tmp_path)] if command == "runs" else [str(tmp_path / "a"), str(tmp_path / "b")]
    script = (
        "import sys\nfrom ibdrop.cli.runs import main\n"
        f"assert main({command!r}, {words!r}) == 0\n"
        "assert not {'torch', 'matplotlib', 'hydra'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
