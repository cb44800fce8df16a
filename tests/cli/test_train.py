from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from ibdrop.cli.hooks import claim
from ibdrop.cli.jobs import varying
from ibdrop.cli.main import main
from ibdrop.errors import ConfigError, Interrupted, TrainingError

NOISES = (
    "the options of noise are binary, concrete, constant_lognormal, gaussian, information, "
    "information_binary, none, sparse_variational, variational"
)


class Training:
    """Stands in for training; keeps what it was called with, and fails where it is told to."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.errors: dict[float, BaseException] = {}
        self.too_early: Exception | None = None

    def train(
        self, config: dict[str, Any], folder: Path, *, command: list[str], overrides: list[str]
    ) -> float:
        from ibdrop.runs.folder import Run

        if self.too_early is not None:
            raise self.too_early
        run = Run.create(folder, config, command=command, overrides=overrides)
        given = {"config": config, "folder": folder, "command": command}
        self.calls.append({**given, "overrides": overrides})
        error = self.errors.get(config["beta"])
        if error is not None:
            run.update(status="failed", error=str(error))
            raise error
        run.update(status="finished", metrics={"test_error": 0.25})
        return 0.25


@pytest.fixture
def outputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IBDROP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return tmp_path / "outputs"


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch, outputs: Path) -> Iterator[Training]:
    stand_in = Training()
    module = types.ModuleType("ibdrop.runs.train")
    module.train = stand_in.train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ibdrop.runs.train", module)
    GlobalHydra.instance().clear()
    yield stand_in
    GlobalHydra.instance().clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


class TestMistakes:
    """Nothing is created, status 2, and one line for each mistake."""

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (["betta=1"], "no such key 'betta'; did you mean 'beta'?"),
            (["zzzz=1"], "no such key 'zzzz'; `ibdrop train --help` lists them"),
            (["+betta=1"], "no such key 'betta'; did you mean 'beta'?"),
            (["modle=mlp"], "no such key 'modle'; did you mean 'model'?"),
            (["model.widht=1"], "no such key 'model.widht'; did you mean 'model.width'?"),
            (
                ["noise=binary", "noise.max_alpha=1"],
                "no such key 'noise.max_alpha'; noise=binary has noise.rate, noise.whole_channels",
            ),
            (
                ["noise=none", "noise.max_alpha=1"],
                "no such key 'noise.max_alpha'; noise=none has no parameters",
            ),
            (
                ["noise=infomation"],
                f"noise=infomation: no such option; did you mean 'information'? {NOISES}",
            ),
            (["noise=null"], f"noise=null: a run needs one; {NOISES}"),
            (["~noise"], "noise: is missing; choose one with noise=OPTION"),
            (["beta=abc"], "beta: 'abc' is not a number"),
            (["beta="], "beta: '' is not a number"),
            (["seed=1.5"], "seed: 1.5 is not a whole number"),
            (["loggers=csv"], "loggers: 'csv' is not a list of words, such as [csv]"),
            (["beta=-1"], "beta: -1 is negative; the weight of the information term is 0 or more"),
            (["beta"], "'beta' is no KEY=VALUE"),
            (
                ["name=a=b"],
                "'name=a=b' cannot be read; "
                "put a value with special characters in quotes: 'name=\"...\"'",
            ),
            (["beta=0,1"], "beta=0,1: several values; add -m to sweep over them"),
            (
                ["+model.widht=3"],
                "model.widht: AllCNN takes no such argument; did you mean 'width'?",
            ),
            (["--foo"], "unrecognized arguments: --foo; `ibdrop train --help` lists the flags"),
            (["--config-dir", "/nowhere"], "--config-dir: there is no folder /nowhere"),
        ],
    )
    def test_one(
        self,
        words: list[str],
        expected: str,
        training: Training,
        outputs: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        assert main(["train", *words]) == 2
        assert lines(capsys) == [f"ibdrop: {expected}"]
        assert not outputs.exists()
        assert not training.calls

    def test_all_at_once(self, training: Training, capsys: pytest.CaptureFixture[str]) -> None:
        words = ["betta=1", "beta=-1", "model.widht=3", "noise=infomation", "seed=x", "epochs=0"]
        assert main(["train", *words]) == 2
        assert lines(capsys) == [
            "ibdrop: 6 problems:",
            f"  noise=infomation: no such option; did you mean 'information'? {NOISES}",
            "  no such key 'betta'; did you mean 'beta'?",
            "  no such key 'model.widht'; did you mean 'model.width'?",
            "  seed: 'x' is not a whole number",
            "  beta: -1 is negative; the weight of the information term is 0 or more",
            "  epochs: 0 is too few; it is 1 or more",
        ]

    def test_in_any_job_of_a_sweep(
        self, training: Training, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["-m", "beta=0,abc", "seed=0,-1", "noise=information,nne"]
        assert main(["train", *words]) == 2
        assert lines(capsys) == [
            "ibdrop: 3 problems:",
            f"  noise=nne: no such option; did you mean 'none'? {NOISES}",
            "  beta: 'abc' is not a number",
            "  seed: -1 is negative; a seed is 0 or more",
        ]
        assert not outputs.exists()

    def test_in_the_last_job_only(
        self, training: Training, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "-m", "beta=0,1,-1"]) == 2
        assert lines(capsys)[0].startswith("ibdrop: beta: -1 is negative")
        assert not outputs.exists()
        assert not training.calls

    def test_flags_that_exclude_each_other(
        self, training: Training, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["train", "--cfg", "job", "-m"]) == 2
        assert lines(capsys)[0].startswith("ibdrop: Only one of --run, --multirun, --cfg")

    def test_cuda_asked_for_where_there_is_none(
        self,
        training: Training,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert main(["train", "trainer.device=cuda"]) == 2
        assert lines(capsys) == [
            "ibdrop: trainer.device: CUDA was asked for, but this machine has no usable CUDA "
            "device; use trainer=auto or trainer=cpu"
        ]

    def test_in_a_file_of_the_users(
        self, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "noise").mkdir()
        (tmp_path / "noise" / "bad.yaml").write_text("a: 1\n  b: 2\n")
        assert main(["train", "--config-dir", str(tmp_path), "noise=bad"]) == 2
        place = f"{tmp_path}/noise/bad.yaml, line 2"
        (line,) = lines(capsys)
        assert line.startswith(f"ibdrop: {place}: mapping values are not allowed")

    def test_hydra_shows_its_own_error_to_who_asks(
        self, training: Training, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        with pytest.raises(Exception, match="Could not override 'betta'"):
            main(["train", "betta=1"])


class TestRun:
    def test_gets_plain_values_and_a_folder_of_its_own(
        self, training: Training, outputs: Path, tmp_path: Path
    ) -> None:
        assert main(["train", "beta=0.5", "model=mlp"]) == 0
        (call,) = training.calls
        assert call["overrides"] == ["beta=0.5", "model=mlp"]
        assert call["command"] == ["ibdrop", "train", "beta=0.5", "model=mlp"]
        assert call["config"]["output_dir"] == str(outputs)
        json.dumps(call["config"])
        folder = call["folder"]
        assert folder.name.endswith("_cluttered_digits_mlp_information_beta-0.5")
        assert folder.parent.parent == outputs
        assert "=" not in str(folder.relative_to(outputs))
        assert (folder / "train.log").is_file()

    def test_a_relative_output_folder_becomes_absolute(
        self, training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert main(["train", "output_dir=here"]) == 0
        assert training.calls[0]["config"]["output_dir"] == str(tmp_path / "here")
        assert training.calls[0]["folder"].is_relative_to(tmp_path / "here")

    def test_a_name_is_made_fit_for_a_folder(self, training: Training) -> None:
        assert main(["train", "name='a b/c'"]) == 0
        assert training.calls[0]["config"]["name"] == "a b/c"
        assert training.calls[0]["folder"].name.endswith("_a-b-c")

    def test_flags_may_stand_anywhere(self, training: Training, tmp_path: Path) -> None:
        assert main(["train", "beta=0.5", "--config-dir", str(tmp_path), "seed=3"]) == 0
        assert training.calls[0]["config"]["seed"] == 3

    def test_a_folder_that_holds_a_run_is_refused(
        self, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["train", f"hydra.run.dir={tmp_path / 'run'}"]
        assert main(words) == 0
        before = (tmp_path / "run" / "run.json").read_bytes()
        assert main(words) == 2
        folder = tmp_path / "run"
        assert lines(capsys) == [
            f"ibdrop: hydra.run.dir: {folder} already holds a run; choose another folder, "
            f"or continue it with `ibdrop resume {folder}`"
        ]
        assert (folder / "run.json").read_bytes() == before

    def test_an_unusable_output_folder(
        self, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / "file").touch()
        assert main(["train", f"output_dir={tmp_path / 'file'}"]) == 2
        (line,) = lines(capsys)
        assert line.startswith(f"ibdrop: output_dir: cannot make the folder {tmp_path / 'file'}/")
        assert "not a directory" in line

    def test_an_error_of_the_users_is_one_sentence(
        self, training: Training, outputs: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        training.errors[2.0] = TrainingError("the loss is NaN")
        assert main(["train", "beta=2"]) == 1
        assert lines(capsys) == ["ibdrop: the loss is NaN"]
        assert "TrainingError" in (training.calls[0]["folder"] / "train.log").read_text()

    def test_a_bug_keeps_its_traceback(self, training: Training) -> None:
        training.errors[2.0] = error = KeyError("a bug")
        with pytest.raises(KeyError) as caught:
            main(["train", "beta=2"])
        assert caught.value is error
        assert caught.traceback[-1].name == "train"

    def test_what_fails_before_it_begins_leaves_no_folder(
        self, training: Training, outputs: Path
    ) -> None:
        training.too_early = ConfigError(["dataset.root: is not there"])
        assert main(["train"]) == 2
        assert list(outputs.glob("*/*")) == []

    @pytest.mark.parametrize(("number", "status"), [(2, 130), (15, 143)])
    def test_an_interrupt_has_its_status(
        self, training: Training, number: int, status: int, capsys: pytest.CaptureFixture[str]
    ) -> None:
        training.errors[2.0] = Interrupted("stopped", number)
        assert main(["train", "beta=2"]) == status
        assert lines(capsys) == ["ibdrop: stopped"]


class TestSweep:
    def test_each_job_has_its_folder(self, training: Training, outputs: Path) -> None:
        assert main(["train", "trainer=smoke", "-m", "beta=0,1", "seed=0,1"]) == 0
        (sweep,) = (outputs / "sweeps").glob("*/*")
        assert sweep.name.endswith("_beta-0-1_seed-0-1")
        names = sorted(path.parent.name for path in sweep.glob("*/run.json"))
        assert names == [
            "0_beta-0_seed-0",
            "1_beta-0_seed-1",
            "2_beta-1_seed-0",
            "3_beta-1_seed-1",
        ]
        assert training.calls[1]["overrides"] == ["trainer=smoke", "beta=0", "seed=1"]
        assert (sweep / "sweep.csv").read_text().count("\n") == 5
        record = json.loads((sweep / "sweep.json").read_text())
        assert record["status"] == "finished"
        assert len(record["jobs"]) == 4

    def test_a_file_can_ask_for_it(self, training: Training) -> None:
        assert main(["train", "sweep=beta", "beta=0,1"]) == 0
        overrides = [call["overrides"] for call in training.calls]
        assert [sorted(found) for found in overrides] == [
            ["beta=0", "hydra.mode=RUN", "sweep=beta"],
            ["beta=1", "hydra.mode=RUN", "sweep=beta"],
        ]

    def test_the_overrides_of_a_job_repeat_it_alone(self, training: Training) -> None:
        assert main(["train", "sweep=beta", "beta=0,1"]) == 0
        assert main(["train", *training.calls[1]["overrides"]]) == 0
        assert len(training.calls) == 3
        repeated = training.calls[2]["config"]
        assert {**repeated, "output_dir": ""} == {**training.calls[1]["config"], "output_dir": ""}

    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (ConfigError(["noise: too loud"]), 2, "noise: too loud"),
            (TrainingError("the loss is NaN"), 1, "the loss is NaN"),
            (KeyError("a bug"), 1, "KeyError: 'a bug'"),
        ],
    )
    def test_goes_on_after_a_failed_job(
        self,
        training: Training,
        error: Exception,
        status: int,
        words: str,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        training.errors[1.0] = error
        assert main(["train", "-m", "beta=0,1,2"]) == status
        assert len(training.calls) == 3
        announced = [line for line in lines(capsys) if line]
        assert announced == [
            "job 1 of 3: 0_beta-0",
            "job 2 of 3: 1_beta-1",
            f"this job failed: {words}",
            "job 3 of 3: 2_beta-2",
            "ibdrop: 1 of 3 jobs of the sweep failed; each train.log tells more",
            f"  1_beta-1: {words}",
        ]
        sweep = training.calls[0]["folder"].parent
        assert json.loads((sweep / "sweep.json").read_text())["status"] == "incomplete"
        assert (sweep / "sweep.csv").read_text().count("\n") == 4

    def test_stops_at_an_interrupt(
        self, training: Training, capsys: pytest.CaptureFixture[str]
    ) -> None:
        training.errors[1.0] = Interrupted("stopped by SIGTERM", 15)
        assert main(["train", "-m", "beta=0,1,2"]) == 143
        assert len(training.calls) == 2
        sweep = training.calls[0]["folder"].parent
        assert capsys.readouterr().out.splitlines()[-1] == f"resume  ibdrop resume {sweep}"
        assert (sweep / "sweep.csv").read_text().count("\n") == 3

    def test_is_refused_in_the_folder_of_another(
        self, training: Training, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = ["train", "-m", "beta=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
        assert main(words) == 0
        assert main(words) == 2
        assert "already holds a sweep" in lines(capsys)[-1]


NOISE = """
from ibdrop.noise.baselines import GaussianNoise


class Mine(GaussianNoise):
    pass
"""


def test_a_noise_of_the_users_beside_the_command(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_own_noise.py").write_text(NOISE)
    (tmp_path / "conf" / "noise").mkdir(parents=True)
    text = "_target_: my_own_noise.Mine\n_partial_: true\nsd: 0.5\n"
    (tmp_path / "conf" / "noise" / "mine.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert main(["train", "--config-dir", "conf", "noise=mine"]) == 0
    assert training.calls[0]["config"]["noise"]["_target_"] == "my_own_noise.Mine"
    assert training.calls[0]["folder"].name.endswith("_mine_beta-0.001")


def test_no_two_claims_get_the_same_folder(tmp_path: Path) -> None:
    got: list[Path] = []
    wanted = tmp_path / "a" / "run"
    threads = [threading.Thread(target=lambda: got.append(claim(wanted))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.name for path in got) == ["run", *(f"run-{n}" for n in range(2, 9))]


def test_varying() -> None:
    assert varying([["a=1", "b=1"], ["a=1", "b=2"]]) == [1]
    assert varying([["a=1"]]) == []
    assert varying([]) == []


def test_showing_the_config_loads_nothing_heavy() -> None:
    script = (
        "import sys\nfrom ibdrop.cli.main import main\nmain(['train', '--cfg', 'job'])\n"
        "print(sorted({'torch', 'pytorch_lightning', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.startswith("beta: 0.001\n")
    assert done.stdout.endswith("[]\n")
    assert done.stderr == ""
