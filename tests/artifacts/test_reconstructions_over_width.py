"""Reconstructions over a sweep: which runs, in which order, with which figures."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from ibdrop.artifacts.reconstructions import Reconstructions
from ibdrop.artifacts.reconstructions_over_width import draw_reconstructions
from ibdrop.artifacts.reconstructions_over_width_picture import Line, draw_lines
from ibdrop.files import read_csv

HIDDEN = "model.hidden"


def swept(
    sketch: SimpleNamespace, folder: Path, widths: list[int], seed: int = 0
) -> list[dict[str, Any]]:
    """The rows of runs of these widths."""
    rows = []
    for width in widths:
        run = folder / f"{width}_{seed}"
        what = sketch.trained(run, width=width)
        artifacts = run / "artifacts"
        artifacts.mkdir(parents=True)
        sketch.run(Reconstructions(4, 9), what, artifacts)
        rows.append({"folder": run.name, "seed": seed, HIDDEN: str(width), "beta": 0.0})
    return rows


def test_the_widest_comes_first_with_the_figures_of_the_test(
    sketch: SimpleNamespace, tmp_path: Path
) -> None:
    rows = swept(sketch, tmp_path, [2, 8, 4])
    files = draw_reconstructions(rows, HIDDEN, [], tmp_path, tmp_path)
    assert [path.name for path in files] == [
        "reconstructions_over_width.png",
        "costs_over_width.png",
        "reconstructions_over_width.csv",
    ]
    found = read_csv(files[-1])
    assert [row["width"] for row in found] == ["2", "8", "4"]
    own = read_csv(tmp_path / "8_0" / "artifacts" / "reconstruction.csv")
    assert (found[1]["ce"], found[1]["mse"]) == (own[0]["ce"], own[0]["mse"])
    assert found[1]["mse_pca"] == own[1]["mse"]
    assert float(found[1]["ce_floor"]) == pytest.approx(
        float(own[0]["ce"]) - float(own[0]["ce_above_floor"])
    )
    assert found[1][HIDDEN] == "8"


def test_lines_are_those_of_one_seed(
    sketch: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Line] = []

    def spy(lines: list[Line]) -> Figure:
        drawn.extend(lines)
        return draw_lines(lines)

    monkeypatch.setattr("ibdrop.artifacts.reconstructions_over_width.draw_lines", spy)
    rows = swept(sketch, tmp_path, [2], seed=1) + swept(sketch, tmp_path, [2, 5, 3])
    files = draw_reconstructions(rows, HIDDEN, [], tmp_path, tmp_path)
    assert [line.head for line in drawn] == [f"{HIDDEN} {width}" for width in (5, 3, 2)]
    with np.load(tmp_path / "5_0" / "artifacts" / "reconstructions.npz") as data:
        np.testing.assert_array_equal(drawn[0].made, data["clean"][9:])
        assert drawn[0].pca is not None
        np.testing.assert_array_equal(drawn[0].pca, data["pca"][9:])
    assert len(read_csv(files[-1])) == 4


def test_one_width_has_no_curve(sketch: SimpleNamespace, tmp_path: Path) -> None:
    rows = swept(sketch, tmp_path, [3])
    other = tmp_path / "other"
    rows += [{**row, "folder": f"other/{row['folder']}"} for row in swept(sketch, other, [3])]
    for beta, row in enumerate(rows):
        row["beta"] = float(beta)
    files = draw_reconstructions(rows, "beta", [], tmp_path, tmp_path)
    names = ["reconstructions_over_beta.png", "reconstructions_over_beta.csv"]
    assert [path.name for path in files] == names


def test_runs_without_reconstructions_are_no_picture(
    sketch: SimpleNamespace, tmp_path: Path
) -> None:
    rows = swept(sketch, tmp_path, [3])
    rows.append({"folder": "nothing", "seed": 0, HIDDEN: "9", "beta": 0.0})
    assert draw_reconstructions(rows, HIDDEN, [], tmp_path, tmp_path) == []
