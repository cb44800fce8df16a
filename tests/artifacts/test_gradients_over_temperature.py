from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from ibdrop.artifacts.gradients_over_temperature import COSTS, FIGURES, draw_gradients
from ibdrop.files import read_csv, write_csv

PATHS = ("unit", "decoder", "KL", "total")


def write_run(
    root: Path, name: str, temperature: float, level: float, *, bounds: bool = True, **given: Any
) -> dict[str, Any]:
    """A run all of whose figures are `level`."""
    place = root / name / "artifacts"
    place.mkdir(parents=True)
    setting = {
        "states": 2,
        "objective": "density",
        "temperature": temperature,
        "prior_temperature": 0.75 * temperature,
        **given,
    }
    rows: list[dict[str, Any]] = [
        {"path": path, **setting, **dict.fromkeys(FIGURES, level)} for path in PATHS
    ]
    rows[0] |= dict.fromkeys(("limit_mean", "limit_signal", "limit_second"), level)
    write_csv(place / "concrete_gradients.csv", rows)
    epochs = [
        {"epoch": 1, "train_loss": 200, "train_kl": 20, "val_cost": 150, "val_kl": 9},
        {"epoch": 2, "train_loss": 140, "train_kl": 30, "val_cost": 150 + level, "val_kl": 8},
    ]
    write_csv(root / name / "metrics.csv", epochs)
    if bounds:
        found = [{"samples": m, "elbo": -150 - level, "nll": 120 + level} for m in (1, 100)]
        write_csv(place / "bounds_summary.csv", found)
    return {"folder": name}


def test_means_over_seeds(tmp_path: Path) -> None:
    rows = [
        write_run(tmp_path, "0", 0.1, 0.2),
        write_run(tmp_path, "1", 1.0, 0.1),
        write_run(tmp_path, "2", 0.1, 0.4),
    ]
    files = draw_gradients(rows, tmp_path, tmp_path)
    assert [file.name for file in files] == [
        "gradients_over_temperature.png",
        "gradients_over_temperature.csv",
        "costs_over_temperature.csv",
        "gradient_law.png",
    ]
    found = read_csv(files[1])
    places = [(float(row["temperature"]), row["path"], row["runs"]) for row in found]
    assert places == [(1.0, p, "1") for p in PATHS] + [(0.1, p, "2") for p in PATHS]
    assert [float(row["noise"]) for row in found[3:5]] == pytest.approx([0.1, 0.3])
    warm, cold = read_csv(files[2])
    assert [float(cold[name]) for name in COSTS] == pytest.approx(
        [140, 30, 150.3, 8, 150.3, 120.3, 1]
    )
    assert float(cold["nll_sd"]) == pytest.approx(math.sqrt(0.02))
    assert (warm["nll_sd"], float(cold["m"])) == ("", 100)


def test_runs_without_bounds_are_drawn(tmp_path: Path) -> None:
    rows = [write_run(tmp_path, str(t), t, 0.0, bounds=False) for t in (2.0, 0.02)]
    files = draw_gradients(rows, tmp_path, tmp_path)
    assert len(files) == 4
    assert read_csv(files[2])[0]["nll"] == ""


def test_what_differs_otherwise_is_not_mixed(tmp_path: Path) -> None:
    rows = [write_run(tmp_path, str(t), t, 0.1) for t in (1.0, 0.5, 0.1)]
    rows.append(write_run(tmp_path, "nary", 0.2, 0.1, states=4))
    rows.append(write_run(tmp_path, "ratio", 0.3, 0.1, prior_temperature=0.3))
    files = draw_gradients(rows, tmp_path, tmp_path)
    assert [float(row["temperature"]) for row in read_csv(files[2])] == [1.0, 0.5, 0.1]


def test_many_states_have_their_own_mark(tmp_path: Path) -> None:
    rows = [write_run(tmp_path, str(t), t, 0.1, states=4) for t in (1.0, 0.1)]
    assert len(draw_gradients(rows, tmp_path, tmp_path)) == 3


def test_one_temperature_is_no_sweep(tmp_path: Path) -> None:
    rows = [write_run(tmp_path, name, 1.0, 0.1) for name in "ab"]
    (tmp_path / "other").mkdir()
    assert draw_gradients([*rows, {"folder": "other"}], tmp_path, tmp_path) == []
    assert draw_gradients([{"folder": "other"}], tmp_path, tmp_path) == []
