from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ibdrop.data import clutter
from ibdrop.data.base import Batch
from ibdrop.data.clutter import ClutteredImages, Layout, render
from ibdrop.data.digits import cluttered_digits

Digits = tuple[Tensor, Tensor]


def images(digits: Digits, **changes: Any) -> ClutteredImages:
    options: dict[str, Any] = {"size": 50, "canvas": 30, "distractors": 9, "crop": 5}
    return ClutteredImages(*digits, **{**options, **changes})


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[1:6], other[1:6], strict=True))


def painted(digits: Tensor, layout: Layout, canvas: int, crop: int) -> np.ndarray:
    """The original generator, pixel by pixel: clip after the distractors and after the target."""
    pictures = []
    for target, corner, crops, places in zip(*(values.tolist() for values in layout), strict=True):
        picture = np.zeros((canvas, canvas))
        for (digit, row, column), (top, left) in zip(crops, places, strict=True):
            for y in range(crop):
                for x in range(crop):
                    picture[top + y, left + x] += digits[digit, row + y, column + x] / 255
        picture = np.minimum(picture, 1)
        side = digits.shape[-1]
        for y in range(side):
            for x in range(side):
                picture[corner[0] + y, corner[1] + x] += digits[target, y, x] / 255
        pictures.append(np.minimum(picture, 1))
    return np.rint(255 * np.stack(pictures)).astype(np.uint8)


def test_pictures_are_those_of_the_original_generator(digits: Digits) -> None:
    data = images(digits)
    index = torch.arange(20)
    batch = data.batch(index)
    expected = painted(digits[0], data.layout(index), 30, 5)
    assert batch.images.shape == (20, 1, 30, 30)
    assert batch.images.dtype == torch.uint8
    assert np.array_equal(batch.images[:, 0].numpy(), expected)
    assert (expected == 255).any()


@pytest.mark.parametrize("canvas", [12, 13, 40])
@pytest.mark.parametrize(("distractors", "crop"), [(0, 5), (1, 12), (200, 1)])
def test_any_sizes(digits: Digits, canvas: int, distractors: int, crop: int) -> None:
    data = images(digits, canvas=canvas, distractors=distractors, crop=crop)
    index = torch.arange(3)
    expected = painted(digits[0], data.layout(index), canvas, crop)
    assert np.array_equal(data.batch(index).images[:, 0].numpy(), expected)


def test_many_bright_distractors_do_not_overflow() -> None:
    white = torch.full((1, 4, 4), 255, dtype=torch.uint8)
    zeros = torch.zeros(1, 2, dtype=torch.int64)
    crops = torch.zeros(1, 1000, 3, dtype=torch.int64)
    layout = Layout(zeros[:, 0], zeros, crops, torch.zeros(1, 1000, 2, dtype=torch.int64))
    picture, _ = render(white, layout, 4, 4)
    assert picture.unique().tolist() == [255]


@pytest.mark.parametrize("size", [1, 7, 50])
def test_an_image_does_not_depend_on_its_batch(
    digits: Digits, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(digits, redraw=True)
    whole = data.batch(torch.arange(50), epoch=3)
    monkeypatch.setattr(clutter, "CPU_CHUNK", 11)
    parts = [data.batch(index, epoch=3) for index in torch.arange(50).split(size)]
    columns = zip(*(part[:6] for part in parts), strict=True)
    joined = Batch(*(torch.cat(values) for values in columns))  # type: ignore[arg-type]
    assert equal(whole, joined)


def test_no_image_at_all(digits: Digits) -> None:
    assert images(digits).batch(torch.arange(0)).images.shape == (0, 1, 30, 30)


def test_an_image_does_not_depend_on_the_order(digits: Digits) -> None:
    data = images(digits)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    whole = data.batch(torch.arange(50))
    shuffled = data.batch(order)
    assert torch.equal(shuffled.index, order)
    assert torch.equal(whole.images[order], shuffled.images)
    assert torch.equal(whole.labels[order], shuffled.labels)


def test_an_image_does_not_depend_on_the_number_of_distractors_before_it(digits: Digits) -> None:
    few, many = (images(digits, distractors=n).layout(torch.arange(50)) for n in (3, 9))
    assert torch.equal(few.places, many.places[:, :3])
    assert torch.equal(few.corner, many.corner)


def test_determinism_may_be_demanded(digits: Digits) -> None:
    data = images(digits)
    before = data.batch(torch.arange(50))
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert equal(before, data.batch(torch.arange(50)))
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_moving_keeps_everything(digits: Digits) -> None:
    data = images(digits, redraw=True, border=2, stroke=100)
    moved = data.to(torch.device("cpu"))
    assert moved is not data
    assert len(moved) == len(data) == 50
    assert equal(data.batch(torch.arange(50), 4), moved.batch(torch.arange(50), 4))


@pytest.mark.gpu
def test_a_gpu_paints_the_same_bits(digits: Digits) -> None:
    for distractors in (9, 300):
        data = images(digits, size=5000, distractors=distractors, redraw=True)
        here = data.batch(torch.arange(5000), 2)
        there = data.to(torch.device("cuda")).batch(torch.arange(5000), 2)
        assert equal(here, Batch(*(x.cpu() for x in there if x is not None)))


def test_epochs_differ_only_if_redrawn(digits: Digits) -> None:
    index = torch.arange(50)
    fresh, frozen = images(digits, redraw=True), images(digits)
    assert not torch.equal(fresh.batch(index, 0).images, fresh.batch(index, 1).images)
    assert torch.equal(fresh.batch(index, 0).labels, fresh.batch(index, 1).labels)
    assert equal(frozen.batch(index, 0), frozen.batch(index, 9))


def test_seeds_differ(digits: Digits) -> None:
    one, other = (images(digits, seed=seed).batch(torch.arange(50)) for seed in (0, 1))
    assert not torch.equal(one.images, other.images)


def test_each_digit_is_the_target_once_in_as_many_canvases(digits: Digits) -> None:
    targets = images(digits, size=26).layout(torch.arange(26)).target
    assert targets[:13].sort().values.tolist() == list(range(13))
    assert torch.equal(targets[:13], targets[13:])
    assert targets[:13].tolist() != list(range(13))


def test_labels_are_the_targets(digits: Digits) -> None:
    data = images(digits)
    index = torch.arange(50)
    assert torch.equal(data.batch(index).labels, digits[1][data.layout(index).target])


def test_corners_reach_exactly_as_far_as_they_may(digits: Digits) -> None:
    layout = images(digits, size=4000, border=3).layout(torch.arange(4000))
    reached = [values.reshape(-1, values.shape[-1]) for values in layout[1:]]
    bounds = [(values.amin(0).tolist(), values.amax(0).tolist()) for values in reached]
    assert bounds == [([3, 3], [15, 15]), ([0, 0, 0], [12, 7, 7]), ([0, 0], [25, 25])]


def test_places_are_uniform(digits: Digits) -> None:
    layout = images(digits, size=20_000).layout(torch.arange(20_000))
    for values, cells in ((layout.corner, 19), (layout.places, 26), (layout.crops[..., 1:], 8)):
        row, column = values.reshape(-1, 2).unbind(1)
        counts = torch.bincount(row * cells + column, minlength=cells**2).double()
        expected = counts.sum() / cells**2
        chi_square = float(((counts - expected) ** 2 / expected).sum())
        free = cells**2 - 1
        assert abs(chi_square - free) < 5 * (2 * free) ** 0.5


def test_boxes_are_tight_around_the_strokes(digits: Digits) -> None:
    batch = images(digits).batch(torch.arange(50))
    assert batch.boxes is not None
    assert batch.masks is not None
    for mask, box in zip(batch.masks, batch.boxes.tolist(), strict=True):
        rows, columns = (torch.nonzero(mask.any(axis)).flatten() for axis in (1, 0))
        assert box == [int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1]


def test_strokes_are_those_of_the_target_alone(digits: Digits) -> None:
    data = images(digits, stroke=99)
    index = torch.arange(50)
    masks, layout = data.batch(index).masks, data.layout(index)
    assert masks is not None
    for mask, target, (top, left) in zip(
        masks, layout.target.tolist(), layout.corner.tolist(), strict=True
    ):
        inside = mask[top : top + 12, left : left + 12]
        assert torch.equal(inside, digits[0][target] > 99)
        assert mask.sum() == inside.sum()


def test_a_blank_digit_has_an_empty_box() -> None:
    data = ClutteredImages(
        torch.zeros(1, 4, 4, dtype=torch.uint8), torch.zeros(1).long(), size=1, canvas=4, crop=2
    )
    boxes = data.batch(torch.arange(1)).boxes
    assert boxes is not None
    assert boxes.tolist() == [[0, 0, 0, 0]]


def test_views_are_of_the_same_canvas(digits: Digits) -> None:
    dim = digits[0] // 8, digits[1]
    index = torch.arange(50)
    views = {
        view: images(dim, view=view, redraw=True, stroke=5).batch(index, 2)
        for view in ("whole", "without_target", "moved", "alone")
    }
    whole, without, moved, alone = (batch.images.long() for batch in views.values())
    assert int(whole.max()) < 255
    assert torch.equal(whole - without, alone)
    assert bool((moved >= alone).all())
    assert float((moved != whole).double().mean()) > 0.1
    for image, target, (top, left) in zip(
        alone[:, 0],
        images(dim).layout(index).target.tolist(),
        images(dim, redraw=True).layout(index, 2).corner.tolist(),
        strict=True,
    ):
        assert torch.equal(image[top : top + 12, left : left + 12], dim[0][target].long())
        assert int(image.sum()) == int(dim[0][target].sum())
    for batch in views.values():
        for one, other in zip(batch[2:5], views["whole"][2:5], strict=True):
            assert torch.equal(one, other)  # type: ignore[arg-type]


def test_moved_distractors_are_the_same_in_other_places(digits: Digits) -> None:
    index = torch.arange(50)
    here, there = (images(digits, view=view).layout(index) for view in ("whole", "moved"))
    assert torch.equal(here.crops, there.crops)
    assert torch.equal(here.corner, there.corner)
    assert float((here.places == there.places).all(2).double().mean()) < 0.02


def test_only_some_digits_may_be_targets(digits: Digits) -> None:
    data = images(digits, targets=torch.tensor([2, 5, 11]), size=3000)
    layout = data.layout(torch.arange(3000))
    assert sorted(layout.target[:3].tolist()) == [2, 5, 11]
    assert sorted(set(layout.crops[..., 0].flatten().tolist())) == list(range(13))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"view": "half"},
            "view is 'half'; it must be one of whole, without_target, moved, alone",
        ),
        ({"size": 0}, "0 images are asked for; it must be at least 1"),
        (
            {"canvas": 11},
            "a digit of 12 px and a border of 0 px do not fit on a canvas of 11 px;"
            " it needs at least 12",
        ),
        (
            {"border": 10},
            "a digit of 12 px and a border of 10 px do not fit on a canvas of 30 px;"
            " it needs at least 32",
        ),
        ({"crop": 13}, "distractor_size is 13 px; it must be 1 to 12, a digit's side"),
        ({"crop": 0}, "distractor_size is 0 px; it must be 1 to 12, a digit's side"),
        ({"distractors": -1}, "distractors is -1; it must be 0 to 1023"),
        ({"distractors": 1024}, "distractors is 1024; it must be 0 to 1023"),
    ],
)
def test_what_does_not_fit_is_refused(
    digits: Digits, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        images(digits, **change)


def test_expected_ink_of_embedded_digits() -> None:
    """Without the clip, the mean of a canvas follows from the digits alone."""
    data = cluttered_digits(
        0, canvas=64, distractors=1, distractor_size=8, train_images=4000
    ).train
    assert isinstance(data, ClutteredImages)
    batch = data.batch(torch.arange(4000))
    digit = data.digits.double()
    windows = digit.unfold(1, 8, 1).unfold(2, 8, 1).sum((-1, -2)).mean()
    expected = (digit.sum((1, 2)).mean() + windows) / 64**2
    assert float(batch.images.double().mean()) == pytest.approx(float(expected), rel=0.02)
