"""Selective prediction: the files agree with the figures, with and without mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.artifacts.selective import write_selective
from ibdrop.files import read_csv
from ibdrop.merit import aurc, figures
from ibdrop.sampling.predictive import Predictive

CURVES = [
    ("deterministic", "entropy"),
    ("deterministic", "oracle"),
    ("monte carlo", "entropy"),
    ("monte carlo", "mutual_information"),
    ("monte carlo", "variance"),
    ("monte carlo", "oracle"),
    ("monte carlo", "random"),
]


def sampled(images: int = 1500) -> tuple[Predictive, Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (images,), generator=random)
    plain = torch.randn(images, 3, generator=random).double()
    plain[torch.arange(images), labels] += 2
    noisy = plain + torch.randn(4, images, 3, generator=random)
    return Predictive.of_logits(noisy, plain.softmax(1)), labels


def test_areas_and_ends_of_the_curves(tmp_path: Path) -> None:
    found, labels = sampled()
    files = write_selective(tmp_path / "new", found, labels)
    names = ["selective.png", "selective.csv", "selective_summary.csv"]
    assert [path.name for path in files] == names
    areas = read_csv(files[2])
    assert [(row["prediction"], row["score"]) for row in areas] == CURVES
    plain, mixture = figures(found, labels)
    assert float(areas[0]["aurc"]) == pytest.approx(plain["aurc"])
    assert float(areas[2]["aurc"]) == pytest.approx(mixture["aurc"])
    assert float(areas[2]["auroc_of_error"]) == mixture["auroc_of_error_by_entropy"]
    assert float(areas[5]["excess_aurc"]) == 0
    assert float(areas[6]["aurc"]) == pytest.approx(mixture["error"])
    rows = read_csv(files[1])
    for prediction, score in CURVES:
        curve = [r for r in rows if (r["prediction"], r["score"]) == (prediction, score)]
        assert len(curve) == 1000
        assert float(curve[-1]["coverage"]) == 1
        error = plain["error"] if prediction == "deterministic" else mixture["error"]
        assert float(curve[-1]["risk"]) == pytest.approx(error)
        assert float(curve[9]["accuracy"]) == pytest.approx(1 - float(curve[9]["risk"]))


def test_accuracy_at_a_coverage_by_sorting(tmp_path: Path) -> None:
    found, labels = sampled(400)
    row = read_csv(write_selective(tmp_path, found, labels)[2])[2]
    kept = found.entropy.argsort()[:360]
    right = (found.mean.argmax(1) == labels)[kept].double().mean()
    assert float(row["accuracy_at_0.9"]) == pytest.approx(right.item())


def test_mutual_information_is_ordered_by_itself(tmp_path: Path) -> None:
    found, labels = sampled(400)
    row = read_csv(write_selective(tmp_path, found, labels)[2])[3]
    wrong = found.mean.argmax(1) != labels
    assert float(row["aurc"]) == aurc(found.mutual_information, wrong).item()


def test_the_same_bytes_twice_and_no_mistakes_are_no_accident(tmp_path: Path) -> None:
    found, _ = sampled(60)
    perfect = Predictive.of_logits(found.logits, found.mean)
    first, second = (
        write_selective(tmp_path / name, perfect, perfect.mean.argmax(1)) for name in "ab"
    )
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
    assert {float(row["aurc"]) for row in read_csv(first[2])} == {0}
