from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from ibdrop import __version__
from ibdrop.cli import health
from ibdrop.cli.doctor import main
from ibdrop.cli.health import Finding, examine
from ibdrop.data import originals
from ibdrop.data.sources import MNIST


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IBDROP_OUTPUTS", str(tmp_path / "outputs"))
    monkeypatch.setenv("IBDROP_DATA", str(tmp_path / "data"))


def plant(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(health, "LOOKS", {f.name: lambda f=f: f for f in findings})


def by_name() -> dict[str, Finding]:
    return {finding.name: finding for finding in examine()}


def test_this_machine_is_healthy_and_nothing_is_left_behind(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert "This machine can train." in shown
    assert all(name in shown for name in health.LOOKS)
    assert f"torch {torch.__version__.partition('+')[0]}" in " ".join(shown.split())
    assert list(tmp_path.iterdir()) == []


def test_quiet_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, Finding("cuda", "ok", "none"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--quiet"]) == 0
    assert capsys.readouterr() == (f"ibdrop {__version__}: ok, CPU only\n", "")


def test_a_failure_exits_with_1_and_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(
        monkeypatch,
        Finding("cuda", "ok", "none"),
        Finding("output folder", "fail", "full", "make room"),
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--quiet"]) == 1
    assert capsys.readouterr() == (
        f"ibdrop {__version__}: fail, CPU only\n",
        "output folder: full; make room\n",
    )
    assert main([]) == 1
    shown = capsys.readouterr().out
    assert "-> make room" in shown
    assert "1 of 2 need attention." in shown


def test_a_note_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, Finding("MNIST", "note", "not there", "fetch it"))
    assert main([]) == 0


def test_a_required_gpu_that_is_not_there_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, Finding("cuda", "ok", "none"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["--require-gpu"]) == 2
    assert capsys.readouterr().err == (
        "ibdrop doctor: --require-gpu, but no CUDA device works here; it takes an NVIDIA "
        "driver, a torch built for CUDA and, in a container, --gpus all\n"
    )


def test_a_required_gpu_that_is_broken_exits_with_2_as_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(monkeypatch, Finding("cuda", "fail", "no device", "update the driver"))
    assert main(["--quiet"]) == 1
    assert main(["--quiet", "--require-gpu"]) == 2
    assert "no device; update the driver" in capsys.readouterr().err


@pytest.mark.gpu
def test_a_required_gpu_that_is_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", "--require-gpu"]) == 0
    assert torch.cuda.get_device_name() in capsys.readouterr().out
    cuda = by_name()["cuda"]
    assert cuda.state == "ok"
    assert "bf16 yes" in cuda.detail


def test_an_unknown_flag_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nonsense"]) == 2
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


def test_a_look_that_breaks_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> Finding:
        raise OSError("no libcudart\nsecond line")

    monkeypatch.setattr(health, "LOOKS", {"cuda": broken})
    (finding,) = examine()
    assert finding == Finding("cuda", "fail", "no libcudart", health.REMEDIES["cuda"])


@pytest.fixture
def old_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(health, "_driver", lambda: "470.82.01")


@pytest.mark.usefixtures("old_driver")
def test_a_driver_without_a_usable_device_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr(health, "CONTROL", tmp_path / "nvidiactl")
    cuda = by_name()["cuda"]
    assert cuda.state == "fail"
    assert cuda.detail == "driver 470.82.01 gives no usable device; torch is built for CUDA 13.0"
    assert "update the driver" in cuda.remedy


@pytest.mark.usefixtures("old_driver")
def test_a_container_that_was_given_no_device_is_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "CONTROL", tmp_path / "nvidiactl")
    cuda = by_name()["cuda"]
    assert cuda.state == "note"
    assert cuda.detail == "driver 470.82.01, but no device given; torch is built for CUDA 13.0"
    assert "--gpus all" in cuda.remedy


def test_a_cpu_build_beside_a_driver_is_worth_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(health, "_driver", lambda: "580.1")
    assert by_name()["cuda"].state == "note"
    monkeypatch.setattr(health, "_driver", lambda: None)
    assert by_name()["cuda"].state == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_folder_that_cannot_be_written_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    monkeypatch.setenv("IBDROP_OUTPUTS", str(locked / "outputs"))
    assert by_name()["output folder"].state == "fail"


def test_an_output_folder_that_is_a_file_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "taken").touch()
    monkeypatch.setenv("IBDROP_OUTPUTS", str(tmp_path / "taken"))
    finding = by_name()["output folder"]
    assert finding.state == "fail"
    assert finding.detail == f"{tmp_path / 'taken'}: Not a directory"
    assert "output_dir=DIR" in finding.remedy


def test_mnist_is_sought_in_the_data_folder(tmp_path: Path) -> None:
    finding = by_name()["MNIST"]
    assert finding.state == "note"
    assert finding.detail == f"not in {tmp_path / 'data' / MNIST.folder}"
    assert finding.remedy.endswith("ibdrop data fetch mnist")


def test_mnist_that_is_damaged_is_worth_a_note(tmp_path: Path) -> None:
    folder = tmp_path / "data" / MNIST.folder
    folder.mkdir(parents=True)
    for file in MNIST.files:
        (folder / file.name).write_bytes(b"cut short")
    finding = by_name()["MNIST"]
    assert finding.state == "note"
    assert MNIST.files[0].name in finding.detail


def test_mnist_that_is_whole_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / MNIST.folder
    folder.mkdir(parents=True)
    for file in MNIST.files:
        (folder / file.name).touch()
    monkeypatch.setattr(originals, "read", lambda source, file, root: b"")
    assert by_name()["MNIST"] == Finding("MNIST", "ok", f"whole, in {folder}")
