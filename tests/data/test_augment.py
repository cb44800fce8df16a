"""Augmentation: the same bytes however it is asked for, and varied as it says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data import augment
from ibdrop.data.augment import Augmentation, Augmented
from ibdrop.data.base import Batch, ImageSet, ImageSpec, StaticImages
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.framing import STEPS

HEIGHT, WIDTH, COUNT = 20, 26, 30
KINDS: dict[str, dict[str, Any]] = {
    "shift": {"shift": 5},
    "reflect": {"shift": 5, "padding": "reflect"},
    "flip": {"flip": True},
    "crop": {"crop": 0.5},
    "noise": {"noise": 0.2},
    "cutout": {"cutout": 9},
    "all": {
        "shift": 4,
        "flip": True,
        "crop": 0.6,
        "noise": 0.05,
        "cutout": 6,
        "padding": "reflect",
    },
}
ALL = torch.arange(COUNT)


class Placed(ImageSet):
    """Random colour images of which everything is known, and which say what they are asked."""

    def __init__(self, count: int = COUNT, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
        random = torch.Generator().manual_seed(3)
        self.images = torch.randint(0, 256, (count, 3, *size), generator=random).byte()
        self.masks = torch.rand(count, *size, generator=random) < 0.02
        first = torch.randint(0, 8, (count, 2), generator=random)
        self.boxes = torch.cat((first, first + torch.tensor([7, 9])), 1)
        self.points = torch.randint(0, 18, (count, 4, 2), generator=random)
        self.announced: list[tuple[list[int], int]] = []
        self.resident = False

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        parts = self.images, index.to(self.images.device) % 3, self.boxes, self.masks, self.points
        labels = parts[1]
        place = index.to(self.images.device)
        images, boxes, masks, points = (parts[n][place] for n in (0, 2, 3, 4))
        return Batch(index, images, labels, boxes, masks, points, labels + 1)

    def to(self, device: torch.device) -> Placed:
        moved = Placed(len(self), (self.images.shape[2], self.images.shape[3]))
        for name in ("images", "masks", "boxes", "points"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.announced.append((index.tolist(), epoch))


class Boxed(Placed):
    """The same without masks."""

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        return super().batch(index, epoch)._replace(masks=None)


def varied(images: ImageSet | None = None, seed: int = 1, **options: Any) -> Augmented:
    images = Placed() if images is None else images
    _, _, height, width = images.batch(torch.tensor([0])).images.shape
    return Augmented(images, (height, width), Augmentation(**options), seed)


def same(one: Batch, other: Batch) -> bool:
    return all(
        a is b is None or (a is not None and b is not None and torch.equal(a.cpu(), b.cpu()))
        for a, b in zip(one, other, strict=True)
    )


def taken(batch: Batch, order: Tensor) -> Batch:
    fields: list[Any] = [None if values is None else values[order] for values in batch]
    return Batch(*fields)


@pytest.mark.parametrize("kind", KINDS)
class TestSameBytes:
    def test_whatever_the_batch_and_the_order(
        self, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = varied(**KINDS[kind])
        whole = images.batch(ALL, 2)
        assert (whole.images.dtype, whole.images.shape) == (torch.uint8, (COUNT, 3, 20, 26))
        order = torch.randperm(COUNT, generator=torch.Generator().manual_seed(0))
        assert same(images.batch(order, 2), taken(whole, order))
        for size in (1, 7):
            for part in ALL.split(size):
                assert same(images.batch(part, 2), taken(whole, part))
        monkeypatch.setattr(augment, "CPU_CHUNK", 1)
        monkeypatch.setattr(augment, "FEWEST", 4)
        assert same(images.batch(ALL, 2), whole)

    def test_after_a_resumption_in_a_new_process(self, kind: str) -> None:
        first = varied(**KINDS[kind])
        for epoch in (0, 1):
            first.batch(ALL, epoch)
        assert same(first.batch(ALL, 2), varied(**KINDS[kind]).batch(ALL, 2))

    def test_but_not_in_another_epoch_or_with_another_seed(self, kind: str) -> None:
        here, there = varied(**KINDS[kind]), varied(seed=2, **KINDS[kind])
        found = [here.batch(ALL, 0), here.batch(ALL, 1), there.batch(ALL, 0)]
        for n, one in enumerate(found):
            for other in found[n + 1 :]:
                changed = (one.images != other.images).flatten(1).any(1)
                assert changed.float().mean() > 0.3
                assert torch.equal(one.labels, other.labels)

    def test_and_the_images_themselves_stay_as_they_are(self, kind: str) -> None:
        plain = Placed()
        before = plain.images.clone(), plain.masks.clone(), plain.boxes.clone()
        varied(plain, **KINDS[kind]).batch(ALL)
        assert all(
            torch.equal(a, b)
            for a, b in zip(before, (plain.images, plain.masks, plain.boxes), strict=True)
        )

    @pytest.mark.gpu
    def test_on_a_gpu(self, kind: str) -> None:
        device = torch.device("cuda")
        for plain in (Placed(700), Boxed(700)):
            here = varied(plain, **KINDS[kind])
            there = here.to(device)
            for epoch in (0, 1):
                found = there.batch(torch.arange(700), epoch)
                assert found.images.device.type == "cuda"
                assert same(here.batch(torch.arange(700), epoch), found)


def test_nothing_to_vary_gives_the_very_same_set() -> None:
    images = Placed()
    spec = ImageSpec(3, HEIGHT, WIDTH, ("a",))
    assert Augmentation()(images, spec, 0) is images
    assert Augmentation(padding="reflect")(images, spec, 0) is images
    for options in KINDS.values():
        assert isinstance(Augmentation(**options)(images, spec, 0), Augmented)


def test_one_kind_does_not_change_the_draws_of_another() -> None:
    shift, flip, both = (
        varied(**options).frames(ALL, 3)
        for options in ({"shift": 5}, {"flip": True}, {"shift": 5, "flip": True, "crop": 0.5})
    )
    assert torch.equal(both[0].shift, shift[0].shift)
    assert torch.equal(both[1].shift, shift[1].shift)
    assert torch.equal(both[1].mirrored, flip[1].mirrored)


def test_what_is_wrapped_hears_and_tells() -> None:
    plain = Placed()
    images = varied(plain, shift=1)
    images.prefetch(torch.tensor([4, 2]), 7)
    assert plain.announced == [([4, 2], 7)]
    assert len(images) == COUNT
    assert not images.resident
    assert not images.to(torch.device("cpu")).resident
    found = images.batch(ALL)
    assert torch.equal(found.index, ALL)
    assert torch.equal(found.labels, ALL % 3)
    assert found.nuisance is not None
    assert torch.equal(found.nuisance, ALL % 3 + 1)


def test_an_empty_batch_is_empty() -> None:
    found = varied(**KINDS["all"]).batch(torch.arange(0))
    assert found.images.shape == (0, 3, HEIGHT, WIDTH)


def test_the_target_of_a_canvas_stays_in_its_box(digits: tuple[Tensor, Tensor]) -> None:
    canvases = ClutteredImages(*digits, size=40, canvas=24, distractors=3, crop=5, redraw=True)
    images = varied(canvases, shift=4, flip=True)
    index = torch.arange(40)
    upright, across = images.frames(index, 5)
    plain, found = canvases.batch(index, 5), images.batch(index, 5)
    assert plain.boxes is not None
    assert found.boxes is not None
    top, left, bottom, right = plain.boxes.unbind(1)
    mirrored = across.mirrored
    left, right = (
        torch.where(mirrored, 24 - right, left),
        torch.where(mirrored, 24 - left, right),
    )
    want = torch.stack((top, left, bottom, right), 1)
    want = want + torch.stack((upright.shift, across.shift), 1).repeat(1, 2)
    whole = ((want >= 0) & (want <= 24)).all(1)
    assert whole.sum() >= 10
    assert torch.equal(found.boxes[whole], want[whole])


MANY = torch.arange(40_000)


def chi_square(counts: Tensor) -> float:
    """Deviations from even counts in standard deviations of the chi-square."""
    expected = counts.sum() / counts.numel()
    value = ((counts - expected).square() / expected).sum()
    freedom = counts.numel() - 1
    return float((value - freedom) / math.sqrt(2 * freedom))


class TestChance:
    def test_every_shift_is_equally_likely(self) -> None:
        upright, across = varied(shift=4).frames(MANY, 0)
        cells = (upright.shift + 4) * 9 + across.shift + 4
        assert abs(chi_square(torch.bincount(cells, minlength=81).double())) < 4
        assert int(cells.max()) == 80

    def test_half_are_mirrored_whatever_their_shift(self) -> None:
        upright, across = varied(shift=1, flip=True).frames(MANY, 0)
        mirrored = across.mirrored.double()
        assert abs(float(mirrored.mean()) - 0.5) < 4 * 0.5 / math.sqrt(len(MANY))
        assert not upright.mirrored.any()
        cells = (upright.shift + 1) * 2 + across.mirrored
        assert abs(chi_square(torch.bincount(cells, minlength=6).double())) < 4

    def test_shares_and_places_of_crops_are_even(self) -> None:
        frames = varied(crop=0.6).frames(MANY, 0)
        for frame, side in zip(frames, (HEIGHT, WIDTH), strict=True):
            share = frame.share.double() / STEPS
            assert 0.6 <= float(share.min()) < 0.605
            assert 0.995 < float(share.max()) <= 1
            assert abs(chi_square(torch.histc(share, 20, 0.6, 1.0))) < 5
            place = frame.start.double() / STEPS / side / (1 - share).clamp_min(1e-9)
            place = place[share < 0.99]
            assert float(place.min()) >= 0
            assert float(place.max()) <= 1
            assert abs(chi_square(torch.histc(place, 20, 0, 1))) < 5
        one, other = (frame.share.double() for frame in frames)
        assert abs(float(torch.corrcoef(torch.stack((one, other)))[0, 1])) < 0.02

    def test_noise_is_normal_and_independent(self) -> None:
        grey = StaticImages(torch.full((64, 3, 31, 33), 128, dtype=torch.uint8), torch.zeros(64))
        found = varied(grey, noise=0.1).batch(torch.arange(64)).images.double() - 128
        count = found.numel()
        assert abs(float(found.mean())) < 4 * 25.5 / math.sqrt(count)
        sd = math.sqrt(25.5**2 + 1 / 12)  # Rounded to whole grey levels.
        assert float(found.std()) == pytest.approx(sd, rel=4 / math.sqrt(2 * count))
        assert float(found.pow(4).mean() / found.var().square()) == pytest.approx(3, abs=0.1)
        flat = found.flatten(1)
        third = (flat.shape[1] + 2) // 3
        for lag in (1, 33, third, 2 * third):
            pair = torch.stack((flat[:, lag:].flatten(), flat[:, :-lag].flatten()))
            assert abs(float(torch.corrcoef(pair)[0, 1])) < 4 / math.sqrt(pair.shape[1])
        pair = torch.stack((flat[1:].flatten(), flat[:-1].flatten()))
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 4 / math.sqrt(pair.shape[1])

    @pytest.mark.parametrize("side", [5, 8])
    def test_a_cutout_is_a_square_about_any_pixel(self, side: int) -> None:
        count = 20_000
        white = torch.full((count, 1, 12, 16), 255, dtype=torch.uint8)
        white[::2] = 100  # The mean is between, so it shows on both.
        images = varied(StaticImages(white, torch.zeros(count)), cutout=side)
        cut = (images.batch(torch.arange(count)).images != white)[:, 0]
        rows, columns = cut.any(2), cut.any(1)
        assert torch.equal(cut, rows[:, :, None] & columns[:, None])
        for lit, length in ((rows, 12), (columns, 16)):
            edges = torch.arange(length) - side // 2
            lengths = (edges + side).clamp(max=length) - edges.clamp(min=0)
            assert int(lit.sum(1).max()) == side
            mean, sd = float(lengths.double().mean()), float(lengths.double().std())
            assert abs(float(lit.sum(1).double().mean()) - mean) < 4 * sd / math.sqrt(count)

    def test_a_cutout_shows_the_mean_colour_of_the_images(self) -> None:
        plain = Placed()
        mean = plain.images.double().mean((0, 2, 3)).round().byte()
        images = varied(plain, cutout=9, shift=3)
        uncut = varied(plain, shift=3).batch(ALL).images
        found = images.batch(ALL).images
        changed = (found != uncut).any(1)
        assert changed.any()
        for i, y, x in changed.nonzero().tolist():
            assert torch.equal(found[i, :, y, x], mean)

    def test_the_mean_of_many_images_is_that_of_some_spread_evenly(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(augment, "MEAN_OF", 4)
        shades = torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 1, 6, 6) * 20
        images = varied(StaticImages(shades, torch.zeros(10)), cutout=6)
        assert images._mean.flatten().tolist() == [(0 + 40 + 100 + 140) // 4]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shift": -1}, "shift is -1 px; it must be 0 or more"),
        ({"cutout": -2}, "cutout is -2 px; it must be 0 or more"),
        ({"crop": 0.0}, "crop is 0; the share of a side that is left must lie in (0, 1]"),
        ({"crop": 1.5}, "crop is 1.5; the share of a side that is left must lie in (0, 1]"),
        (
            {"noise": 1.0},
            "noise is 1; the standard deviation, of full white, must lie in [0, 1)",
        ),
        (
            {"noise": float("nan")},
            "noise is nan; the standard deviation, of full white, must lie in [0, 1)",
        ),
        ({"padding": "grey"}, "padding is 'grey'; it must be 'black' or 'reflect'"),
        ({"shift": 20}, "shift is 20 px, but the images have 20 x 26 pixels; it must be below 20"),
        (
            {"cutout": 21},
            "cutout is 21 px, but the images have 20 x 26 pixels; it must be at most 20",
        ),
    ],
)
def test_refuses_what_makes_no_sense(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="^") as caught:
        varied(**options)
    assert str(caught.value) == words


def test_takes_the_largest_that_fit() -> None:
    found = varied(shift=19, cutout=20, crop=1e-9, padding="reflect").batch(ALL)
    assert found.images.shape == (COUNT, 3, HEIGHT, WIDTH)
