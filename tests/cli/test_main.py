from __future__ import annotations

import errno
import importlib
import os
import resource
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from ibdrop import __version__
from ibdrop.cli.main import COMMANDS, main
from ibdrop.errors import ConfigError, IbdropError, Interrupted, RunError, TrainingError


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Lets the command `doctor` raise what the test wants."""

    def install(error: BaseException) -> None:
        def fail(argv: list[str]) -> int:
            raise error

        module = types.ModuleType("ibdrop.cli.doctor")
        module.main = fail  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "ibdrop.cli.doctor", module)

    return install


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"]])
def test_help_names_every_command_with_an_example(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 0
    text = capsys.readouterr().out
    for name, command in COMMANDS.items():
        assert f"  {name} " in text
        assert f"ibdrop {command.example}" in text
    assert "Examples:" in text
    assert "Next: `ibdrop train --help`" in text


def test_every_command_has_its_module() -> None:
    for command in COMMANDS.values():
        assert hasattr(importlib.import_module(f"ibdrop.cli.{command.module}"), "main")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ibdrop {__version__}\n"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["trian"], "no such command 'trian'; did you mean 'train'? `ibdrop --help` lists them"),
        (["zzz"], "no such command 'zzz'. `ibdrop --help` lists them"),
        (["beta=1"], "'beta=1' is no command; did you mean `ibdrop train beta=1`?"),
        (["-m", "beta=1,2"], "'-m' is no command; did you mean `ibdrop train -m beta=1,2`?"),
    ],
)
def test_a_wrong_command(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err == f"ibdrop: {sentence}\n"


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RunError("x is no run"), 2, "ibdrop: x is no run\n"),
        (TrainingError("the loss is NaN"), 1, "ibdrop: the loss is NaN\n"),
        (ConfigError(["a: 1", "b: 2"]), 2, "ibdrop: 2 problems:\n  a: 1\n  b: 2\n"),
        (Interrupted("stopped by SIGTERM", 15), 143, "ibdrop: stopped by SIGTERM\n"),
        (Interrupted("stopped by SIGINT", 2), 130, "ibdrop: stopped by SIGINT\n"),
        (KeyboardInterrupt(), 130, "ibdrop: interrupted\n"),
        (IbdropError(), 2, "ibdrop: IbdropError\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/data/metrics.csv"),
            2,
            "ibdrop: the disk is full, writing /data/metrics.csv; free some space, then start "
            "again, or `ibdrop resume RUN` if the run had begun\n",
        ),
        (
            OSError(errno.EDQUOT, "Disk quota exceeded"),
            2,
            "ibdrop: the disk is full; free some space, then start "
            "again, or `ibdrop resume RUN` if the run had begun\n",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "/data/x"),
            2,
            "ibdrop: cannot use /data/x: permission denied; "
            "choose another place with output_dir=DIR\n",
        ),
    ],
)
def test_errors_are_one_message_and_a_status(
    doctor: Callable[[BaseException], None],
    error: BaseException,
    status: int,
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    doctor(error)
    assert main(["doctor"]) == status
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    "error",
    [KeyError("a bug"), RecursionError(), OSError(errno.EACCES, "no path"), FileNotFoundError(2)],
)
def test_bugs_keep_their_traceback(
    doctor: Callable[[BaseException], None], error: BaseException
) -> None:
    doctor(error)
    with pytest.raises(type(error)):
        main(["doctor"])


def test_the_working_directory_is_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    main(["--version"])
    assert sys.path[-1] == str(tmp_path)


WATCH = """
import sys
from ibdrop.cli.main import main
try:
    status = main({words})
except SystemExit as stop:
    status = stop.code
heavy = sorted({{"torch", "pytorch_lightning", "matplotlib", "sklearn"}} & set(sys.modules))
print(heavy, file=sys.stderr)
sys.exit(status)
"""


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_help_is_quick_and_loads_nothing_heavy(command: str | None) -> None:
    words = ["--help"] if command is None else [command, "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", WATCH.format(words=words)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "100"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"
    assert "xample" in done.stdout or command == "completion"
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < 0.5


def test_the_watch_would_notice() -> None:
    script = "import torch\n" + WATCH.format(words=["--version"])
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert "torch" in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    script = "from ibdrop.cli.main import main; import sys; sys.exit(main([]))"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, check=False
    )
    os.close(writer)
    assert done.returncode == 0
    assert done.stderr == b""
