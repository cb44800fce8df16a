"""The entropy ranking: its numbers, its independence of batches and order, its pictures."""

from __future__ import annotations

import math
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.ranking import EntropyRanking, file_names
from ibdrop.artifacts.ranking_numbers import image_rows
from ibdrop.data.base import ImageData, ImageSpec, StaticImages
from ibdrop.files import read_csv, write_csv
from ibdrop.models.base import Prediction
from ibdrop.models.mlp import MLP
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.sampling.engine import NoNoiseError
from ibdrop.sampling.predictive import Predictive

FILES = (
    "ranking.csv",
    "ranking_summary.csv",
    "ranking_stability.csv",
    "ranking_agreement.csv",
    "ranking_convergence.csv",
)


def noisy(
    classes: tuple[str, ...] = ("a", "b,c", "d"),
    count: int = 90,
    channels: int = 1,
    noise: Any = BinaryNoise,
    labels: Tensor | None = None,
) -> Trained:
    """A little untrained network with dropout, and random pictures."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(256, (count, channels, 6, 5), generator=generator).to(torch.uint8)
    if labels is None:
        labels = torch.arange(count) % len(classes)
    data = StaticImages(images, labels)
    torch.manual_seed(0)
    model = MLP(channels, (6, 5), len(classes), noise, width=16, depth=2).eval()
    for parameter in model.parameters():
        parameter.data.mul_(2)
    spec = ImageSpec(channels, 6, 5, classes)
    whole = ImageData("random", spec, data, data, data)
    return Trained(model, whole, torch.device("cpu"), 3, lambda: model, Path())


def write(
    artifact: EntropyRanking, what: Trained, folder: Path, size: int = 32, order: Any = None
) -> list[Path]:
    folder.mkdir(exist_ok=True)
    index = torch.arange(len(what.data.test)) if order is None else order
    artifact.begin(what)
    with torch.no_grad():
        for part in index.split(size):
            batch = what.data.test.batch(part)
            inputs = what.data.inputs(batch.images)
            artifact.update(batch, what.model(inputs, sample=False))
        return artifact.write(folder)


@pytest.mark.usefixtures("without_pictures")
def test_ranking_rows(tmp_path: Path) -> None:
    what = noisy()
    write(EntropyRanking(passes=20, images=5), what, tmp_path)
    rows = read_csv(tmp_path / "ranking.csv")
    classes = what.data.spec.classes
    assert sorted(int(row["index"]) for row in rows) == list(range(90))
    entropies = [float(row["entropy"]) for row in rows]
    assert entropies == sorted(entropies, reverse=True)
    for row in rows:
        p = [float(row[f"p_{name}"]) for name in classes]
        assert sum(p) == pytest.approx(1, abs=1e-8)
        h = float(row["entropy"])
        assert h == pytest.approx(-sum(x * math.log(x) for x in p if x), abs=1e-6)
        assert 0 <= float(row["mutual_information"]) <= h <= math.log(len(classes))
        total = float(row["expected_entropy"]) + float(row["mutual_information"])
        assert total == pytest.approx(h, abs=1e-6)
        assert row["label"] == classes[int(row["index"]) % 3]
        assert row["predicted"] == classes[int(np.argmax(p))]
        assert row["correct"] == str(row["predicted"] == row["label"])
    assert any(float(row["mutual_information"]) > 0.01 for row in rows)


def test_columns_are_the_classes_they_name() -> None:
    logits = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 0.0, 1.0]], [[0.5, 1.0, 2.0], [3.0, 0.0, 2.0]]])
    found = Predictive.of_logits(logits)
    rows = image_rows(found, torch.tensor([4, 9]), torch.tensor([2, 1]), ("x", "y", "z"))
    p = logits.double().softmax(-1).mean(0)
    for row in rows:
        place = {4: 0, 9: 1}[row["index"]]
        assert [float(row[f"p_{name}"]) for name in "xyz"] == pytest.approx(p[place].tolist())
    assert {row["index"]: (row["label"], row["predicted"]) for row in rows} == {
        4: ("z", "z"),
        9: ("y", "x"),
    }


@pytest.mark.usefixtures("without_pictures")
def test_neither_batches_nor_order_change_a_byte(tmp_path: Path) -> None:
    what = noisy()
    shuffled = torch.randperm(90, generator=torch.Generator().manual_seed(5))
    calls = {"1": (1, None), "7": (7, None), "512": (512, None), "shuffled": (32, shuffled)}
    for name, (size, order) in calls.items():
        write(EntropyRanking(passes=6, images=5), what, tmp_path / name, size, order)
    for file in (*FILES, "ranking_images.npz"):
        contents = {(tmp_path / name / file).read_bytes() for name in calls}
        assert len(contents) == 1, file


@pytest.mark.usefixtures("without_pictures")
def test_blocks_do_not_change_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    what = noisy()
    write(EntropyRanking(passes=6), what, tmp_path / "one")
    monkeypatch.setattr(EntropyRanking, "block", 7)
    write(EntropyRanking(passes=6), what, tmp_path / "many")
    one, many = (
        {row["index"]: row for row in read_csv(tmp_path / name / "ranking.csv")}
        for name in ("one", "many")
    )
    for index, row in one.items():
        assert float(many[index]["entropy"]) == pytest.approx(float(row["entropy"]), abs=1e-5)


@pytest.mark.usefixtures("without_pictures")
@pytest.mark.parametrize("sharing", ["batch", "row"])
def test_the_summary_has_both_rows(sharing: Any, tmp_path: Path) -> None:
    artifact = EntropyRanking(passes=20, images=5, mask_sharing=sharing, design="antithetic")
    write(artifact, noisy(), tmp_path)
    plain, sampled = read_csv(tmp_path / "ranking_summary.csv")
    assert (plain["prediction"], sampled["prediction"]) == ("deterministic", "monte carlo")
    assert (plain["passes"], sampled["passes"]) == ("1", "20")
    assert (sampled["mask_sharing"], sampled["design"]) == (sharing, "antithetic")
    assert sampled["groups"] == "10"
    assert 0 <= float(sampled["stability_top_30"]) <= 1
    assert sampled["stability_top_30_per_class"] == ""
    assert float(sampled["nll_se"]) > 0
    assert "seconds" not in " ".join(sampled)
    assert sampled["note"] == ""


@pytest.mark.usefixtures("without_pictures")
def test_noise_that_draws_nothing_is_deterministic(tmp_path: Path) -> None:
    write(EntropyRanking(passes=20, needs_noise=True), noisy(noise=NoNoise), tmp_path)
    plain, sampled = read_csv(tmp_path / "ranking_summary.csv")
    assert sampled["passes"] == "1"
    assert sampled["note"] == (
        "the network draws no noise: one pass, equal to the deterministic one"
    )
    assert plain["nll"] == sampled["nll"]
    assert float(sampled["mean_mutual_information"]) == 0
    assert sampled["stability_top_30"] == ""
    assert not (tmp_path / "ranking_convergence.csv").exists()
    assert {row["entropy_se"] for row in read_csv(tmp_path / "ranking.csv")} == {""}


class Plain(nn.Module):
    """A network without a noise layer."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Linear(30, 3)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        return Prediction(self.out(images.flatten(1)), {})


def test_without_a_noise_layer_the_deterministic_row_is_written(tmp_path: Path) -> None:
    what = noisy()
    plain = Trained(Plain().eval(), what.data, what.device, 0, Plain, Path())
    files = write(EntropyRanking(passes=4, images=5), plain, tmp_path)
    assert "ranking_side_by_side.png" not in [path.name for path in files]
    rows = read_csv(tmp_path / "ranking_summary.csv")
    assert [row["prediction"] for row in rows] == ["deterministic"]
    assert rows[0]["note"] == "the network has no noise layer: deterministic only"
    with pytest.raises(NoNoiseError, match="no noise layer"):
        EntropyRanking(needs_noise=True).begin(plain)


def test_ranking_pictures(tmp_path: Path) -> None:
    files = write(EntropyRanking(passes=10, images=5), noisy(), tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in files if path.suffix == ".png"] == [
        "ranking_overall.png",
        "ranking_mistakes.png",
        "ranking_uncertain.png",
        "ranking_entropy.png",
        "ranking_side_by_side.png",
        "ranking_convergence.png",
        "ranking_classes.png",
        "ranking/class_a.png",
        "ranking/class_b_c.png",
        "ranking/class_d.png",
        "selective.png",
    ]


LONG = tuple(f"a class with quite a long name, number {k}" for k in range(4))


@pytest.mark.parametrize(
    ("options", "pictures"),
    [
        (
            {"classes": tuple(map(str, range(120))), "count": 50},
            ["mistakes", "uncertain", "entropy", "side_by_side", "convergence"],
        ),
        ({"classes": LONG, "count": 12, "channels": 3}, None),
        ({"classes": ("x", "y"), "count": 3, "labels": torch.tensor([1, 1, 1])}, None),
        ({"classes": ("only",), "count": 9}, None),
        ({"classes": ("x", "y"), "count": 1}, None),
    ],
    ids=["120 classes", "long names in colour", "one class occurs", "one class", "one image"],
)
def test_odd_data(options: dict[str, Any], pictures: list[str] | None, tmp_path: Path) -> None:
    files = write(EntropyRanking(passes=4, images=5), noisy(**options), tmp_path)
    assert files[0].name == "ranking_overall.png"
    if pictures:
        names = [path.stem for path in files if path.suffix == ".png"]
        assert names[1:] == [*(f"ranking_{name}" for name in pictures), "selective"]
    assert len(read_csv(tmp_path / "ranking.csv")) == options["count"]


def test_without_mistakes_there_is_no_picture_of_them(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    files = synthetic.run(
        EntropyRanking(passes=4, images=5),
        synthetic.trained(tmp_path, synthetic.Net(rate=0)),
        tmp_path,
    )
    assert "ranking_mistakes.png" not in [path.name for path in files]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(EntropyRanking, groups=0), "groups is 0; at least 1 is needed"),
        (partial(EntropyRanking, images=501), "images is 501; at most 500 fit into a picture"),
        (
            partial(EntropyRanking, mask_sharing="pixel"),
            "mask_sharing is 'pixel'; it must be one of batch, row",
        ),
        (
            partial(EntropyRanking, design="latin"),
            "design is 'latin'; it must be one of balanced, antithetic, independent",
        ),
    ],
)
def test_refuses_what_makes_no_sense(make: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        make()


def test_ten_thousand_rows_are_written_fast(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    found = Predictive.of_logits(torch.randn(10, 10_000, 10, generator=generator))
    index = torch.arange(10_000)
    started = time.process_time()
    rows = image_rows(found, index, index % 10, tuple("0123456789"))
    write_csv(tmp_path / "ranking.csv", rows)
    assert time.process_time() - started < 5
    assert len(read_csv(tmp_path / "ranking.csv")) == 10_000


def test_file_names_are_all_different() -> None:
    assert file_names(["T-shirt/top", "T-shirt_top", "t-shirt top"]) == [
        "T-shirt_top",
        "T-shirt_top_1",
        "t-shirt_top_2",
    ]
    assert len(file_names(["x" * 300])[0]) == 60
