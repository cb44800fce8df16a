from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ibdrop import files
from ibdrop.errors import RunError
from ibdrop.runs import provenance
from ibdrop.runs.folder import Run, find_runs

MakeRun = Callable[..., Run]


def begin(folder: Path) -> Run:
    return Run.create(folder, {"seed": 0, "beta": 1e-3}, command=["ibdrop", "train"], overrides=[])


def message(folder: Path) -> str:
    with pytest.raises(RunError) as caught:
        Run.open(folder)
    return str(caught.value)


def test_a_run_comes_back_as_it_was_left(tmp_path: Path) -> None:
    config = {"name": "a", "seed": 3, "beta": 1e-5, "noise": {"_target_": "x.Y", "caps": [1, 2.5]}}
    run = Run.create(tmp_path / "a", config, command=["ibdrop", "train"], overrides=["seed=3"])
    run.update(status="finished", metrics={"test_error": 0.5, "test_nll": float("nan")})

    again = Run.open(tmp_path / "a")
    assert again.config == config
    assert again.status == "finished"
    assert again.metrics == {"test_error": 0.5, "test_nll": None}
    assert again.record["format"] == 1
    assert again.record["overrides"] == ["seed=3"]
    assert again.record["versions"]["torch"]
    assert again.name == "a"


def test_paths(tmp_path: Path) -> None:
    run = begin(tmp_path / "a")
    assert run.checkpoints.is_dir()
    assert run.artifacts.is_dir()
    assert run.metrics_csv == tmp_path / "a" / "metrics.csv"
    assert run.log == tmp_path / "a" / "train.log"
    assert run.report == tmp_path / "a" / "report.html"


def test_a_failed_write_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begin(tmp_path / "a")
    before = (tmp_path / "a" / "run.json").read_text()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run.update(epoch=7)
    assert (tmp_path / "a" / "run.json").read_text() == before
    assert not list((tmp_path / "a").glob(".run.json*"))


def test_running_is_killed_once_its_process_is_gone(tmp_path: Path) -> None:
    run = begin(tmp_path / "a")
    assert Run.open(tmp_path / "a").status == "running"
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    run.update(pid=gone.pid)
    assert Run.open(tmp_path / "a").status == "killed"


def test_a_reused_process_number_counts_as_gone(tmp_path: Path) -> None:
    run = begin(tmp_path / "a")
    run.update(pid_since=run.record["pid_since"] - 1)
    assert run.status == "killed"


def test_the_process_of_another_host_may_still_run(tmp_path: Path) -> None:
    run = begin(tmp_path / "a")
    run.update(host="elsewhere", pid=2**22 + 1)
    assert run.status == "running"


def test_no_folder(tmp_path: Path) -> None:
    assert message(tmp_path / "a") == (
        f"there is no folder {tmp_path}/a; `ibdrop runs` lists the runs there are"
    )


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert message(tmp_path / "a") == (
        f"{tmp_path}/a is a file, not the folder of a run; `ibdrop runs` lists the runs there are"
    )


def test_an_empty_folder(tmp_path: Path) -> None:
    assert message(tmp_path) == (
        f"{tmp_path} is not a run: it has no run.json; `ibdrop runs` lists the runs there are"
    )


def test_a_folder_inside_a_run(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    assert message(tmp_path / "a" / "checkpoints") == (
        f"{tmp_path}/a/checkpoints is inside a run; the run is {tmp_path}/a"
    )


def test_a_file_inside_a_run(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    assert message(tmp_path / "a" / "run.json").endswith(f"the run is {tmp_path}/a")


def test_a_folder_of_runs(tmp_path: Path) -> None:
    for name in ("10_b", "2_b"):
        begin(tmp_path / "day" / name)
    assert message(tmp_path) == (
        f"{tmp_path} is a folder of runs, not a run; its runs are: day/2_b, day/10_b"
    )


def test_a_sweep_names_its_first_runs(tmp_path: Path) -> None:
    (tmp_path / "sweep.json").write_text("{}")
    for number in range(7):
        begin(tmp_path / str(number))
    assert message(tmp_path) == (
        f"{tmp_path} is a sweep, not a run; its runs are: 0, 1, 2, 3, 4 ..."
    )


def test_a_damaged_record(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    (tmp_path / "a" / "run.json").write_text('{"format": 1, "sta')
    assert message(tmp_path / "a").startswith(f"{tmp_path}/a/run.json is damaged (Unterminated")


def test_a_foreign_record(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("[1]")
    assert message(tmp_path) == (
        f"{tmp_path}/run.json is not a record of ibdrop: it states no format"
    )


def test_a_newer_format(tmp_path: Path) -> None:
    begin(tmp_path / "a").update(format=2)
    assert message(tmp_path / "a") == (
        f"{tmp_path}/a was written by a newer ibdrop (format 2, this one reads 1); upgrade ibdrop"
    )


def test_a_missing_config(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    (tmp_path / "a" / "config.yaml").unlink()
    assert message(tmp_path / "a") == (
        f"{tmp_path}/a has a run.json but no config.yaml; it cannot be rebuilt"
    )


def test_a_run_that_failed_before_it_began(tmp_path: Path) -> None:
    Run.fail(tmp_path / "a", ["beta=-1"], "beta: -1 is below 0")
    assert [run.status for run in find_runs(tmp_path)] == ["failed"]
    assert message(tmp_path / "a") == (
        f"{tmp_path}/a has a run.json but no config.yaml: "
        "it failed before it began (beta: -1 is below 0)"
    )


def test_failing_leaves_what_is_finished(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a")
    assert Run.fail(tmp_path / "a", [], "late").status == "finished"
    begin(tmp_path / "b")
    assert Run.fail(tmp_path / "b", [], "late").record["error"] == "late"


def test_a_damaged_config(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    (tmp_path / "a" / "config.yaml").write_text("beta: [1,\n")
    run = Run.open(tmp_path / "a")
    with pytest.raises(RunError, match=r"config\.yaml is damaged \(.*; the run cannot be rebuilt"):
        _ = run.config


def test_a_finished_run_is_never_overwritten(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a")
    with pytest.raises(RunError, match="a already holds a finished run; choose another folder"):
        begin(tmp_path / "a")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    with pytest.raises(RunError, match=r"is being written by process \d+ on"):
        begin(tmp_path / "a")


def test_a_run_that_can_go_on_is_not_started_anew(tmp_path: Path) -> None:
    run = begin(tmp_path / "a")
    run.update(status="interrupted")
    (run.checkpoints / "last.ckpt").touch()
    with pytest.raises(RunError, match="holds a run that can go on: `ibdrop resume"):
        begin(tmp_path / "a")


def test_a_failed_run_may_be_started_anew(tmp_path: Path) -> None:
    begin(tmp_path / "a").update(status="failed", error="no data")
    assert begin(tmp_path / "a").record["error"] is None


def test_two_that_start_at_once_do_not_share(tmp_path: Path) -> None:
    (tmp_path / "a" / "checkpoints").mkdir(parents=True)
    with pytest.raises(RunError, match="another run is starting in"):
        begin(tmp_path / "a")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(RunError, match=r"cannot write the run folder .*/a/b: Not a directory"):
        begin(tmp_path / "a" / "b")


def test_repeat_is_quoted_and_keeps_where_configs_come_from() -> None:
    command = ["ibdrop", "train", "-m", "--config-dir", "my conf", "beta=1,2", "-cn=x"]
    line = provenance.repeat(command, ["beta=1", "name=a b"])
    assert line == "ibdrop train --config-dir 'my conf' -cn=x beta=1 'name=a b'"


def test_repeat_of_one_job_is_no_sweep() -> None:
    command = ["ibdrop", "train", "sweep=beta", "beta=1", "hydra.mode=RUN", "hydra.run.dir=x"]
    line = provenance.repeat(command, ["sweep=beta", "beta=1"])
    assert line == "ibdrop train sweep=beta beta=1 hydra.mode=RUN"


def test_git_of_no_checkout_is_nothing(tmp_path: Path) -> None:
    assert provenance.git(tmp_path) is None


def test_git_tells_commit_and_changes(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "a")
    clean = provenance.git(tmp_path)
    assert clean is not None
    assert len(clean["commit"]) == 40
    assert clean["dirty"] is False
    (tmp_path / "a").write_text("2")
    changed = provenance.git(tmp_path)
    assert changed is not None
    assert changed["dirty"] is True


def test_records_are_plain_json(tmp_path: Path) -> None:
    begin(tmp_path / "a")
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["status"] == "running"
    assert {"started", "versions", "git", "host", "pid"} <= set(record)
