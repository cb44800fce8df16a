from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from ibdrop.data import occluded
from ibdrop.data.base import Batch, ImageData, StaticImages
from ibdrop.data.canvases import Digits
from ibdrop.data.cifar import Pictures
from ibdrop.data.holding import hold
from ibdrop.data.occluded import OccludedImages, occluded_cifar

RANDOM = torch.Generator().manual_seed(8)
COLOURS = torch.randint(0, 255, (50, 3, 32, 32), generator=RANDOM, dtype=torch.uint8)
OBJECTS = torch.randint(0, 10, (50,), generator=RANDOM)
INK = torch.randint(0, 256, (17, 28, 28), generator=RANDOM, dtype=torch.uint8)
DIGITS = Digits(INK, torch.arange(17) % 10)


def images(**changes: int) -> OccludedImages:
    return OccludedImages(StaticImages(COLOURS, OBJECTS), DIGITS, **{"seed": 0, **changes})


def equal(one: Batch, other: Batch) -> bool:
    return all(
        (a is None and b is None) or torch.equal(a, b)
        for a, b in zip(one[1:], other[1:], strict=True)
    )


def test_each_pixel_is_the_pictures_or_white() -> None:
    data = images()
    batch = data.batch(torch.arange(50))
    assert batch.masks is not None
    for n in range(50):
        expected = COLOURS[n].clone()
        digit = INK[data.digits[n]]
        for y in range(32):
            for x in range(32):
                # The frame of 28 pixels, shifted by (8, 8) and cropped by the picture.
                covered = y >= 8 and x >= 8 and int(digit[y - 8, x - 8]) > 127
                assert bool(batch.masks[n, y, x]) is not covered
                if covered:
                    expected[:, y, x] = 255
        assert torch.equal(batch.images[n], expected)


def test_classes_of_objects_and_digits() -> None:
    data = images()
    batch = data.batch(torch.arange(50))
    assert torch.equal(batch.labels, OBJECTS)
    assert batch.nuisance is not None
    assert torch.equal(batch.nuisance, DIGITS.labels[data.digits])
    assert batch.boxes is not None
    assert batch.boxes.unique(dim=0).tolist() == [[0, 0, 32, 32]]
    assert batch.distractors is None


def test_digits_are_shared_as_little_as_possible() -> None:
    digits = images().digits
    assert digits[:17].sort().values.tolist() == list(range(17))
    assert torch.equal(digits[:17], digits[17:34])
    assert digits[:17].tolist() != list(range(17))


def test_a_picture_keeps_its_digit_in_any_part() -> None:
    numbers = torch.tensor([31, 4, 8])
    part = StaticImages(COLOURS[numbers], OBJECTS[numbers])
    cut = OccludedImages(part, DIGITS, seed=0, numbers=numbers).batch(torch.arange(3))
    assert equal(cut, images().batch(numbers))


def test_seeds_differ_and_epochs_do_not() -> None:
    index = torch.arange(50)
    assert not equal(images().batch(index), images(seed=1).batch(index))
    assert equal(images().batch(index, 0), images().batch(index, 5))


@pytest.mark.parametrize("size", [1, 7, 50])
def test_an_image_does_not_depend_on_its_batch_or_order(size: int) -> None:
    data = images()
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    whole = data.batch(torch.arange(50))
    parts = [data.batch(index) for index in order.split(size)]
    for number, part in enumerate(whole):
        if part is not None:
            assert torch.equal(torch.cat([one[number] for one in parts]), part[order])  # type: ignore[misc]


def test_the_pictures_stay_as_they_are() -> None:
    pictures = StaticImages(COLOURS.clone(), OBJECTS)
    OccludedImages(pictures, DIGITS, seed=0).batch(torch.arange(50))
    assert torch.equal(pictures.images, COLOURS)


def test_pictures_may_be_large_grey_or_on_disk() -> None:
    asked: list[int] = []

    def read(number: int) -> Tensor:
        asked.append(number)
        return torch.full((1, 40, 60), 9, dtype=torch.uint8)

    stored = hold(read, OBJECTS, (1, 40, 60), resident=0, workers=1, what="pictures")
    data = OccludedImages(stored, DIGITS, seed=0)
    assert not data.resident
    asked.clear()
    data.prefetch(torch.tensor([3, 7]))
    batch = data.batch(torch.tensor([3, 7]))
    assert sorted(asked) == [3, 7]
    assert batch.images.shape == (2, 1, 40, 60)
    assert batch.masks is not None
    rows, columns = (~batch.masks[0]).nonzero().unbind(1)
    assert (int(rows.min()), int(columns.min())) == (16, 36)
    assert batch.images.unique().tolist() == [9, 255]


def test_moving_keeps_everything() -> None:
    moved = images().to(torch.device("cpu"))
    assert len(moved) == 50
    assert equal(moved.batch(torch.arange(50)), images().batch(torch.arange(50)))


@pytest.mark.gpu
def test_a_gpu_paints_the_same_bits() -> None:
    index = torch.arange(50)
    there = images().to(torch.device("cuda")).batch(index)
    assert equal(images().batch(index), Batch(*(x if x is None else x.cpu() for x in there)))


@pytest.mark.parametrize(
    ("side", "digits", "message"),
    [
        (23, 17, "pictures of 23 x 23 px are too small for digits of 24 px in front of them"),
        (32, 0, "there are no digits to put in front of the pictures"),
    ],
)
def test_what_does_not_fit_is_refused(side: int, digits: int, message: str) -> None:
    pictures = StaticImages(COLOURS[..., :side, :side], OBJECTS)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        OccludedImages(pictures, Digits(INK[:digits], torch.arange(digits)), seed=0)


@pytest.fixture
def cifar(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thirty training pictures and ten of the test in place of CIFAR-10; 12 and 5 digits."""
    parts = Pictures(COLOURS[:30], OBJECTS[:30]), Pictures(COLOURS[30:40], OBJECTS[30:40])
    digits = Digits(*(part[:12] for part in DIGITS)), Digits(*(part[12:] for part in DIGITS))
    monkeypatch.setattr(occluded, "read_cifar10", lambda root: parts)
    monkeypatch.setattr(occluded, "read_idx", lambda source, root: digits)


def small(seed: int = 0, val_images: int = 6) -> ImageData:
    return occluded_cifar(seed, root="nowhere", normalise="standard", val_images=val_images)


@pytest.mark.usefixtures("cifar")
def test_occluded_cifar() -> None:
    data = small()
    assert data.name == "occluded CIFAR-10"
    assert data.spec[:3] == (3, 32, 32)
    assert data.spec.classes[6] == "frog"
    assert [len(split) for split in (data.train, data.val, data.test)] == [24, 6, 10]
    whole = OccludedImages(
        StaticImages(COLOURS[:30], OBJECTS[:30]), Digits(INK[:12], DIGITS.labels[:12]), seed=0
    )
    every = whole.batch(torch.arange(30)).images
    found = torch.cat(
        [part.batch(torch.arange(len(part))).images for part in (data.train, data.val)]
    )
    assert sorted(one.numpy().tobytes() for one in found) == sorted(
        one.numpy().tobytes() for one in every
    )
    nuisance = data.test.batch(torch.arange(10)).nuisance
    assert nuisance is not None
    assert set(nuisance.tolist()) == set(DIGITS.labels[12:].tolist())


@pytest.mark.usefixtures("cifar")
def test_only_the_test_does_not_depend_on_the_seed() -> None:
    one, other = small(0), small(1)
    assert equal(one.test.batch(torch.arange(10)), other.test.batch(torch.arange(10)))
    assert not equal(one.train.batch(torch.arange(24)), other.train.batch(torch.arange(24)))


@pytest.mark.usefixtures("cifar")
def test_pixels_are_normalised_by_all_training_pictures_with_their_digits() -> None:
    data = small()
    parts = [part.batch(torch.arange(len(part))).images for part in (data.train, data.val)]
    inputs = data.inputs(torch.cat(parts))
    assert torch.allclose(inputs.mean((0, 2, 3)), torch.zeros(3), atol=1e-5)
    assert torch.allclose(inputs.std((0, 2, 3)), torch.ones(3), atol=1e-4)


@pytest.mark.usefixtures("cifar")
def test_validation_pictures_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^val_images is 30; it must be 1 to 29$"):
        small(val_images=30)
