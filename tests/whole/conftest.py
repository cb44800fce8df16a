"""Whole runs of the installed command on tiny data."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("ibdrop")
TINY = (
    "model=allcnn",
    "model.width=0.25",
    "dataset=cluttered_digits",
    "dataset.train_images=400",
    "dataset.val_images=60",
    "dataset.test_images=60",
    "epochs=3",
    "batch_size=20",
    "trainer=cpu",
    "trainer.progress=false",
    "artifacts=quick",
)


def environment() -> dict[str, str]:
    """One thread, so that runs on a busy machine stay quick and alike."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("IBDROP_")}
    return kept | {"OMP_NUM_THREADS": "1", "COLUMNS": "200", "MPLBACKEND": "agg"}


class Installed:
    """The installed command, run on tiny data in a process of its own."""

    def ibdrop(self, *words: str, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs the installed command and checks its exit status."""
        done = subprocess.run(
            [COMMAND, *words],
            cwd=cwd,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def train(
        self, folder: Path, *extra: str, expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """A tiny run in exactly this folder."""
        return self.ibdrop(
            "train", *TINY, f"hydra.run.dir={folder}", *extra, cwd=folder.parent, expect=expect
        )

    def interrupted(self, folder: Path, *extra: str, number: signal.Signals, after: int) -> int:
        """Starts a tiny run, sends a signal after some epochs; gives the exit status."""
        process = subprocess.Popen(
            [COMMAND, "train", *TINY, f"hydra.run.dir={folder}", *extra],
            cwd=folder.parent,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 200
        while time.monotonic() < deadline and process.poll() is None:
            rows = folder / "metrics.csv"
            if rows.exists() and len(rows.read_text().splitlines()) > after:
                break
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait(timeout=120)

    def record(self, folder: Path) -> dict[str, Any]:
        """What `run.json` says."""
        content: dict[str, Any] = json.loads((folder / "run.json").read_text())
        return content


@pytest.fixture(scope="session")
def installed() -> Installed:
    """The installed command."""
    return Installed()


@pytest.fixture(scope="session")
def finished(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that went through to its end."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    installed.train(folder)
    return folder
