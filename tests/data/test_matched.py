from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data import tiles
from ibdrop.data.base import Batch
from ibdrop.data.ink import tight_boxes
from ibdrop.data.matched import MatchedImages
from ibdrop.data.scramble import scrambled

Digits = tuple[Tensor, Tensor]


def images(digits: Digits, **changes: Any) -> MatchedImages:
    things, repeats = scrambled(digits[0], 1)
    options: dict[str, Any] = {"size": 50, "canvas": 40, "distractors": 6, "repeats": repeats}
    return MatchedImages(*digits, things, **{**options, **changes})


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[1:6], other[1:6], strict=True))


def pasted(data: MatchedImages, index: Tensor, epoch: int = 0) -> Tensor:
    """Canvases made one thing after the other, as sums."""
    crowd, side, canvas = data.layout(index, epoch), data.grid.side, data.grid.canvas
    pictures = torch.zeros(len(index), canvas, canvas, dtype=torch.int64)
    places = data.grid.corners(*crowd[1:])
    for picture, numbers, corners in zip(pictures, crowd.tile, places.tolist(), strict=True):
        for tile, (top, left) in zip(numbers, corners, strict=True):
            thing = data.shelf[tile + 1, -side:, -side:]
            picture[top : top + side, left : left + side] += thing
    return pictures


@pytest.mark.parametrize(
    ("canvas", "distractors", "border"),
    [
        (40, 6, 0),
        (36, 8, 0),
        (37, 8, 0),
        (41, 3, 1),
        (48, 15, 0),
        (12, 0, 0),
        (75, 0, 4),
        (53, 11, 2),
    ],
)
def test_pictures_are_things_pasted_beside_each_other(
    digits: Digits, canvas: int, distractors: int, border: int
) -> None:
    data = images(digits, canvas=canvas, distractors=distractors, border=border)
    index = torch.arange(20)
    batch = data.batch(index)
    expected = pasted(data, index)
    assert int(expected.max()) <= 255
    assert torch.equal(batch.images[:, 0].long(), expected)
    assert batch.images.dtype == torch.uint8
    assert batch.distractors is not None
    assert batch.distractors.shape == (20, distractors, 2)
    edge = torch.ones(canvas, canvas, dtype=torch.bool)
    edge[border : canvas - border, border : canvas - border] = False
    assert not batch.images[:, 0, edge].any()


def test_frames_never_overlap(digits: Digits) -> None:
    data = images(digits, canvas=38, distractors=8)
    crowd = data.layout(torch.arange(200))
    places = data.grid.corners(*crowd[1:])
    apart = (places[:, :, None] - places[:, None]).abs().amax(-1)
    apart += 99 * torch.eye(9, dtype=torch.int64)
    assert int(apart.min()) >= 12
    assert int(places.min()) >= 0
    assert int(places.max()) + 12 <= 38


@pytest.mark.parametrize("view", ["whole", "without_target", "moved", "alone"])
@pytest.mark.parametrize("size", [1, 7, 50])
def test_an_image_does_not_depend_on_its_batch(
    digits: Digits, size: int, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(digits, redraw=True, view=view)
    whole = data.batch(torch.arange(50), epoch=3)
    monkeypatch.setattr(tiles, "CPU_CHUNK", 11)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    parts = [data.batch(index, epoch=3) for index in order.split(size)]
    for one, other in zip(whole[:6], zip(*(part[:6] for part in parts), strict=True), strict=True):
        assert one is not None
        assert torch.equal(one[order], torch.cat([part for part in other if part is not None]))


def test_no_image_at_all(digits: Digits) -> None:
    assert images(digits).batch(torch.arange(0)).images.shape == (0, 1, 40, 40)


def test_cells_and_places_are_uniform(digits: Digits) -> None:
    data = images(digits, canvas=42, distractors=3, size=20_000)
    assert (data.grid.cells, data.grid.slack) == (9, (3, 3))
    crowd = data.layout(torch.arange(20_000))
    for column in range(4):
        counts = torch.bincount(crowd.cell[:, column], minlength=9).double()
        assert float(((counts - 20_000 / 9) ** 2 / (20_000 / 9)).sum()) < 30
    assert all(len(set(row)) == 4 for row in crowd.cell[:200].tolist())
    for jitter in (crowd.down, crowd.over):
        shares = torch.bincount(jitter.flatten(), minlength=3) / jitter.numel()
        assert torch.allclose(shares, torch.full((3,), 1 / 3), atol=0.01)


def test_strokes_and_boxes_are_the_targets(digits: Digits) -> None:
    for canvas in (36, 37, 38, 40, 44):
        data = images(digits, canvas=canvas, stroke=99)
        index = torch.arange(50)
        batch, crowd = data.batch(index), data.layout(index)
        assert batch.masks is not None
        assert batch.boxes is not None
        corners = data.grid.corners(*crowd[1:])[:, 0].tolist()
        assert torch.equal(tight_boxes(batch.masks), batch.boxes)
        for mask, target, (top, left) in zip(
            batch.masks, crowd.tile[:, 0].tolist(), corners, strict=True
        ):
            inside = mask[top : top + 12, left : left + 12]
            assert torch.equal(inside, digits[0][target] > 99)
            assert mask.sum() == inside.sum()


def test_labels_are_the_targets_and_each_digit_has_its_turn(digits: Digits) -> None:
    data = images(digits)
    target = data.layout(torch.arange(50)).tile[:, 0]
    assert torch.equal(data.batch(torch.arange(50)).labels, digits[1][target])
    assert target[:13].sort().values.tolist() == list(range(13))
    assert torch.equal(target[:13], target[13:26])


def test_epochs_differ_only_if_redrawn(digits: Digits) -> None:
    index = torch.arange(50)
    fresh, frozen = images(digits, redraw=True), images(digits)
    assert not torch.equal(fresh.batch(index, 0).images, fresh.batch(index, 1).images)
    assert torch.equal(fresh.batch(index, 0).labels, fresh.batch(index, 1).labels)
    assert equal(frozen.batch(index, 0), frozen.batch(index, 9))
    assert not torch.equal(
        images(digits, seed=1).batch(index).images, images(digits, seed=2).batch(index).images
    )


def test_views_are_of_the_same_canvas(digits: Digits) -> None:
    index = torch.arange(50)
    sets = {
        view: images(digits, view=view, redraw=True, canvas=45, stroke=50)
        for view in ("whole", "without_target", "moved", "alone")
    }
    views = {name: data.batch(index, 2) for name, data in sets.items()}
    whole, without, moved, alone = (views[name].images.long() for name in views)
    target = pasted(images(digits, redraw=True, canvas=45, distractors=6), index, 2)[:, None]
    assert torch.equal(whole, target)
    assert torch.equal(whole - without, alone)
    frame = views["alone"].images > 0
    assert torch.equal(moved[frame], alone[frame])
    for batch in views.values():
        assert torch.equal(batch.labels, views["whole"].labels)
        for one, other in (
            (batch.boxes, views["whole"].boxes),
            (batch.masks, views["whole"].masks),
        ):
            assert one is not None
            assert other is not None
            assert torch.equal(one, other)


def test_moved_distractors_are_the_same_in_other_places(digits: Digits) -> None:
    index = torch.arange(50)
    here, there = (images(digits, view=view, canvas=45) for view in ("whole", "moved"))
    one, other = here.layout(index), there.layout(index)
    assert torch.equal(one.tile, other.tile)
    for part in range(1, 4):
        assert torch.equal(one[part][:, 0], other[part][:, 0])
    same = (here.grid.corners(*one[1:]) == there.grid.corners(*other[1:])).all(2)[:, 1:]
    assert float(same.double().mean()) < 0.1
    ink = [data.batch(index).images.flatten(1).sort(1).values for data in (here, there)]
    assert torch.equal(*ink)


def test_alone_there_is_nothing_beside_the_target(digits: Digits) -> None:
    batch = images(digits, view="alone").batch(torch.arange(50))
    assert batch.masks is not None
    assert batch.distractors is not None
    assert torch.equal(batch.images[:, 0] > 0, batch.masks)
    assert batch.distractors.shape == (50, 0, 2)


def test_determinism_may_be_demanded(digits: Digits) -> None:
    data = images(digits)
    before = data.batch(torch.arange(50))
    torch.use_deterministic_algorithms(True)
    try:
        assert equal(before, data.batch(torch.arange(50)))
    finally:
        torch.use_deterministic_algorithms(False)


def test_moving_to_a_device_keeps_everything(digits: Digits) -> None:
    data = images(digits, redraw=True, border=2, stroke=100, view="moved")
    moved = data.to(torch.device("cpu"))
    assert moved is not data
    assert len(moved) == len(data) == 50
    assert equal(data.batch(torch.arange(50), 4), moved.batch(torch.arange(50), 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "0 images are asked for; it must be at least 1"),
        ({"distractors": -1}, "distractors is -1; it must be 0 to 1023"),
        ({"distractors": 1024}, "distractors is 1024; it must be 0 to 1023"),
        ({"border": -1}, "border is -1 px; it must be 0 or more"),
        (
            {"view": "half"},
            "view is 'half'; it must be one of whole, without_target, moved, alone",
        ),
    ],
)
def test_what_cannot_be_is_refused(digits: Digits, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        images(digits, **change)


def test_something_must_lie_beside_the_target(digits: Digits) -> None:
    with pytest.raises(ValueError, match="^there are 13 targets and 0 distractors to draw from$"):
        MatchedImages(*digits, digits[0][:0], size=5, canvas=36, distractors=2)
