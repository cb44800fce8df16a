"""Clutter drawn again, without a target."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data.augment import Augmentation
from ibdrop.data.base import ImageSet, ImageSpec, StaticImages
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.matched import MatchedImages
from ibdrop.data.scramble import scrambled

Digits = tuple[Tensor, Tensor]


def cluttered(digits: Digits, **changes: Any) -> ClutteredImages:
    options: dict[str, Any] = {"size": 50, "canvas": 40, "distractors": 6, "crop": 5}
    return ClutteredImages(*digits, **{**options, **changes})


def matched(digits: Digits, **changes: Any) -> MatchedImages:
    things, repeats = scrambled(digits[0], 1)
    options: dict[str, Any] = {"size": 50, "canvas": 36, "distractors": 8, "repeats": repeats}
    return MatchedImages(*digits, things, **{**options, **changes})


@pytest.fixture(params=[cluttered, matched])
def data(digits: Digits, request: pytest.FixtureRequest) -> ImageSet:
    found: ImageSet = request.param(digits)
    return found


def test_a_canvas_depends_on_its_number_and_draw_alone(data: ImageSet) -> None:
    index = torch.tensor([7, 49, 3, 7])
    drawn = data.clutter(index, 2)
    assert drawn.dtype == torch.uint8
    assert drawn.shape == data.batch(index).images.shape
    assert torch.equal(drawn, torch.cat([data.clutter(one, 2) for one in index.split(1)]))
    assert torch.equal(drawn[0], drawn[3])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn, data.clutter(index, 3))


def test_drawing_again_leaves_the_canvases_alone(data: ImageSet) -> None:
    index = torch.arange(50)
    before = data.batch(index).images
    data.clutter(index, 0)
    assert torch.equal(before, data.batch(index).images)
    for epoch in (0, 1):
        assert not (data.batch(index, epoch).images == data.clutter(index, 0)).all((1, 2, 3)).any()


@pytest.mark.parametrize("changes", [{"seed": 4}, {"size": 20}, {"view": "alone"}])
def test_only_the_seed_changes_what_is_drawn(digits: Digits, changes: dict[str, Any]) -> None:
    index = torch.arange(20)
    for make in (cluttered, matched):
        same = torch.equal(
            make(digits).clutter(index, 1), make(digits, **changes).clutter(index, 1)
        )
        assert same == ("seed" not in changes)


def test_only_crops_are_painted(digits: Digits) -> None:
    """One dark digit is the only target: nothing of it may be seen, and all the rest is."""
    data = cluttered(digits, distractors=0)
    assert not data.clutter(torch.arange(50), 0).any()
    assert data.batch(torch.arange(50)).images.any()


def test_as_much_ink_as_beside_the_target(digits: Digits) -> None:
    index = torch.arange(2000)
    data = cluttered(digits, size=2000, view="without_target")
    plain = data.batch(index).images.double().sum((1, 2, 3))
    again = data.clutter(index, 0).double().sum((1, 2, 3))
    error = (plain.var() + again.var()).div(len(index)).sqrt()
    assert abs(float(plain.mean() - again.mean())) < 4 * float(error)


def test_crops_are_everywhere(digits: Digits) -> None:
    """Where the target was there is as much clutter as anywhere."""
    data = cluttered(digits, size=2000, distractors=12)
    index = torch.arange(2000)
    drawn = (data.clutter(index, 0)[:, 0] > 0).double()
    masks = data.batch(index).masks
    assert masks is not None
    inside = (drawn * masks).sum((1, 2)) / masks.sum((1, 2)).clamp_min(1)
    centre = drawn[:, 6:34, 6:34].mean((1, 2))
    difference = inside - centre
    assert abs(float(difference.mean())) < 4 * float(difference.std()) / len(index) ** 0.5 + 0.01


def test_no_hole_tells_where_the_target_was(digits: Digits) -> None:
    data = matched(digits, distractors=6)
    assert data.grid.cells == 9
    drawn = data.clutter(torch.arange(50), 0)[:, 0]
    cells = drawn.unfold(1, 12, 12).unfold(2, 12, 12)
    assert bool((cells.amax((3, 4)) > 0).all())


def test_things_lie_in_their_cells_and_none_is_a_target(digits: Digits) -> None:
    data = matched(digits, canvas=48)
    crowd = data._crowded(torch.arange(50), 99)
    assert int(crowd.tile.min()) >= len(digits[0])
    assert int(crowd.tile.max()) < len(data.shelf) - 2
    assert torch.equal(crowd.cell.sort(1).values, torch.arange(data.grid.cells).expand(50, -1))
    for values, places in zip(crowd[2:], data.grid.slack, strict=True):
        assert set(values.flatten().tolist()) == set(range(places))


def test_a_set_that_varies_images_passes_it_on(digits: Digits) -> None:
    inner = cluttered(digits)
    varied = Augmentation(shift=2)(inner, ImageSpec(1, 40, 40, ()), 0)
    index = torch.arange(5)
    assert torch.equal(varied.clutter(index, 1), inner.clutter(index, 1))


def test_other_images_have_none() -> None:
    data = StaticImages(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2).long())
    words = (
        "these images have no clutter that could be drawn again, so the fill cannot be rerender;"
        " use constant, noise, blur, average or pyramid instead."
    )
    with pytest.raises(ValueError, match=words):
        data.clutter(torch.arange(1), 0)
