"""The entropy ranking: its numbers, its independence of batches, its pictures."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibdrop.artifacts.ranking import EntropyRanking, auroc_of_error, slug
from ibdrop.files import read_csv


@pytest.mark.usefixtures("without_pictures")
def test_ranking_rows(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    synthetic.run(EntropyRanking(passes=20, images=5), synthetic.trained(tmp_path), tmp_path)
    rows = read_csv(tmp_path / "ranking.csv")
    assert sorted(int(row["index"]) for row in rows) == list(range(synthetic.count))
    entropies = [float(row["entropy"]) for row in rows]
    assert entropies == sorted(entropies, reverse=True)
    for row in rows:
        p = [float(row[f"p_{name}"]) for name in synthetic.classes]
        assert sum(p) == pytest.approx(1, abs=1e-8)
        h = float(row["entropy"])
        assert h == pytest.approx(-sum(x * math.log(x) for x in p if x), abs=1e-6)
        assert 0 <= float(row["mutual_information"]) <= h <= math.log(len(synthetic.classes))
        assert row["predicted"] == synthetic.classes[int(np.argmax(p))]
        assert row["correct"] == str(row["predicted"] == row["label"])
    assert any(float(row["mutual_information"]) > 0.01 for row in rows)


@pytest.mark.usefixtures("without_pictures")
def test_ranking_does_not_depend_on_the_batches(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    what = synthetic.trained(tmp_path)
    for name, size in (("one", 7), ("two", 40)):
        synthetic.run(EntropyRanking(passes=6, images=5), what, tmp_path / name, size)
    first, second = ((tmp_path / name / "ranking.csv").read_bytes() for name in ("one", "two"))
    assert first == second


@pytest.mark.usefixtures("without_pictures")
def test_ranking_summary_has_the_deterministic_row(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    synthetic.run(EntropyRanking(passes=20, images=5), synthetic.trained(tmp_path), tmp_path)
    plain, sampled = read_csv(tmp_path / "ranking_summary.csv")
    assert (plain["prediction"], sampled["prediction"]) == ("deterministic", "monte carlo")
    assert (plain["passes"], sampled["passes"]) == ("1", "20")
    assert float(plain["accuracy"]) == 1
    assert float(sampled["mean_entropy"]) > float(plain["mean_entropy"])
    assert 0 < float(sampled["stability_top_30"]) <= 1
    assert sampled["note"] == ""


@pytest.mark.usefixtures("without_pictures")
def test_ranking_without_noise_says_so(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    synthetic.run(
        EntropyRanking(passes=20, images=5),
        synthetic.trained(tmp_path, synthetic.Net(rate=0)),
        tmp_path,
    )
    plain, sampled = read_csv(tmp_path / "ranking_summary.csv")
    assert sampled["passes"] == "1"
    assert sampled["note"] == (
        "the network draws no noise: one pass, equal to the deterministic one"
    )
    assert plain["nll"] == sampled["nll"]
    assert float(sampled["mean_mutual_information"]) == 0


def test_ranking_pictures(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    files = synthetic.run(
        EntropyRanking(passes=4, images=5), synthetic.trained(tmp_path), tmp_path
    )
    assert [path.relative_to(tmp_path).as_posix() for path in files if path.suffix == ".png"] == [
        "ranking_overall.png",
        "ranking_uncertain.png",
        "ranking_entropy.png",
        "ranking_classes.png",
        "ranking/class_nought.png",
        "ranking/class_one_ten.png",
        "ranking/class_two.png",
    ]


def test_auroc_of_error_by_counting_pairs() -> None:
    score = torch.tensor([0.1, 2.0, 2.0, 5.0, 7.0], dtype=torch.float64)
    wrong = torch.tensor([False, False, True, False, True])
    pairs = [(a > b) + 0.5 * (a == b) for a in score[wrong] for b in score[~wrong]]
    assert auroc_of_error(score, wrong) == pytest.approx(float(sum(pairs)) / len(pairs))
    assert math.isnan(auroc_of_error(score, torch.zeros(5, dtype=torch.bool)))


def test_slug_is_a_file_name() -> None:
    assert slug("T-shirt/top") == "T-shirt_top"
