from __future__ import annotations

from pathlib import Path

from ibdrop.files import write_csv
from ibdrop.runs.captions import MAPS, MISTAKES
from ibdrop.runs.pictures import find_pictures
from ibdrop.runs.summaries import summaries


def test_nothing_written_nothing_shown(tmp_path: Path) -> None:
    assert summaries(tmp_path) == {}


def test_quality_shows_intervals_of_layers_only(tmp_path: Path) -> None:
    nan = float("nan")
    rows = [
        {"source": "D0", "kind": "layer", "resolution": "20x20", "rank_box": 0.5},
        {"source": "best floor", "kind": "floor", "resolution": "", "rank_box": 0.25},
        {"source": "D1", "kind": "layer", "resolution": "5x5", "rank_box": nan},
    ]
    bounds = [(0.4, 0.6), (0.2, 0.3), (nan, nan)]
    for row, (low, high) in zip(rows, bounds, strict=True):
        row |= {"rank_box_low": low, "rank_box_high": high}
    write_csv(tmp_path / "heatmap_quality.csv", rows)
    (table,) = summaries(tmp_path)[MAPS]
    assert table.columns == ("map", "rank, box")
    assert table.rows == [
        ["D0 20×20", "0.500 (0.400–0.600)"],
        ["best floor", "0.250"],
        ["D1 5×5", "–"],
    ]


def test_mistakes(tmp_path: Path) -> None:
    mistake = {"true": "3", "predicted": "8", "count": 4, "share": 0.02}
    write_csv(tmp_path / "confusion_largest.csv", [mistake] * 12)
    (table,) = summaries(tmp_path)[MISTAKES]
    assert len(table.rows) == 8
    assert table.rows[0] == ["3", "8", "4", "2.00\N{NO-BREAK SPACE}%"]


def test_a_damaged_table_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "heatmap_quality.csv").write_bytes(b"\xff\xfe\x00")
    assert summaries(tmp_path) == {}


def test_pictures_come_in_the_order_of_a_reader(tmp_path: Path) -> None:
    words = (
        "curves confusion ranking_mistakes kl_heatmap kl_overlay heatmap_quality "
        "explanations explain_000017 explanation_quality calibration "
        "ranking_entropy ranking_overall ranking_uncertain ranking_side_by_side selective "
        "ranking_convergence ranking_classes ranking/class_heat pruning food mine"
    )
    names = words.split()
    for name in sorted(names):
        path = tmp_path / "artifacts" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_pictures(tmp_path)
    assert [picture.name.removesuffix(".png") for picture in found] == names
    assert found[3].title == "KL heat maps"
    assert found[7].title == "One image in full: 000017"
    assert found[8].title == "How well explanations find the target"
    assert found[-4].title == "Entropy ranking: class heat"
    assert found[2].title == "The surest and the least sure mistakes"
    assert [picture.title for picture in found[-2:]] == ["food", "mine"]


def test_evaluations_follow_under_their_own_names(tmp_path: Path) -> None:
    names = (
        "artifacts/selective",
        "evaluations/heat-a/selective",
        "evaluations/heat-a/ood",
        "ensemble_2_members/ensemble",
    )
    for name in (*names, "evaluations/.heat-b.x/ood"):
        path = tmp_path / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    found = find_pictures(tmp_path)
    assert [(picture.name, picture.title) for picture in found] == [
        ("selective.png", "Accuracy of the images kept"),
        ("evaluations/heat-a/selective.png", "Accuracy of the images kept: heat-a"),
        ("evaluations/heat-a/ood.png", "Outliers: heat-a"),
        (
            "ensemble_2_members/ensemble.png",
            "Error and NLL against the number of networks: ensemble_2_members",
        ),
    ]
