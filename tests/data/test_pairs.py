from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data import pairs
from ibdrop.data.base import Batch
from ibdrop.data.framing import tight
from ibdrop.data.pairs import PairedImages

Digits = tuple[Tensor, Tensor]


def images(digits: Digits, **changes: Any) -> PairedImages:
    return PairedImages(*digits, **{"size": 60, "canvas": 45, **changes})


def equal(one: Batch, other: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one[1:], other[1:], strict=True))


def alone(data: PairedImages, index: Tensor) -> Tensor:
    """Each digit of each canvas by itself, with shape (B, 2, H, W)."""
    layout = data.layout(index)
    digits, extents = layout.digits.view(-1), layout.extents.view(-1, 2).tolist()
    starts = data.ink[digits, :2]
    ink = data.sizes.enlarged(data.crops[digits], layout.sizes.view(-1), starts)
    black = torch.zeros(2 * len(index), 45, 45, dtype=torch.uint8)
    for n, ((top, left), (height, width)) in enumerate(
        zip(layout.corners.view(-1, 2).tolist(), extents, strict=True)
    ):
        black[n, top : top + height, left : left + width] = ink[n, :height, :width]
    return black.view(-1, 2, 45, 45)


def test_everything_known_of_a_canvas(digits: Digits) -> None:
    for task in (0, 1):
        batch = images(digits, task=("even", "odd")[task]).batch(torch.arange(60))
        assert batch.images.shape == (60, 1, 45, 45)
        assert batch.images.dtype == torch.uint8
        assert batch.labels.dtype == torch.int64
        assert all(part is not None for part in batch)
        assert batch.nuisance is not None
        assert set(batch.labels.tolist()) == {0, 1, 2, 3, 4}
        assert {digit % 2 for digit in batch.nuisance.tolist()} == {1 - task}


def test_both_tasks_see_the_same_canvases(digits: Digits) -> None:
    even, odd = (images(digits, task=task).batch(torch.arange(60)) for task in ("even", "odd"))
    assert torch.equal(even.images, odd.images)
    assert even.nuisance is not None
    assert odd.nuisance is not None
    assert torch.equal(2 * even.labels, odd.nuisance)
    assert torch.equal(2 * odd.labels + 1, even.nuisance)
    for one, other in ((even, odd), (odd, even)):
        assert one.boxes is not None
        assert other.distractors is not None
        assert torch.equal(one.boxes[:, None, :2], other.distractors)
    assert even.masks is not None
    assert odd.masks is not None
    assert not (even.masks & odd.masks).any()


def test_a_canvas_is_its_two_digits(digits: Digits) -> None:
    """Drawn again one by one: enlarge the whole digit, then paste its ink."""
    data = images(digits)
    index = torch.arange(60)
    layout, batch = data.layout(index), data.batch(index)
    for n in range(60):
        canvas = torch.zeros(45, 45, dtype=torch.uint8)
        for kind in (0, 1):
            digit = digits[0][layout.digits[n, kind]]
            side = data.sizes.least + int(layout.sizes[n, kind])
            assert int(digits[1][layout.digits[n, kind]]) % 2 == kind
            smooth = F.interpolate(digit[None, None].double(), (side, side), mode="bilinear")
            whole = smooth[0, 0].ceil().byte()
            box = tight((whole > 0).any(1)[None], (whole > 0).any(0)[None])[0]
            top, left, bottom, right = box.tolist()
            height, width = layout.extents[n, kind].tolist()
            assert (height, width) == (bottom - top, right - left)
            y, x = layout.corners[n, kind].tolist()
            canvas[y : y + height, x : x + width] = whole[top:bottom, left:right]
        # Places are rounded to 1/256 of a pixel, and grey levels up, twice.
        error = batch.images[n, 0].int() - canvas.int()
        assert int(error.abs().max()) <= 2


def test_boxes_are_tight_around_the_ink(digits: Digits) -> None:
    data = images(digits)
    index = torch.arange(60)
    ink = alone(data, index)
    batch = data.batch(index)
    assert torch.equal(ink.sum(1, dtype=torch.uint8), batch.images[:, 0])
    assert torch.equal(tight((ink[:, 0] > 0).any(2), (ink[:, 0] > 0).any(1)), batch.boxes)


def test_strokes_are_a_quarter_of_full_ink(digits: Digits) -> None:
    for kind, task in enumerate(("even", "odd")):
        data = images(digits, task=task)
        index = torch.arange(60)
        batch = data.batch(index)
        assert batch.masks is not None
        assert batch.masks.dtype == torch.bool
        assert torch.equal(batch.masks, alone(data, index)[:, kind] >= 64)
        assert batch.masks.flatten(1).any(1).all()


def test_digits_lie_apart_inside_the_canvas_in_thousands_of_layouts(digits: Digits) -> None:
    data = images(digits, size=20_000, canvas=43)
    layout = data.layout(torch.arange(20_000))
    first, end = layout.corners, layout.corners + layout.extents
    assert int(first.min()) == 0
    assert int(end.max()) == 43
    gap = torch.maximum(first[:, 0] - end[:, 1], first[:, 1] - end[:, 0]).amax(1)
    assert int(gap.min()) == 1
    assert layout.extents.min() > 0


def test_sides_are_uniform_and_independent(digits: Digits) -> None:
    layout = images(digits, size=20_000).layout(torch.arange(20_000))
    even, odd = layout.sizes.unbind(1)
    cells = 15  # 10 to 24 pixels
    counts = torch.bincount(even * cells + odd, minlength=cells**2).double()
    chi_square = float(((counts - 20_000 / cells**2) ** 2).sum() * cells**2 / 20_000)
    assert abs(chi_square - cells**2) < 5 * (2 * cells**2) ** 0.5


def test_no_pair_comes_twice_before_all_have_come() -> None:
    """Also where the numbers of even and odd digits have a common divisor."""
    labels = torch.tensor([0] * 4 + [1] * 6)
    random = torch.Generator().manual_seed(0)
    blobs = torch.randint(1, 256, (10, 4, 4), generator=random, dtype=torch.uint8)
    digits = PairedImages(blobs, labels, size=24, canvas=30).layout(torch.arange(24)).digits
    assert sorted(map(tuple, digits.tolist())) == [(e, o) for e in range(4) for o in range(4, 10)]
    assert sorted(map(tuple, digits[:12].tolist())) != sorted(map(tuple, digits[12:].tolist()))
    for part in digits.split(12):
        assert torch.bincount(part.flatten()).tolist() == [3] * 4 + [2] * 6


@pytest.mark.parametrize("size", [1, 7, 60])
def test_an_image_does_not_depend_on_its_batch(
    digits: Digits, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = images(digits, redraw=True)
    whole = data.batch(torch.arange(60), epoch=3)
    monkeypatch.setattr(pairs, "CPU_CHUNK", 11)
    parts = [data.batch(index, epoch=3) for index in torch.arange(60).split(size)]
    joined = Batch(*(torch.cat(values) for values in zip(*parts, strict=True)))  # type: ignore[arg-type]
    assert equal(whole, joined)


def test_no_image_at_all(digits: Digits) -> None:
    assert images(digits).batch(torch.arange(0)).images.shape == (0, 1, 45, 45)


def test_an_image_does_not_depend_on_the_order(digits: Digits) -> None:
    data = images(digits)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    whole, shuffled = data.batch(torch.arange(60)), data.batch(order)
    assert torch.equal(shuffled.index, order)
    assert equal(Batch(*(part[order] for part in whole if part is not None)), shuffled)


def test_epochs_differ_only_if_redrawn(digits: Digits) -> None:
    index = torch.arange(60)
    fresh, frozen = images(digits, redraw=True), images(digits)
    assert equal(frozen.batch(index, 0), frozen.batch(index, 9))
    assert equal(fresh.batch(index, 0), frozen.batch(index))
    assert not torch.equal(fresh.batch(index, 0).images, fresh.batch(index, 1).images)
    longer = images(digits, size=180).batch(torch.arange(120, 180))
    assert equal(fresh.batch(index, 2), longer)


def test_seeds_differ(digits: Digits) -> None:
    one, other = (images(digits, seed=seed).batch(torch.arange(60)) for seed in (0, 1))
    assert not torch.equal(one.images, other.images)


def test_moving_keeps_everything(digits: Digits) -> None:
    data = images(digits, redraw=True, task="odd")
    moved = data.to(torch.device("cpu"))
    assert moved is not data
    assert len(moved) == len(data) == 60
    assert equal(data.batch(torch.arange(60), 4), moved.batch(torch.arange(60), 4))


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["highest", "medium"])
def test_a_gpu_paints_the_same_bits(digits: Digits, precision: str) -> None:
    data = images(digits, size=5000, canvas=60, redraw=True)
    here = data.batch(torch.arange(5000), 2)
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            there = data.to(torch.device("cuda")).batch(torch.arange(5000), 2)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert equal(here, Batch(*(x.cpu() for x in there if x is not None)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": 0}, "0 images are asked for; it must be at least 1"),
        ({"task": "both"}, "task is 'both'; it must be even or odd"),
        (
            {"smallest": 0.3},
            "smallest is 0.3 and largest is 2; both must be above 0.5, and largest not below"
            " smallest",
        ),
        (
            {"canvas": 39},
            "an even digit of up to 21 x 21 px of ink and an odd one of up to 21 x 21 px do not"
            " fit beside each other on a canvas of 39 px; it needs at least 43",
        ),
    ],
)
def test_what_does_not_fit_is_refused(digits: Digits, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        images(digits, **change)


def test_both_kinds_must_be_there() -> None:
    blank = torch.zeros(3, 4, 4, dtype=torch.uint8)
    for labels, name in ((torch.tensor([1, 3, 1]), "even"), (torch.tensor([0, 2, 2]), "odd")):
        with pytest.raises(ValueError, match=f"^no digit is {name}; each canvas needs an even"):
            PairedImages(blank, labels, size=1)


def test_a_blank_digit_has_an_empty_box() -> None:
    blank = torch.zeros(2, 4, 4, dtype=torch.uint8)
    batch = PairedImages(blank, torch.arange(2), size=5, canvas=9).batch(torch.arange(5))
    assert batch.boxes is not None
    assert torch.equal(batch.boxes[:, :2], batch.boxes[:, 2:])
    assert not batch.images.any()
