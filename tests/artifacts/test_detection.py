"""Detection of outliers: the table against the functions, the scores kept, the words."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ibdrop.artifacts.detection import write_detection
from ibdrop.files import read_csv
from ibdrop.merit import auroc, detection, scores
from ibdrop.sampling.predictive import Predictive


def sampled(images: int, sure: float, groups: int = 4, seed: int = 0) -> Predictive:
    random = torch.Generator().manual_seed(seed)
    plain = sure * torch.randn(images, 5, generator=random).double()
    noisy = plain + torch.randn(groups, images, 5, generator=random)
    return Predictive.of_logits(noisy, plain.softmax(1))


def test_a_row_for_each_set_and_score(tmp_path: Path) -> None:
    inside = sampled(90, 4)
    outside = {"noise": sampled(50, 1, seed=1), "other_digits": sampled(30, 2, seed=2)}
    files = write_detection(tmp_path / "new", inside, outside)
    assert [path.name for path in files] == ["ood.png", "ood.csv", "ood_scores.npz"]
    rows = read_csv(files[1])
    assert len(rows) == 2 * len(scores(inside))
    for row in rows:
        plain = row["prediction"] == "deterministic"
        name = ("deterministic_" if plain else "") + row["score"]
        found = scores(outside[row["outliers"]])[name]
        wanted = detection(scores(inside)[name], found)
        assert {key: float(row[key]) for key in wanted} == wanted
        assert (int(row["n_in"]), int(row["n_out"])) == (90, len(found))
        assert (row["auroc_se"] == "") == plain
    with np.load(files[2]) as data:
        assert len(data.files) == 3 * len(scores(inside))
        for name, values in scores(outside["noise"]).items():
            assert np.array_equal(data[f"noise.{name}"], values.numpy())


def test_standard_error_leaves_the_same_group_out_on_both_sides(tmp_path: Path) -> None:
    inside, outside = sampled(90, 4), sampled(50, 1, seed=1)
    rows = read_csv(write_detection(tmp_path, inside, {"noise": outside})[1])
    row = next(row for row in rows if row["score"] == "mutual_information")
    kept = [[s for s in range(4) if s != r] for r in range(4)]
    values = torch.stack(
        [
            auroc(inside.groups(g).mutual_information, outside.groups(g).mutual_information)
            for g in kept
        ]
    )
    wanted = (3 / 4 * (values - values.mean()).square().sum()).sqrt()
    assert float(row["auroc_se"]) == pytest.approx(wanted.item())


def test_outliers_are_not_scored_by_the_known_images(tmp_path: Path) -> None:
    """A known library computed the entropy of outliers from the known images' probabilities."""
    flat = Predictive.of_logits(torch.zeros(4, 20, 5))
    archive = write_detection(tmp_path, sampled(60, 9), {"flat": flat})[2]
    with np.load(archive) as data:
        assert data["flat.entropy"] == pytest.approx([math.log(5)] * 20)
        assert data["inside.entropy"].max() < math.log(5) - 1e-6


def test_without_noise_there_is_no_standard_error(tmp_path: Path) -> None:
    inside, outside = sampled(20, 4, groups=1), sampled(10, 1, groups=1)
    rows = read_csv(write_detection(tmp_path, inside, {"noise": outside})[1])
    assert {row["auroc_se"] for row in rows} == {"", "nan"}


def test_groups_must_be_the_same(tmp_path: Path) -> None:
    words = (
        r"^noise was sampled in groups of \(1, 1\) passes, the known images in \(1, 1, 1, 1\);"
        " both must be the same$"
    )
    with pytest.raises(ValueError, match=words):
        write_detection(tmp_path, sampled(9, 1), {"noise": sampled(9, 1, groups=2)})


def test_the_same_bytes_twice(tmp_path: Path) -> None:
    inside, outside = sampled(30, 4), {"noise": sampled(20, 1, seed=1)}
    first, second = (write_detection(tmp_path / name, inside, outside) for name in "ab")
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
