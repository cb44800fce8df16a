"""Every artifact on a small synthetic network: numbers, files, and the same bytes twice."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact
from ibdrop.artifacts.calibration import (
    Calibration,
    brier_score,
    expected_calibration_error,
    reliability,
)
from ibdrop.artifacts.confusion import ConfusionMatrix
from ibdrop.artifacts.curves import LearningCurves
from ibdrop.artifacts.heatmap import KLHeatmap
from ibdrop.artifacts.ranking import EntropyRanking
from ibdrop.files import read_csv, write_csv
from ibdrop.models.base import Prediction


def metrics(folder: Path, epochs: int = 3) -> None:
    rows = [
        {
            "epoch": epoch + 1,
            "train_ce": 2 / (epoch + 1),
            "val_ce": 2.5 / (epoch + 1),
            "train_accuracy": 0.9,
            "val_accuracy": 0.8,
            "kl/D0": 100.0 / (epoch + 1),
            "at_cap/D0": 0.1 * epoch,
        }
        for epoch in range(epochs)
    ]
    write_csv(folder / "metrics.csv", rows)


ARTIFACTS: tuple[Callable[[], Artifact], ...] = (
    ConfusionMatrix,
    LearningCurves,
    Calibration,
    lambda: KLHeatmap(images=4),
    lambda: EntropyRanking(passes=6, images=5),
)


@pytest.mark.parametrize("make", ARTIFACTS)
def test_same_bytes_twice_and_pictures_are_pictures(
    make: Callable[[], Artifact], synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    metrics(tmp_path)
    artifact, what = make(), synthetic.trained(tmp_path)
    first = synthetic.run(artifact, what, tmp_path / "first")
    second = synthetic.run(artifact, what, tmp_path / "second")
    assert first[0].suffix == ".png"
    assert [path.name for path in first] == [path.name for path in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        if one.suffix == ".png":
            assert one.read_bytes().startswith(b"\x89PNG\r\n")


def test_confusion_counts(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    class Wrong(synthetic.Net):
        def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
            found = super().forward(images, sample)
            return Prediction(found.logits[:, [1, 0, 2]], {})

    synthetic.run(ConfusionMatrix(), synthetic.trained(tmp_path, Wrong()), tmp_path)
    with (tmp_path / "confusion.csv").open() as file:
        table = list(csv.reader(file))
    assert table[0] == ["true \\ predicted", *synthetic.classes]
    assert table[1:] == [
        ["nought", "0", "14", "0"],
        ["one/ten", "13", "0", "0"],
        ["two", "0", "0", "13"],
    ]
    largest = read_csv(tmp_path / "confusion_largest.csv")
    assert [row["count"] for row in largest] == ["14", "13"]
    assert largest[0] == {
        "true": "nought",
        "predicted": "one/ten",
        "count": "14",
        "share": "1.0",
    }


def test_calibration_error_with_closed_last_bin() -> None:
    p = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.95, 0.05], [0.95, 0.05]])
    labels = torch.tensor([0, 1, 0, 0])
    assert expected_calibration_error(p, labels, 10).item() == pytest.approx(0.225)
    assert reliability(p, labels, 10)[0].tolist() == [0] * 9 + [4]


def test_calibration_error_equals_torchmetrics_below_one() -> None:
    from torchmetrics.functional.classification import multiclass_calibration_error

    generator = torch.Generator().manual_seed(0)
    p = torch.rand(500, 4, generator=generator).pow(3)
    p = p / p.sum(1, keepdim=True)
    labels = torch.randint(4, (500,), generator=generator)
    wanted = multiclass_calibration_error(p, labels, 4, n_bins=15)
    assert expected_calibration_error(p, labels).item() == pytest.approx(wanted.item(), abs=1e-6)


def test_brier_score_by_hand() -> None:
    p = torch.tensor([[0.7, 0.3], [0.0, 1.0]], dtype=torch.float64)
    labels = torch.tensor([0, 0])
    assert brier_score(p, labels).item() == pytest.approx((0.09 + 0.09 + 1 + 1) / 2)


def test_calibration_summary_agrees_with_the_functions(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    what = synthetic.trained(tmp_path)
    synthetic.run(Calibration(), what, tmp_path)
    batch = what.data.test.batch(torch.arange(synthetic.count))
    logits = what.model(what.data.inputs(batch.images)).logits.double()
    row = read_csv(tmp_path / "calibration_summary.csv")[0]
    p = logits.softmax(1)
    assert float(row["brier"]) == pytest.approx(brier_score(p, batch.labels).item())
    assert float(row["ece"]) == pytest.approx(expected_calibration_error(p, batch.labels).item())
    nll = nn.functional.cross_entropy(logits, batch.labels)
    assert float(row["nll"]) == pytest.approx(nll.item())
    assert (
        sum(int(bin["count"]) for bin in read_csv(tmp_path / "calibration.csv")) == synthetic.count
    )


def test_curves_need_rows_and_take_one(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    assert synthetic.run(LearningCurves(), synthetic.trained(tmp_path), tmp_path) == []
    metrics(tmp_path, epochs=1)
    assert [
        path.name
        for path in synthetic.run(LearningCurves(), synthetic.trained(tmp_path), tmp_path)
    ] == ["curves.png"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: EntropyRanking(passes=0), "passes is 0; at least 1 is needed"),
        (lambda: EntropyRanking(images=0), "images is 0; at least 1 is needed"),
        (lambda: KLHeatmap(images=0), "images is 0; at least 1 is needed"),
        (lambda: KLHeatmap(padding=-1), "padding is -1; pixels cannot be fewer than 0"),
        (lambda: Calibration(bins=1), "bins is 1; at least 2 are needed"),
    ],
)
def test_refuses_what_makes_no_sense(make: Callable[[], Artifact], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        make()
