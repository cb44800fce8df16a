"""The table of the quality of explanations, on maps whose scores are known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.artifacts.explanation_counterfactual import Views, view_rows
from ibdrop.artifacts.explanation_quality import (
    MEASURES,
    Drop,
    Entry,
    Found,
    drop_row,
    quality_rows,
    write_quality,
)
from ibdrop.artifacts.floors import ceiling, floors
from ibdrop.artifacts.quality import Target, measure
from ibdrop.files import read_csv

COUNT, SIDE = 24, 16


def places() -> tuple[Tensor, Target]:
    """Dim squares of 4 px beside bright ones that are no targets."""
    corner = torch.arange(COUNT) % 8
    boxes = torch.stack([corner, corner, corner + 4, corner + 4], 1)
    masks = torch.zeros(COUNT, SIDE, SIDE, dtype=torch.bool)
    images = torch.zeros(COUNT, 1, SIDE, SIDE, dtype=torch.uint8)
    for row, place in enumerate(corner.tolist()):
        masks[row, place : place + 4, place : place + 4] = True
        images[row, 0, 12:, :4] = 250
    images[masks[:, None]] = 90
    return images, Target.of(boxes, masks, (SIDE, SIDE), 1)


def entry(
    maps: Tensor, target: Target, name: str, network: str = "trained", n: int = COUNT
) -> Entry:
    scores = {key: values[:n] for key, values in measure(maps, target).items()}
    return Entry(name, network, "8x8", scores, nats=name.startswith("KL"))


def found() -> Found:
    images, target = places()
    oracle = ceiling(target, torch.empty(1, 8, 8))
    uniform, nothing = torch.ones_like(oracle), torch.zeros_like(oracle)
    half = torch.where(torch.arange(COUNT)[:, None, None] < 12, oracle, nothing)
    entries = [
        entry(oracle, target, "oracle"),
        entry(uniform, target, "even"),
        entry(nothing, target, "mute"),
        entry(half, target, "half"),
        entry(1e-6 * oracle, target, "KL D0"),
        entry(oracle, target, "few", n=8),
        entry(uniform, target, "oracle", "untrained", n=8),
        entry(uniform, target, "oracle", "randomised", n=8),
    ]
    ceilings = {"8x8": measure(oracle, target)}
    return Found("squares", entries, dict(floors(images, target)), ceilings)


def rows() -> dict[tuple[str, str], dict[str, float]]:
    return {(row["network"], row["method"]): row for row in quality_rows(found(), 0)}


def test_a_planted_oracle_scores_its_ceiling() -> None:
    row = rows()["trained", "oracle"]
    for measure_name in MEASURES:
        assert row[measure_name] == pytest.approx(row[f"ceiling_{measure_name}"])
        skill = row[f"skill_{measure_name}"]
        assert math.isnan(skill) or skill == pytest.approx(1)
    assert row["skill_rank_strokes"] == pytest.approx(1)
    assert row["rank_strokes_low"] <= row["rank_strokes"] <= row["rank_strokes_high"]


def test_a_uniform_map_scores_the_share_of_the_area() -> None:
    row = rows()["trained", "even"]
    assert row["energy_box"] == pytest.approx(16 / 256)
    assert row["pointing_box"] == pytest.approx(16 / 256)
    assert row["mass_strokes"] == pytest.approx(16 / 256)
    assert row["rank_strokes"] == pytest.approx(16 / 256)
    assert row["skill_rank_strokes"] <= 0


def test_a_map_of_zeros_says_nothing_and_is_counted() -> None:
    table = rows()
    mute, half = table["trained", "mute"], table["trained", "half"]
    assert mute["silent"] == COUNT
    assert all(math.isnan(mute[name]) for name in MEASURES)
    assert half["silent"] == COUNT - 12
    assert half["rank_strokes"] == pytest.approx(
        table["trained", "oracle"]["rank_strokes"], abs=0.1
    )


def test_a_map_of_next_to_no_nats_has_collapsed() -> None:
    row = rows()["trained", "KL D0"]
    assert 0 < row["nats"] < 0.01
    assert all(math.isnan(row[name]) for name in MEASURES)
    assert math.isnan(row["skill_rank_strokes"])


def test_floors_are_those_of_the_images_of_the_row() -> None:
    images, target = places()
    few = Target(*(part[:8] for part in target))
    best = max(scores["rank_strokes"].nanmean().item() for _, scores in floors(images[:8], few))
    table = rows()
    assert table["trained", "few"]["floor_rank_strokes"] == pytest.approx(best, rel=1e-5)
    assert table["trained", "few"]["n"] == 8
    assert table["floor", "best"]["n"] == COUNT


def test_broken_networks_stand_beside() -> None:
    table = rows()
    for network in ("untrained", "randomised"):
        assert table[network, "oracle"]["rank_strokes"] == pytest.approx(16 / 256)


def test_files_are_written_and_tell_the_same(tmp_path: Path) -> None:
    views = Views(
        {"whole": torch.arange(8) % 4, "without_target": torch.zeros(8).long()},
        torch.arange(8) % 4,
        0,
    )
    drop = Drop(
        "meaningful", ("constant", "blur"), *(torch.full((4,), v) for v in (0.2, 0.05, 0.5))
    )
    what = found()
    whole = Found(
        what.title,
        what.entries,
        what.floors,
        what.ceilings,
        views,
        [drop],
        {"uniform": {"deletion_black": torch.full((4,), 0.5)}},
        ("One network.",),
    )
    files = write_quality(whole, tmp_path, 0)
    assert [path.name for path in files] == [
        "explanation_quality.png",
        "explanation_quality.csv",
        "explanation_counterfactual.csv",
        "explanation_drop.csv",
        "explanation_quality.md",
    ]
    text = (tmp_path / "explanation_quality.md").read_text()
    oracle = read_csv(tmp_path / "explanation_quality.csv")[0]
    assert f"{float(oracle['rank_strokes']):.3f}".lstrip("0") in text
    assert "| oracle | 8×8 | 24 |" in text
    assert "left out: mute on 24 of 24, half on 12 of 24" in text
    assert "One network." in text
    assert "| floor uniform | 4 | .500 |" in text
    assert "without target | 8 | .250" in text


def test_the_target_must_be_needed_and_the_rest_must_not_be() -> None:
    labels = torch.arange(200) % 4
    shifted = (labels + 1) % 4
    views = Views(
        {
            "whole": labels,
            "without_target": labels,
            "moved": torch.where(torch.arange(200) < 30, shifted, labels),
            "alone": labels,
        },
        labels,
        0,
    )
    table = {row["view"]: row for row in view_rows(views)}
    assert not table["without_target"]["holds"]
    assert "knows the class without the target" in table["without_target"]["failure"]
    assert not table["moved"]["holds"]
    assert table["moved"]["change"] == pytest.approx(-0.15)
    assert table["alone"]["holds"]
    guess = Views({"whole": labels, "without_target": torch.zeros(200).long()}, labels, 0)
    assert view_rows(guess)[1]["holds"]


def test_canvases_that_cannot_be_changed_are_not_tested(tmp_path: Path) -> None:
    files = write_quality(found(), tmp_path, 0)
    assert "explanation_counterfactual.csv" not in [path.name for path in files]
    assert "Not tested: canvases" in (tmp_path / "explanation_quality.md").read_text()


def test_a_drop_counts_only_where_area_and_both_fills_agree() -> None:
    drop = Drop(
        "meaningful",
        ("constant", "blur"),
        torch.tensor([0.1, 0.1, 0.3, 0.2]),
        torch.tensor([0.01, 0.01, 0.01, 0.5]),
        torch.tensor([0.02, 0.40, 0.02, 0.02]),
    )
    row = drop_row(drop)
    assert (row["under_quarter"], row["tenth_first"], row["tenth_second"]) == (0.75, 0.75, 0.75)
    assert (row["holds_first"], row["holds"]) == (0.5, 0.25)
