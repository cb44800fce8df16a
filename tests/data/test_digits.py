from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import StaticImages
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.digits import cluttered_digits, digits


def rows(images: Tensor) -> set[bytes]:
    return {image.numpy().tobytes() for image in images}


def pixels(split: object) -> Tensor:
    assert isinstance(split, StaticImages)
    return split.images


def sources(split: object) -> Tensor:
    assert isinstance(split, ClutteredImages)
    return split.digits


def test_every_digit_is_in_one_split() -> None:
    data = digits(0)
    assert [len(split) for split in (data.train, data.val, data.test)] == [1197, 150, 450]
    parts = [rows(pixels(split)) for split in (data.train, data.val, data.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert sum(map(len, parts)) == 1797


def test_the_seed_chooses_validation_but_never_the_test() -> None:
    one, again, other = digits(0), digits(0), digits(1)
    assert torch.equal(pixels(one.val), pixels(again.val))
    assert rows(pixels(one.val)) != rows(pixels(other.val))
    assert torch.equal(pixels(one.test), pixels(other.test))
    assert rows(pixels(one.train)) | rows(pixels(one.val)) == rows(pixels(other.train)) | rows(
        pixels(other.val)
    )


def test_the_test_digits_are_balanced() -> None:
    labels = digits(0).test.batch(torch.arange(450)).labels
    assert labels.dtype == torch.int64
    assert torch.bincount(labels).min() >= 35


def test_the_spec_is_what_batches_look_like() -> None:
    for data in (
        digits(0),
        digits(0, scale=1),
        cluttered_digits(0),
        cluttered_digits(0, canvas=24),
    ):
        batch = data.val.batch(torch.arange(3))
        assert batch.images.shape == (3, *data.spec[:3])
        assert data.spec.classes == tuple("0123456789")
        assert "do not compare with MNIST" in data.note
    assert data.spec.height == 24
    assert digits(0).spec.height == 16


def test_plain_digits_keep_their_greys() -> None:
    from sklearn.datasets import load_digits

    original = {
        (image * 255 / 16).round().astype("uint8").tobytes() for image in load_digits().images
    }
    assert rows(pixels(digits(0, scale=1).train)) <= original


def test_enlarging_keeps_the_mean_grey() -> None:
    small, large = (pixels(digits(0, scale=scale).train).double() for scale in (1, 2))
    assert float(large.mean()) == pytest.approx(float(small.mean()), rel=0.03)


def test_canvases_use_digits_of_their_split_only() -> None:
    data = cluttered_digits(3)
    parts = [rows(sources(split)) for split in (data.train, data.val, data.test)]
    assert list(map(len, parts)) == [1197, 150, 450]
    assert not parts[0] & parts[1]
    assert not (parts[0] | parts[1]) & parts[2]


def test_only_training_canvases_are_redrawn() -> None:
    data, index = cluttered_digits(0), torch.arange(20)
    for split, redrawn in ((data.train, True), (data.val, False), (data.test, False)):
        same = torch.equal(split.batch(index, 0).images, split.batch(index, 1).images)
        assert same != redrawn
    frozen = cluttered_digits(0, redraw=False).train
    assert torch.equal(frozen.batch(index, 0).images, frozen.batch(index, 1).images)


def test_test_canvases_do_not_depend_on_the_seed() -> None:
    index = torch.arange(50)
    one, other = cluttered_digits(0), cluttered_digits(1)
    assert torch.equal(one.test.batch(index).images, other.test.batch(index).images)
    assert not torch.equal(one.val.batch(index).images, other.val.batch(index).images)
    assert not torch.equal(one.train.batch(index).images, other.train.batch(index).images)


def test_sizes_are_free() -> None:
    data = cluttered_digits(0, train_images=5, val_images=3000, test_images=7)
    assert [len(split) for split in (data.train, data.val, data.test)] == [5, 3000, 7]
    assert data.val.batch(torch.tensor([2999])).images.shape == (1, 1, 40, 40)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scale": 0}, "scale is 0; it must be 1 to 8"),
        ({"val_images": 0}, "val_images is 0; it must be 1 to 1346"),
        ({"val_images": 1347}, "val_images is 1347; it must be 1 to 1346"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        digits(0, **change)
