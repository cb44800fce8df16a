"""The measures of heat maps, on cases that can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.artifacts.floors import ceiling, floors
from ibdrop.artifacts.quality import (
    Target,
    blur,
    box_mask,
    energies,
    energy_share,
    measure,
    pointing,
    rank_accuracy,
    resample,
)
from ibdrop.artifacts.scores import Scores, quality_table

SIZE = (8, 8)
BOX = torch.tensor([[2, 3, 5, 6]])


@pytest.fixture
def strokes() -> Tensor:
    mask = torch.zeros(1, *SIZE, dtype=torch.bool)
    mask[0, 2:5, 4] = True
    return mask


@pytest.fixture
def target(strokes: Tensor) -> Target:
    return Target.of(BOX, strokes, SIZE, 1)


def random_map(seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    return torch.rand(1, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("cells", [(20, 20), (10, 10), (5, 5), (3, 3), (7, 40), (40, 40)])
def test_resampling_conserves_the_total(cells: tuple[int, int]) -> None:
    maps = random_map(size=cells)
    assert resample(maps, (40, 40)).sum().item() == pytest.approx(maps.sum().item(), rel=1e-13)
    assert resample(resample(maps, (40, 40)), cells).sum() == pytest.approx(float(maps.sum()))


def test_whole_factor_is_the_nearest_cell_over_its_pixels() -> None:
    maps = random_map(size=(2, 4))
    wanted = maps.repeat_interleave(4, 1).repeat_interleave(2, 2) / 8
    torch.testing.assert_close(resample(maps, SIZE), wanted, rtol=1e-15, atol=0)
    assert len(resample(maps, SIZE).unique()) == 8


def test_broken_factor_shares_by_area() -> None:
    maps = torch.tensor([[[1.0, 2.0, 4.0]]])
    wanted = torch.tensor([[[3 / 4, 1 / 4 + 2 / 2, 2 / 2 + 4 / 4, 3.0]]]).double()
    torch.testing.assert_close(resample(maps, (1, 4)), wanted)


def test_box_mask_is_clipped_at_the_canvas() -> None:
    assert box_mask(BOX, SIZE).sum() == 9
    assert box_mask(BOX, SIZE, 1).sum() == 25
    assert box_mask(BOX, SIZE, 3).sum() == 8 * 8


def test_uniform_map_scores_its_area(target: Target) -> None:
    scores = measure(torch.ones(1, *SIZE), target)
    assert scores["energy_padded"].item() == 25 / 64
    assert scores["lift_padded"].item() == 1.0
    assert scores["mass_strokes"].item() == 3 / 64
    assert scores["rank_strokes"].item() == 3 / 64
    assert scores["rank_box"].item() == 9 / 64
    assert scores["pointing_box"].item() == 9 / 64
    assert [scores[name].item() for name in ("total", "inside", "outside")] == [64, 25, 39]


def test_map_of_zeros_is_unknown_not_a_score(target: Target) -> None:
    scores = measure(torch.zeros(1, *SIZE), target)
    unknown = {name for name, value in scores.items() if value.isnan()}
    assert unknown == set(scores) - {"total", "inside", "outside"}
    assert scores["total"].item() == 0


def test_empty_target_is_unknown() -> None:
    scores = measure(random_map(), Target.of(BOX, None, SIZE, 1))
    assert scores["rank_strokes"].isnan()
    assert scores["mass_strokes"].isnan()
    assert not scores["rank_box"].isnan()


def test_negative_heat_does_not_count() -> None:
    maps = torch.full((1, *SIZE), -1.0)
    inside = torch.zeros(1, *SIZE, dtype=torch.bool)
    inside[0, 0, 0] = True
    assert energy_share(maps, inside).isnan()
    maps[0, 0, 0], maps[0, 7, 7] = 3.0, 1.0
    assert energy_share(maps, inside).item() == 0.75


def test_rank_counts_the_hottest(target: Target) -> None:
    maps = torch.zeros(1, *SIZE)
    maps[0, 2, 4], maps[0, 7, 7], maps[0, 3, 4] = 9, 8, 7
    assert rank_accuracy(maps, target.strokes)[0].item() == pytest.approx(2 / 3)


def test_rank_shares_the_places_of_ties(target: Target) -> None:
    maps = torch.zeros(1, *SIZE)
    maps[0, 2, 4] = 9
    maps[0, 3, 4] = maps[0, 4, 4] = maps[0, 7, 7] = maps[0, 6, 7] = 5
    assert rank_accuracy(maps, target.strokes)[0].item() == pytest.approx((1 + 2 * 2 / 4) / 3)


def test_rank_ignores_contrast_and_mass_does_not(target: Target) -> None:
    maps = random_map()
    plain, sharp = measure(maps, target), measure((5 * maps).exp() - 0.5, target)
    for name in ("rank_strokes", "rank_box", "pointing_box"):
        assert plain[name].item() == sharp[name].item()
    assert plain["mass_strokes"].item() != pytest.approx(sharp["mass_strokes"].item())


def test_pointing_without_ties() -> None:
    maps, inside = random_map(), torch.zeros(1, *SIZE, dtype=torch.bool)
    inside.view(-1)[maps.argmax()] = True
    assert pointing(maps, inside).item() == 1
    assert pointing(maps, ~inside).item() == 0


def test_energies_agree_with_the_single_measure(target: Target) -> None:
    maps = random_map() - 0.3
    found = energies(maps, target)
    assert found["mass_strokes"].item() == pytest.approx(energy_share(maps, target.strokes).item())
    assert found["energy_padded"].item() == pytest.approx(energy_share(maps, target.padded).item())


def test_batch_scores_each_map_alone(strokes: Tensor) -> None:
    boxes = torch.tensor([[2, 3, 5, 6], [0, 0, 8, 7]])
    masks = torch.cat([strokes, ~strokes])
    maps = torch.cat([random_map(0), random_map(1)])
    both = measure(maps, Target.of(boxes, masks, SIZE, 1))
    for i in range(2):
        part = slice(i, i + 1)
        alone = measure(maps[part], Target.of(boxes[part], masks[part], SIZE, 1))
        for name in both:
            torch.testing.assert_close(both[name][part], alone[name])


def test_blur_is_a_gaussian_with_black_around() -> None:
    maps = torch.zeros(1, 41, 41)
    maps[0, 20, 20] = 1
    smooth = blur(maps, 2.0)
    assert smooth.sum().item() == pytest.approx(1, abs=1e-9)
    x = torch.arange(41, dtype=torch.float64) - 20
    assert (smooth[0].sum(0) * x.square()).sum().item() == pytest.approx(4, rel=1e-3)
    maps = torch.ones(1, 9, 9)
    assert blur(maps, 2.0)[0, 0, 0] < 0.5 < blur(maps, 1.0)[0, 4, 4]


def test_oracle_at_full_size_is_perfect_and_coarser_is_worse(target: Target) -> None:
    scores = [
        measure(ceiling(target, torch.zeros(1, cells, cells)), target)["rank_strokes"].item()
        for cells in (8, 4, 2)
    ]
    assert scores[0] == 1
    assert scores[0] > scores[1] > scores[2]


def test_floor_of_a_bright_blob_finds_it(target: Target) -> None:
    images = torch.zeros(1, 1, *SIZE, dtype=torch.uint8)
    images[0, 0, 2:5, 3:6] = 200
    found = dict(floors(images, target))
    assert found["uniform"]["rank_box"].item() == 9 / 64
    assert found["brightness"]["rank_box"].item() == 1
    assert len(found) == 3 + 5 * 8
    blurred, sharp = (found[f"{word} brightness 9{power}"] for word, power in SWEPT)
    assert sharp["rank_box"].item() == blurred["rank_box"].item()
    assert sharp["energy_box"].item() > blurred["energy_box"].item()


SWEPT = (("blurred", ""), ("sharpened", "^128"))


def table(level: float) -> list[dict[str, object]]:
    scores = Scores()
    for batch in range(3):
        boxes = BOX.expand(4, 4)
        masks = box_mask(boxes, SIZE)
        target = Target.of(boxes, masks, SIZE, 1)
        maps = level * torch.cat([random_map(10 * batch + i) + 5 * masks[:1] for i in range(4)])
        scores.add("layer", "D0", measure(maps, target))
        scores.add("untrained", "D0", measure(torch.ones_like(maps), target))
        scores.add("ceiling", "D0", measure(masks.double(), target))
        scores.add("floor", "uniform", measure(torch.ones_like(maps), target))
    return quality_table(scores, {"D0": "8x8"}, 0)


def test_skill_is_one_for_the_oracle_and_zero_for_the_floor() -> None:
    rows = {str(row["source"]): row for row in table(1.0)}
    assert list(rows) == ["D0", "untrained D0", "floor uniform", "best floor", "ceiling D0"]
    assert rows["D0"]["skill_rank_strokes"] == 1
    assert rows["untrained D0"]["skill_rank_strokes"] == 0
    assert rows["D0"]["images"] == 12
    low, mean, high = (rows["D0"][f"mass_strokes{end}"] for end in ("_low", "", "_high"))
    assert isinstance(low, float)
    assert isinstance(mean, float)
    assert isinstance(high, float)
    assert low < mean < high < 1
    assert table(1.0) == table(1.0)


def test_collapsed_layer_has_no_score() -> None:
    row = table(1e-6)[0]
    assert row["collapsed"] is True
    assert str(row["rank_strokes"]) == str(row["skill_rank_strokes"]) == "nan"
    assert isinstance(row["nats_total"], float)
    assert 0 < row["nats_total"] < 0.01


def test_nothing_measured_is_no_table() -> None:
    assert quality_table(Scores(), {}, 0) == []
