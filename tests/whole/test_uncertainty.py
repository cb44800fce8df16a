"""The installed command asks finished runs how sure they are."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.whole.conftest import Installed

TINY = (
    "dataset=digits",
    "model.width=0.125",
    "noise=binary",
    "trainer=cpu",
    "trainer.progress=false",
    "epochs=2",
    "artifacts=none",
)


@pytest.fixture(scope="module")
def sweep(installed: Installed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds of a tiny network with dropout."""
    folder = tmp_path_factory.mktemp("sweeps") / "seeds"
    place = f"hydra.sweep.dir={folder}"
    installed.ibdrop("train", "-m", *TINY, "seed=0,1", place, cwd=folder.parent)
    return folder


@pytest.fixture(scope="module")
def run(sweep: Path) -> Path:
    return min(path.parent for path in sweep.glob("*/run.json"))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_without_words_the_figures_are_those_of_the_training(
    installed: Installed, run: Path
) -> None:
    before = files(run)
    said = installed.ibdrop("evaluate", str(run), cwd=run).stdout
    stored = json.loads((run / "run.json").read_text())["metrics"]
    for name in ("test_error", "test_nll", "test_ece"):
        line = next(line for line in said.splitlines() if line.startswith(name))
        assert re.findall(r"\d+\.\d{6}", line) == [f"{stored[name]:.6f}"] * 2
    assert "differs" not in said
    assert files(run) == before


def test_noise_on(installed: Installed, run: Path, tmp_path: Path) -> None:
    said = installed.ibdrop(
        "evaluate", str(run), "noise=on", "--output", str(tmp_path / "mc"), cwd=tmp_path
    ).stdout
    plain, noisy = rows(tmp_path / "mc" / "figures.csv")
    assert (plain["prediction"], noisy["passes"]) == ("deterministic", "50")
    assert float(noisy["nll_se"]) > 0
    assert re.search(r"^nll +0?\d*\.\d+ +\d\.\d+ ± 0\.\d+ *$", said, re.MULTILINE)
    assert f"wrote  {tmp_path}/mc/selective.png" in said


def test_corruption(installed: Installed, run: Path, tmp_path: Path) -> None:
    words = ["corruption=gaussian_noise", "severity=1,5", "--output", str(tmp_path / "worse")]
    installed.ibdrop("evaluate", str(run), *words, cwd=tmp_path)
    found = rows(tmp_path / "worse" / "corruptions.csv")
    assert [row["severity"] for row in found] == ["0", "1", "5"]
    assert {row["prediction"] for row in found} == {"deterministic"}


def test_outliers(installed: Installed, run: Path) -> None:
    installed.ibdrop("evaluate", str(run), "ood=uniform", "passes=5", cwd=run)
    place = run / "evaluations" / "ood-uniform_passes-5"
    assert (place / "ood.png").is_file()
    found = rows(place / "ood.csv")
    assert all(0 <= float(row["auroc"]) <= 1 for row in found)


def test_a_sweep_is_an_ensemble(installed: Installed, sweep: Path) -> None:
    said = installed.ibdrop("evaluate", str(sweep), "passes=4", cwd=sweep).stdout
    found = rows(sweep / "ensemble_2_members_passes-4" / "ensemble.csv")
    kinds = [(row["of"], row["prediction"]) for row in found]
    one = ["member", "member", "mean of members", "ensemble"]
    assert kinds == [(of, kind) for kind in ("deterministic", "monte carlo") for of in one]
    assert "ensemble (2)" in said


def test_a_mistyped_word(installed: Installed, run: Path) -> None:
    before = files(run)
    words = ["corruptoin=gaussian_noise", "ood=unifrom"]
    said = installed.ibdrop("evaluate", str(run), *words, cwd=run, expect=2).stderr
    assert "2 problems:" in said
    assert "did you mean 'corruption'?" in said
    assert "did you mean 'uniform'?" in said
    assert files(run) == before
