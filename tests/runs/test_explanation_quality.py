"""The protocol on squares whose class is their brightness, and a network that reads just that."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec
from ibdrop.files import read_csv
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy
from ibdrop.runs.explanation_maps import METHODS
from ibdrop.runs.explanation_quality import quality

SIDE, COUNT, CLASSES = 16, 40, ("one", "two")
SHORT = {"meaningful": {"steps": 3, "grid": 8}, "extremal": {"steps": 2, "areas": (0.1,)}}


class Squares(ImageSet):
    """Dark squares of class 0 and bright ones of class 1, above a grey bar."""

    def __init__(self, placed: bool = True) -> None:
        self.placed, self.view = placed, "whole"

    def __len__(self) -> int:
        return COUNT

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        labels = index % 2
        top, left = index % 9, (3 * index) % 11
        boxes = torch.stack([top, left, top + 4, left + 4], 1)
        masks = torch.zeros(len(index), SIDE, SIDE, dtype=torch.bool)
        for mask, (y, x, bottom, right) in zip(masks, boxes.tolist(), strict=True):
            mask[y:bottom, x:right] = True
        shown = 0 if self.view == "without_target" else masks * (100 + 100 * labels[:, None, None])
        images = torch.zeros(len(index), 1, SIDE, SIDE, dtype=torch.uint8)
        images[:, 0] = torch.as_tensor(shown).to(torch.uint8)
        if self.view != "alone":
            images[:, 0, 14:] = 50
        return Batch(index, images, labels, *((boxes, masks) if self.placed else ()))

    def to(self, device: torch.device) -> Squares:
        return self


class Reader(nn.Module):
    """Names the class by the brightest pixel; its KL is where the square is, or everywhere."""

    def __init__(self, learnt: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.conv.weight, 1.0 if learnt else 0.5)
        self.learnt = learnt

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        y = self.conv(images)
        peak = 255 * y.amax((1, 2, 3))
        logits = torch.stack([torch.zeros_like(peak), (peak - 150) / 10], 1)
        kl = (y > 0.3).double() if self.learnt else torch.ones_like(y)
        return Prediction(logits, {"D0": Noisy(y, kl)})


def trained(folder: Path, placed: bool = True, always: int | None = None) -> Trained:
    spec = ImageSpec(1, SIDE, SIDE, CLASSES)
    data = ImageData("squares", spec, Squares(), Squares(), Squares(placed))
    model = Reader().eval()
    if always is not None:
        nn.init.constant_(model.conv.weight, -1.0)
        data = ImageData("ones", spec, Squares(), Squares(), Ones())
    return Trained(model, data, torch.device("cpu"), 0, lambda: Reader(False).eval(), folder)


class Ones(Squares):
    """Squares of the one class that a network of negative weights never names."""

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        return super().batch(2 * (index % 20) + 1)


def table(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    rows = read_csv(folder / "explanation_quality.csv")
    return {(row["network"], row["method"]): row for row in rows}


def test_every_method_stands_beside_floors_and_broken_networks(tmp_path: Path) -> None:
    what, told = trained(tmp_path), []
    before = deepcopy(what.model.state_dict())
    state = torch.random.get_rng_state()
    quality(
        what,
        tmp_path,
        images=12,
        counts={"meaningful": 8, "extremal": 4},
        curves=4,
        changes=SHORT,
        progress=lambda name, share: told.append(share),
    )
    rows = table(tmp_path)
    names = ["KL D0", *(name for name in METHODS if name != "kl")]
    for name in names:
        for network in ("trained", "untrained", "randomised"):
            assert (network, name) in rows
    assert rows["trained", "extremal"]["n"] == "4"
    assert rows["untrained", "meaningful"]["n"] == "2"
    assert rows["trained", "gradient"]["n"] == "12"
    assert rows["trained", "meaningful"]["curves_n"] == "4"
    assert rows["floor", "brightness"]["deletion_black"] != ""
    assert told == sorted(told)
    assert told[-1] == 1
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in what.model.state_dict().items())


def test_a_map_of_the_target_itself_scores_its_ceiling(tmp_path: Path) -> None:
    quality(trained(tmp_path), tmp_path, images=12, methods=("kl",), curves=0, controls=1)
    rows = table(tmp_path)
    assert float(rows["trained", "KL D0"]["mass_strokes"]) == 1
    assert float(rows["trained", "KL D0"]["ceiling_mass_strokes"]) == 1
    assert float(rows["untrained", "KL D0"]["mass_strokes"]) == pytest.approx(16 / 256)
    assert float(rows["untrained", "KL D0"]["pointing_box"]) == pytest.approx(16 / 256)


def test_counterfactual_views_hold_for_a_network_that_reads_the_target(tmp_path: Path) -> None:
    quality(trained(tmp_path), tmp_path, images=4, methods=("kl",), curves=0)
    rows = {row["view"]: row for row in read_csv(tmp_path / "explanation_counterfactual.csv")}
    assert float(rows["whole"]["accuracy"]) == 1
    assert float(rows["without_target"]["accuracy"]) == 0.5
    assert all(row["holds"] == "True" for row in rows.values())


def test_the_numbers_of_an_image_do_not_depend_on_how_many_there_are(tmp_path: Path) -> None:
    for count in (4, 12):
        quality(
            trained(tmp_path),
            tmp_path / str(count),
            images=count,
            counts={"gradient": 4},
            methods=("gradient",),
            curves=0,
        )
    few, many = (table(tmp_path / str(count))["trained", "gradient"] for count in (4, 12))
    for row in (few, many):
        del row["seconds"]
    assert few == many


def test_masks_are_judged_on_a_second_fill(tmp_path: Path) -> None:
    quality(
        trained(tmp_path),
        tmp_path,
        images=4,
        methods=("meaningful", "meaningful:noise"),
        curves=0,
        controls=0,
        changes=SHORT,
        second=("blur", "noise"),
    )
    rows = read_csv(tmp_path / "explanation_drop.csv")
    assert [(row["method"], row["fill"], row["second_fill"]) for row in rows] == [
        ("meaningful", "average", "blur"),
        ("meaningful", "average", "noise"),
        ("meaningful, noise", "noise", "blur"),
    ]


def test_without_places_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nobody knows where the target is in squares"):
        quality(trained(tmp_path, placed=False), tmp_path, images=4, methods=("kl",))


def test_without_a_right_answer_there_is_nothing_to_explain(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="names no test image correctly"):
        quality(trained(tmp_path, always=1), tmp_path, images=4, methods=("kl",))


def test_changed_canvases_are_refused(tmp_path: Path) -> None:
    what = trained(tmp_path)
    what.data.test.view = "moved"  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="that of whole canvases: view=whole"):
        quality(what, tmp_path, images=4, methods=("kl",))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": 0}, "images=0: at least 1 is needed"),
        ({"methods": ()}, "there is no method; there are kl, meaningful"),
        ({"methods": ("rise",)}, "'rise' is no method of the protocol; there are kl"),
        ({"methods": ("kl:blur",)}, "kl has no fill; only meaningful and extremal have"),
        ({"methods": ("meaningful:mud",)}, "'mud' is no fill; there are constant"),
        ({"controls": 2}, "controls=2: must be a share of the images, from 0 to 1"),
        ({"curves": -1}, "curves=-1: must be 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        quality(trained(tmp_path), tmp_path, **changes)  # type: ignore[arg-type]
