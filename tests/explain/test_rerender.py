from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import ImageSet, StaticImages
from ibdrop.data.clutter import ClutteredImages
from ibdrop.explain.rerender import Rerender


def images(**changes: Any) -> ClutteredImages:
    random = torch.Generator().manual_seed(5)
    digits = torch.randint(0, 256, (13, 12, 12), generator=random, dtype=torch.uint8)
    options: dict[str, Any] = {"size": 30, "canvas": 28, "distractors": 4, "crop": 5}
    return ClutteredImages(digits, torch.arange(13) % 10, **{**options, **changes})


def pictures(data: ImageSet, index: Tensor) -> Tensor:
    return data.batch(index).images / 255


INDEX = torch.tensor([3, 17, 8])


def test_what_is_kept_stays_bitwise() -> None:
    data = images()
    x = pictures(data, INDEX)
    found = Rerender(data).over(x, INDEX)(torch.ones(3, 2, 28, 28), 5)
    assert torch.equal(found, x[:, None].expand(-1, 2, -1, -1, -1))


def test_what_is_deleted_is_clutter_of_the_step() -> None:
    data = images()
    perturbation = Rerender(data, draws=3).over(pictures(data, INDEX), INDEX)
    nothing = torch.zeros(3, 1, 28, 28)
    for step in range(7):
        expected = data.clutter(INDEX, step % 3) / 255
        assert torch.equal(perturbation(nothing, step)[:, 0], expected)


def test_judging_sees_draws_that_no_step_has_seen() -> None:
    data = images()
    perturbation = Rerender(data, draws=3).over(pictures(data, INDEX), INDEX)
    nothing = torch.zeros(3, 1, 28, 28)
    assert torch.equal(perturbation(nothing, -1)[:, 0], data.clutter(INDEX, 3) / 255)
    assert torch.equal(perturbation(nothing, -2)[:, 0], data.clutter(INDEX, 4) / 255)


def test_no_image_depends_on_its_batch() -> None:
    data = images()
    fill, m = Rerender(data), torch.rand(3, 2, 28, 28)
    whole = fill.over(pictures(data, INDEX), INDEX)(m, 2)
    for i in range(3):
        one = INDEX[i : i + 1]
        assert torch.equal(fill.over(pictures(data, one), one)(m[i : i + 1], 2)[0], whole[i])


def test_picture_and_clutter_move_together() -> None:
    data = images()
    perturbation = Rerender(data).over(pictures(data, INDEX), INDEX)
    m = torch.full((3, 1, 28, 28), 0.5)
    still, moved = perturbation(m, 0), perturbation(m, 0, (2, 3))
    assert torch.equal(moved[..., 2:, 3:], still[..., :-2, :-3])


def test_renderings_are_made_once_and_only_if_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    data, asked = images(), []
    plain = data.clutter

    def clutter(index: Tensor, draw: int) -> Tensor:
        asked.append(draw)
        return plain(index, draw)

    monkeypatch.setattr(data, "clutter", clutter)
    perturbation = Rerender(data).over(pictures(data, INDEX), INDEX)
    for step in (0, 1, 0, 1, 17):
        perturbation(torch.zeros(3, 1, 28, 28), step)
    assert asked == [0, 1]


def test_sets_without_clutter_are_refused_at_once() -> None:
    data = StaticImages(torch.zeros(20, 1, 8, 8, dtype=torch.uint8), torch.zeros(20).long())
    with pytest.raises(ValueError, match="these images have no clutter that could be drawn again"):
        Rerender(data).over(torch.zeros(3, 1, 8, 8), INDEX)
    with pytest.raises(ValueError, match=r"draws is 0; it must be at least 1\."):
        Rerender(data, draws=0)
    with pytest.raises(ValueError, match="the fill rerender needs pictures of its own set"):
        Rerender(images()).over(torch.zeros(3, 1, 8, 8), INDEX)


def test_it_says_that_every_step_differs() -> None:
    assert Rerender.random
    assert Rerender.name == "rerender"
