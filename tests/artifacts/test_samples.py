from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ibdrop.artifacts.plotting import BLUE, ORANGE
from ibdrop.artifacts.samples import PINK, _outline, draw_samples
from ibdrop.data.base import Batch

NAMES = ("cat", "dog", "a class whose name is much longer than its image is wide")


def batch(count: int = 3, channels: int = 1, **known: Any) -> Batch:
    images = torch.full((count, channels, 8, 8), 7, dtype=torch.uint8)
    return Batch(torch.arange(count), images, torch.arange(count) % 3, **known)


def drawn(figure: Figure) -> dict[str, list[Any]]:
    """The lines of each colour, with shape (n, 2, 2) for each image."""
    found: dict[str, list[Any]] = {}
    for lines in figure.axes[0].collections:
        assert isinstance(lines, LineCollection)
        colour = to_hex(lines.get_edgecolor()[0]).upper()  # type: ignore[index]
        found.setdefault(colour, []).append(np.array(lines.get_segments()))
    return found


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for key in figure.legends for text in key.get_texts()]


def test_classes_stand_above_the_images() -> None:
    figure = draw_samples(batch(), NAMES, "some images")
    title, *names = words(figure)
    assert title == "some images"
    assert names[:2] == ["cat", "dog"]
    assert names[2].startswith("a class whose name")
    assert names[2].endswith("…")
    assert legend(figure) == []
    assert drawn(figure) == {}


def test_the_nuisance_is_never_cut_off() -> None:
    figure = draw_samples(batch(nuisance=torch.tensor([7, 0, 3])), NAMES, "")
    names = words(figure)[1:]
    assert names[:2] == ["cat | 7", "dog | 0"]
    assert names[2].endswith("… | 3")
    assert legend(figure) == ["class | nuisance"]


def test_all_that_is_known_is_drawn() -> None:
    masks = torch.zeros(3, 8, 8, dtype=torch.bool)
    masks[:, 2:5, 3:4] = True
    known = {
        "boxes": torch.tensor([[2, 3, 5, 4]] * 3),
        "masks": masks,
        "distractors": torch.tensor([[[0, 0], [6, 1]]] * 3),
    }
    figure = draw_samples(batch(**known), NAMES, "")
    assert legend(figure) == [
        "box of the target",
        "strokes of the target",
        "corners of distractors",
    ]
    found = drawn(figure)
    assert {colour: [len(part) for part in parts] for colour, parts in found.items()} == {
        BLUE: [4] * 3,
        ORANGE: [8] * 3,
        PINK: [4] * 3,
    }
    for box, outline in zip(found[BLUE], found[ORANGE], strict=True):
        assert np.allclose(box.min((0, 1)), outline.min((0, 1)))
        assert np.allclose(box.max((0, 1)), outline.max((0, 1)))


def test_places_are_those_of_the_image() -> None:
    boxes = torch.tensor([[1, 0, 3, 8]] * 3)
    figure = draw_samples(batch(boxes=boxes), NAMES, "")
    for image, box in zip(figure.axes[0].images, drawn(figure)[BLUE], strict=True):
        left, right, bottom, top = image.get_extent()
        assert np.allclose(box[..., 0].min(), left)
        assert np.allclose(box[..., 0].max(), right)
        assert np.allclose(box[..., 1].min(), top + (bottom - top) / 8)
        assert np.allclose(box[..., 1].max(), top + 3 * (bottom - top) / 8)


def test_of_masks_of_most_of_the_image_the_rest_is_outlined() -> None:
    masks = torch.ones(3, 8, 8, dtype=torch.bool)
    masks[:, 6:, 6:] = False
    boxes = torch.tensor([[0, 0, 8, 8]] * 3)
    figure = draw_samples(batch(masks=masks, boxes=boxes), NAMES, "")
    assert legend(figure) == ["what hides the target"]
    assert {colour: [len(part) for part in parts] for colour, parts in drawn(figure).items()} == {
        ORANGE: [4] * 3
    }


@pytest.mark.parametrize(("closed", "edges"), [(True, 12), (False, 4)])
def test_an_outline_follows_the_pixels(closed: bool, edges: int) -> None:
    mask = np.zeros((4, 5), dtype=bool)
    mask[0, :2] = True
    mask[1, 0] = True
    mask[3, 4] = closed
    lines = _outline(mask, closed=closed)
    assert len(lines) == edges
    assert (np.abs(lines[:, 1] - lines[:, 0]).sum(1) == 1).all()


@pytest.mark.parametrize("count", [1, 24, 25, 60])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_number_of_images(count: int, channels: int) -> None:
    figure = draw_samples(batch(count, channels), NAMES, "title " * 40)
    width, height = figure.get_size_inches()
    assert 5 <= width <= 9.01
    assert len(figure.axes[0].images) == count
    for text in figure.axes[0].texts[1:]:
        assert 0 < text.get_position()[0] < width
    for image in figure.axes[0].images:
        left, right, bottom, top = image.get_extent()
        assert right - left == pytest.approx(bottom - top)
        assert 0 < left < right < width
        assert 0 < top < bottom < height


@pytest.mark.parametrize("size", [(4, 16), (16, 4)])
def test_images_need_not_be_square(size: tuple[int, int]) -> None:
    images = torch.zeros(8, 3, *size, dtype=torch.uint8)
    known = {"boxes": torch.tensor([[0, 0, *size]] * 8)}
    known["boxes"][0] = torch.tensor([0, 0, size[0], 2])
    figure = draw_samples(
        Batch(torch.arange(8), images, torch.zeros(8).long(), **known), NAMES, ""
    )
    extents = [image.get_extent() for image in figure.axes[0].images]
    for left, right, bottom, top in extents:
        assert (bottom - top) / (right - left) == pytest.approx(size[0] / size[1])
    (box,) = drawn(figure)[BLUE]
    left, right, bottom, top = extents[0]
    assert np.allclose(box.min((0, 1)), (left, top))
    assert np.allclose(box.max((0, 1)), (left + 2 * (right - left) / size[1], bottom))
