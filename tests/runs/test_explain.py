"""Explaining images of a network that is known to look at one patch for each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec, StaticImages
from ibdrop.errors import ConfigError, DataError, RunError
from ibdrop.files import write_csv
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy
from ibdrop.runs import explain as explaining
from ibdrop.runs.explain import Settings, explain, fill_names, method
from ibdrop.runs.selection import Selector, class_number, of_files

SIDE, COUNT, CLASSES = 16, 60, ("left", "right", "below")
PATCHES = ((2, 2), (2, 10), (10, 6))
PATCH = 4
QUICK = Settings(fill="constant", changes={"steps": 12}, baselines=False)


class Patches(nn.Module):
    """The logit of a class is the mean of its own patch."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(12.0))

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        x = images.mean(1)
        means = [x[:, y : y + PATCH, z : z + PATCH].mean((1, 2)) for y, z in PATCHES]
        logits = self.scale * torch.stack(means, 1)
        if sample:
            logits = logits + torch.randn_like(logits)
        return Prediction(logits, {"D0": Noisy(images, images.square())})


def pictures() -> tuple[Tensor, Tensor]:
    """Images whose patch of their class is bright; every tenth is labelled wrongly."""
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 60, (COUNT, 1, SIDE, SIDE), dtype=torch.uint8, generator=draw)
    shown = torch.arange(COUNT) % 3
    for image, number in enumerate(shown.tolist()):
        y, x = PATCHES[number]
        images[image, :, y : y + PATCH, x : x + PATCH] = 150 + image
    labels = torch.where(torch.arange(COUNT) % 10 == 9, (shown + 1) % 3, shown)
    return images, labels


class Cluttered(StaticImages):
    """Images whose clutter can be drawn again."""

    def clutter(self, index: Tensor, draw: int) -> Tensor:
        drawn = []
        for number in index.tolist():
            own = torch.Generator().manual_seed(1000 * number + draw)
            drawn.append(torch.randint(0, 60, (1, SIDE, SIDE), dtype=torch.uint8, generator=own))
        return torch.stack(drawn)


def trained(kind: type[StaticImages] = StaticImages, folder: Path = Path("run")) -> Trained:
    images: ImageSet = kind(*pictures())
    data = ImageData("patches", ImageSpec(1, SIDE, SIDE, CLASSES), images, images, images)
    return Trained(Patches().eval(), data, torch.device("cpu"), 3, Patches, folder)


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """Lets no test leave torch's state changed."""
    before = torch.get_rng_state()
    yield
    assert torch.equal(torch.get_rng_state(), before)


def test_images_by_number_keep_their_order() -> None:
    found = Selector(trained()).numbered([17, 3, 17])
    assert found.batch.index.tolist() == [17, 3]
    with pytest.raises(ConfigError, match=r"^--index: there is no test image 60; .* 0 to 59$"):
        Selector(trained()).numbered([60])


@pytest.mark.parametrize(("count", "classes"), [(2, 2), (3, 3), (6, 3)])
def test_right_ones_are_spread_over_the_classes(count: int, classes: int) -> None:
    found = Selector(trained()).spread(count)
    index, labels = found.batch.index, found.batch.labels
    assert len(index) == count
    assert not (index % 10 == 9).any()
    assert labels.unique().numel() == classes
    assert labels.bincount().max() == -(-count // 3)
    assert labels.tolist() == sorted(labels.tolist())


def test_the_choice_does_not_depend_on_how_many_are_looked_at_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = Selector(trained()).spread(5).batch.index
    monkeypatch.setattr("ibdrop.runs.selection.BLOCK", 7)
    assert torch.equal(Selector(trained(), batch_size=2).spread(5).batch.index, first)


def test_right_ones_of_a_class() -> None:
    found = Selector(trained()).of_class(1, 4)
    assert found.batch.labels.tolist() == [1] * 4
    assert not (found.batch.index % 10 == 9).any()
    assert found.how == "rightly classified, of class right"


def test_the_surest_mistakes_come_first() -> None:
    assert Selector(trained()).wrong(3).batch.index.tolist() == [59, 49, 39]
    with pytest.raises(RunError, match="^run: there is no test image misclassified$"):
        Selector(trained(), limit=9).wrong(3)


def test_the_least_sure_come_from_the_ranking_of_the_run_if_it_has_one(tmp_path: Path) -> None:
    found = Selector(trained()).uncertain(2)
    assert found.how == "of highest entropy, the noise off"
    assert found.batch.index.tolist() == [0, 4]
    rows = [{"index": 5, "entropy": 0.1}, {"index": 7, "entropy": 0.9}]
    ranking = write_csv(tmp_path / "ranking.csv", rows)
    found = Selector(trained()).uncertain(1, ranking)
    assert found.batch.index.tolist() == [7]
    assert found.how == "of highest entropy over noisy passes, from ranking.csv"


def test_classes_by_name_and_by_number() -> None:
    assert class_number("right", CLASSES, "--target") == 1
    assert class_number("LEFT", CLASSES, "--target") == 0
    assert class_number("2", CLASSES, "--target") == 2
    assert class_number("7", tuple("7012"), "--target") == 0
    with pytest.raises(ConfigError, match="^--target: there is no class 'rigth'; did you mean ri"):
        class_number("rigth", CLASSES, "--target")
    with pytest.raises(ConfigError, match="no class '3'; they are left, right, below$"):
        class_number("3", CLASSES, "--class")
    with pytest.raises(ConfigError, match="numbers are 0 to 19$"):
        class_number("#", [f"class {number}" for number in range(20)], "--class")


def test_files_get_the_shape_of_the_images(tmp_path: Path) -> None:
    from PIL import Image

    wide = Image.new("RGB", (80, 40), "black")
    wide.paste((255, 255, 255), (30, 0, 50, 40))
    wide.save(tmp_path / "wide.png")
    found = of_files([str(tmp_path / "wide.png")], 1, (SIDE, SIDE))
    assert found.batch.images.shape == (1, 1, SIDE, SIDE)
    assert found.batch.labels.tolist() == [-1]
    assert found.names == ("wide.png",)
    bright = found.batch.images[0, 0].float().mean(0) > 127
    assert bright.tolist() == [4 <= column < 12 for column in range(SIDE)]
    smaller = of_files([str(tmp_path / "wide.png")], 3, (14, 14), resize=16).batch.images
    assert smaller.shape == (1, 3, 14, 14)
    assert (smaller[0, 0].float().mean(0) > 127).sum() == 8
    with pytest.raises(DataError, match=r"^.*none\.png$"):
        of_files([str(tmp_path / "none.png")], 1, (SIDE, SIDE))
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(DataError, match=r"bad\.png is no picture in a known format$"):
        of_files([str(tmp_path / "bad.png")], 1, (SIDE, SIDE))


def test_the_patch_of_the_class_is_found() -> None:
    network = trained(Cluttered)
    chosen = Selector(network).spread(3)
    found = explain(
        network,
        chosen,
        Settings("meaningful", None, "constant", baselines=False, changes={"steps": 80}),
    )
    assert torch.equal(found.classes, chosen.batch.labels)
    assert (found.p_start > 0.9).all()
    assert (found.p_optimised[:, 0] < 0.5).all()
    assert (found.p_second[:, 0] < 0.5).all()
    for heat, label in zip(found.explanation.heat, found.classes.tolist(), strict=True):
        y, x = PATCHES[label]
        inside = heat[y : y + PATCH, x : x + PATCH].mean()
        assert inside > max(0.9, 1.5 * heat.mean())
    assert (found.fill, found.second_fill) == ("constant", "rerender")
    assert list(found.kl) == ["D0"]
    assert found.kl["D0"].shape == (3, SIDE, SIDE)


def test_the_plain_and_the_blank_picture_end_both_curves() -> None:
    network = trained()
    found = explain(network, Selector(network).spread(2), QUICK)
    for suffix in ("", "_second"):
        deletion, insertion = (
            getattr(found, f"{way}{suffix}").p for way in ("deletion", "insertion")
        )
        blank = getattr(found, f"p_blank{suffix}").double()
        torch.testing.assert_close(deletion[:, 0], found.p_start.double())
        torch.testing.assert_close(deletion[:, -1], blank)
        torch.testing.assert_close(insertion[:, 0], blank)
        torch.testing.assert_close(insertion[:, -1], found.p_start.double())


@pytest.mark.parametrize("fill", ["constant", "rerender", "noise", "average"])
def test_what_is_found_depends_on_no_batch(fill: str) -> None:
    network = trained(Cluttered)
    chosen = Selector(network).numbered([4, 8, 12])
    whole, single = (
        explain(network, chosen, Settings(fill=fill, together=n, baselines=False, changes=changes))
        for n in (3, 1)
        for changes in [{"steps": 6}]
    )
    torch.testing.assert_close(whole.explanation.masks, single.explanation.masks)
    for name in ("p_optimised", "p_second", "p_blank", "p_blank_second"):
        torch.testing.assert_close(getattr(whole, name), getattr(single, name))
    torch.testing.assert_close(whole.deletion.p, single.deletion.p)
    torch.testing.assert_close(whole.box_scores.scores, single.box_scores.scores, equal_nan=True)


def test_the_network_stays_as_it_was() -> None:
    network = trained()
    network.model.train()
    network.model.scale.grad = torch.tensor(5.0)
    explain(network, Selector(network).numbered([0]), Settings(draws=2, changes={"steps": 3}))
    assert network.model.training
    (scale,) = network.model.parameters()
    assert scale.requires_grad
    assert scale.grad == 5


def test_any_class_can_be_asked_for() -> None:
    network = trained()
    asked = torch.tensor([2])
    found = explain(network, Selector(network).numbered([0]), QUICK, asked)
    assert found.classes.tolist() == [2]
    assert found.predictions.tolist() == [0]
    assert float(found.p_start[0]) < 0.1


def test_clutter_is_the_second_fill_where_it_can_be_drawn_again() -> None:
    plain, cluttered = trained(), trained(Cluttered)
    constant = Settings(fill="constant")
    assert fill_names(constant, plain) == ("constant", "noise")
    assert fill_names(constant, cluttered) == ("constant", "rerender")
    assert fill_names(constant, cluttered, own=False) == ("constant", "noise")
    assert fill_names(Settings(fill="average"), plain) == ("average", "constant")
    large = replace(plain, data=replace(plain.data, spec=ImageSpec(3, 64, 80, CLASSES)))
    assert fill_names(constant, large) == ("constant", "blur")
    assert fill_names(Settings(fill="average"), large) == ("average", "pyramid")
    assert fill_names(Settings(preset="paper"), plain) == ("blur", "constant")
    assert fill_names(Settings(fill="rerender"), cluttered) == ("rerender", "noise")
    assert fill_names(Settings(fill="noise", second="average"), plain) == ("noise", "average")


def test_clutter_needs_images_that_have_some(tmp_path: Path) -> None:
    from PIL import Image

    plain, cluttered = trained(), trained(Cluttered)
    with pytest.raises(ConfigError, match="clutter"):
        explain(plain, Selector(plain).numbered([0]), Settings(fill="rerender"))
    Image.new("L", (SIDE, SIDE)).save(tmp_path / "a.png")
    files = of_files([str(tmp_path / "a.png")], 1, (SIDE, SIDE))
    with pytest.raises(ConfigError, match="^the fill rerender draws the clutter of a run's own"):
        explain(cluttered, files, Settings(fill="rerender"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"changes": {"areas": [0.1]}}, "--areas: is a setting of --method extremal alone"),
        (
            {"method": "extremal", "changes": {"optimiser": "adam"}},
            "--optimiser: is a setting of --method meaningful alone",
        ),
        (
            {"fill": "constant", "second": "constant"},
            "--second constant: is the fill of the masks; choose another",
        ),
        ({"changes": {"grid": 1}}, "grid=1: must be 2 or more."),
        ({"method": "extremal", "preset": "paper"}, "preset=paper: extremal has no presets"),
    ],
)
def test_settings_that_do_not_go_together(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        method(Settings(**settings))
    assert str(caught.value).startswith(sentence)


def test_extremal_masks_one_for_each_area() -> None:
    network = trained()
    settings = Settings("extremal", baselines=False, changes={"areas": [0.1, 0.3], "steps": 3})
    found = explain(network, Selector(network).numbered([0, 1]), settings)
    assert found.explanation.masks.shape == (2, 2, SIDE, SIDE)
    assert found.p_optimised.shape == found.p_second.shape == (2, 2)
    assert found.method == "extremal"
    assert found.settings["score"] == "logit"
    cells = method(Settings("extremal", changes={"grid": 28}))
    assert getattr(cells, "grid", None) == 8


def test_large_images_and_many_areas_are_explained_few_at_once() -> None:
    network = trained()
    small = Selector(network).numbered([0])
    large = small.__class__(
        Batch(small.batch.index, torch.zeros(1, 3, 224, 224), torch.zeros(1)), ""
    )
    assert explaining.few(method(Settings()), small, None) == 2304
    assert explaining.few(method(Settings()), large, None) == 11
    assert explaining.few(method(Settings("extremal")), large, None) == 2
    assert explaining.few(method(Settings()), large, 40) == 40


def test_what_cannot_be_made_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ValueError("needs captum; `pip install 'ibdrop[captum]'` brings it")

    monkeypatch.setattr("ibdrop.runs.judging.attribution", refuse)
    said: dict[str, None] = {}
    network = trained()
    settings = Settings(changes={"steps": 2})
    found = explain(network, Selector(network).numbered([0]), settings, say=said.setdefault)
    assert list(said) == ["needs captum; `pip install 'ibdrop[captum]'` brings it"]
    assert found.baselines == {}


def test_progress_is_told() -> None:
    network = trained()
    told: list[tuple[str, int, int]] = []
    explain(
        network,
        Selector(network).numbered([0, 1]),
        Settings(baselines=False, together=1, changes={"steps": 4}),
        watch=lambda *words: told.append(words),
    )
    masks = [(done, total) for what, done, total in told if what == "masks"]
    assert masks[0] == (0, 8)
    assert max(done for done, _ in masks) <= 8
    assert told[-1] == ("curves and baselines", 2, 2)
