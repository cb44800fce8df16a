from __future__ import annotations

from pathlib import Path

from ibdrop.files import write_csv
from ibdrop.runs.gradient_tables import gradients


def test_a_run_has_a_line_for_each_path(tmp_path: Path) -> None:
    row = {"path": "KL", "temperature": 2 / 3, "median": 0.34567, "below": 0.0012, "noise": ""}
    write_csv(tmp_path / "concrete_gradients.csv", [row])
    (table,) = gradients(tmp_path)
    assert list(table.columns) == ["temperature", "path", "median", "below 1e-6"]
    assert [list(row) for row in table.rows] == [
        ["0.667", "KL", "0.346", "0.1\N{NO-BREAK SPACE}%"]
    ]


def test_a_sweep_has_its_bounds_besides(tmp_path: Path) -> None:
    rows = [{"temperature": t, "path": "decoder", "snr": t / 3} for t in (1, 0.5)]
    write_csv(tmp_path / "gradients_over_temperature.csv", rows)
    costs = [{"temperature": 1, "train_loss": 151.456, "best_epoch": 3.0, "nll": ""}]
    write_csv(tmp_path / "costs_over_temperature.csv", costs)
    paths, bounds = gradients(tmp_path)
    assert [list(row) for row in paths.rows] == [
        ["1", "decoder", "0.333"],
        ["0.5", "decoder", "0.167"],
    ]
    assert list(bounds.columns) == ["temperature", "relaxed loss ↓", "best epoch"]
    assert [list(row) for row in bounds.rows] == [["1", "151.46", "3"]]


def test_nothing_measured_gives_no_table(tmp_path: Path) -> None:
    assert gradients(tmp_path) == []
