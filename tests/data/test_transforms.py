"""Normalisation by name, and the moments of the channels."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data import samples, transforms
from ibdrop.data.base import Batch, ImageData, ImageSet, ImageSpec, StaticImages, UnitRange
from ibdrop.data.transforms import PerChannel, normalisation, per_channel
from ibdrop.data.whitening import Whitened

COUNT = 60
SPEC = ImageSpec(3, 4, 5, ("a", "b"))


@pytest.fixture
def images() -> StaticImages:
    """Sixty random pictures whose channels differ."""
    random = torch.Generator().manual_seed(3)
    pixels = torch.rand(COUNT, 3, 4, 5, generator=random)
    pixels = pixels * torch.tensor([50.0, 255.0, 120.0]).view(3, 1, 1)
    return StaticImages(pixels.byte(), torch.zeros(COUNT, dtype=torch.int64))


class OnDisk(ImageSet):
    """Images that are not at hand; notes what is asked for and what was announced."""

    resident = False

    def __init__(self, images: StaticImages) -> None:
        self.images = images
        self.read: list[list[int]] = []
        self.announced: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        self.read.append(index.tolist())
        return self.images.batch(index, epoch)

    def prefetch(self, index: Tensor, epoch: int = 0) -> None:
        self.announced.append(index.tolist())

    def to(self, device: torch.device) -> OnDisk:
        return self


def test_each_kind_by_its_name(
    images: StaticImages, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBDROP_CACHE", str(tmp_path))
    grey = ImageSpec(1, 4, 5, ())
    flat = StaticImages(images.images[:, 1:2], images.labels)
    assert isinstance(normalisation("unit", images, SPEC), UnitRange)
    assert isinstance(normalisation("standard", images, SPEC), PerChannel)
    assert isinstance(normalisation("zca", flat, grey), Whitened)


def test_an_unknown_kind_is_refused(images: StaticImages) -> None:
    with pytest.raises(ValueError, match="^normalise is 'pca'; it must be unit, standard or zca$"):
        normalisation("pca", images, SPEC)  # type: ignore[arg-type]


def test_moments_of_the_channels_in_floating_point(images: StaticImages) -> None:
    found = per_channel(images)
    values = images.images.double() / 255
    assert torch.allclose(found.mean, values.mean((0, 2, 3)), rtol=1e-13)
    spread = values.std((0, 2, 3), correction=0)
    assert torch.allclose(found.deviation, spread, rtol=1e-12)


def test_moments_by_hand() -> None:
    pixels = torch.tensor([[[[0, 255]]], [[[255, 255]]]], dtype=torch.uint8)
    found = per_channel(StaticImages(pixels, torch.zeros(2)))
    assert found.mean.tolist() == [0.75]
    assert found.deviation.tolist() == pytest.approx([math.sqrt(3 / 16)], rel=1e-15)


def test_standardised_channels_have_mean_0_and_deviation_1(images: StaticImages) -> None:
    values = per_channel(images)(images.images)
    assert values.dtype == torch.float32
    assert values.shape == images.images.shape
    assert values.mean((0, 2, 3)).abs().max() < 1e-6
    assert (values.std((0, 2, 3), correction=0) - 1).abs().max() < 1e-6


def test_a_channel_that_is_the_same_everywhere_becomes_0(images: StaticImages) -> None:
    images.images[:, 2] = 77
    found = per_channel(images)
    assert found.deviation[2] == 1
    assert not found(images.images)[:, 2].any()


@pytest.mark.parametrize("size", [1, 7])
def test_batches_and_memory_formats_do_not_matter(images: StaticImages, size: int) -> None:
    transform = per_channel(images)
    whole = transform(images.images)
    last = images.images.contiguous(memory_format=torch.channels_last)
    for pixels in (images.images, last):
        parts = torch.cat([transform(part) for part in pixels.split(size)])
        assert torch.equal(parts, whole)


@pytest.mark.parametrize("kind", ["unit", "256", "standard"])
def test_shares_of_white_become_what_their_bytes_become(images: StaticImages, kind: str) -> None:
    transform = {"unit": UnitRange(), "256": UnitRange(256)}.get(kind) or per_channel(images)
    shares = (images.images.float() / 255).requires_grad_()
    found, wanted = transform.from_unit(shares), transform(images.images)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-6)
    if kind == "unit":
        assert torch.equal(found, wanted)
    (slope,) = torch.autograd.grad(found.sum(), shares)
    pixels = images.images.float().requires_grad_()
    (by_pixels,) = torch.autograd.grad(transform(pixels).sum(), pixels)
    torch.testing.assert_close(slope, 255 * by_pixels)


def test_pixels_are_left_alone(images: StaticImages) -> None:
    before = images.images.clone()
    per_channel(images)(images.images)
    assert torch.equal(images.images, before)


def test_a_set_on_disk_is_judged_by_evenly_spaced_images(
    images: StaticImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transforms, "SAMPLE", 20)
    monkeypatch.setattr(samples, "CHUNK", 8 * 60)
    stored = OnDisk(images)
    found = per_channel(stored)
    every_third = StaticImages(images.images[::3], images.labels[::3])
    assert torch.equal(found.mean, per_channel(every_third).mean)
    assert torch.equal(found.deviation, per_channel(every_third).deviation)
    assert max(map(len, stored.read)) == 8
    assert sorted({i for part in stored.read for i in part}) == list(range(0, COUNT, 3))


def test_what_is_read_next_is_announced(
    images: StaticImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samples, "CHUNK", 25 * 60)
    stored = OnDisk(images)
    assert [len(part) for part in samples.samples(stored, 1000)] == [25, 25, 10]
    assert stored.announced == [list(range(25, 50)), list(range(50, 60))]
    assert stored.read[-2:] == stored.announced


def test_data_move_with_their_transform(images: StaticImages) -> None:
    data = ImageData("d", SPEC, images, images, images, transform=per_channel(images))
    moved = data.to(torch.device("cpu"))
    assert isinstance(moved.transform, PerChannel)
    assert torch.equal(moved.inputs(images.images), data.inputs(images.images))


@pytest.mark.gpu
def test_standardised_pixels_of_both_devices_are_the_same_bit_for_bit(
    images: StaticImages,
) -> None:
    transform, device = per_channel(images), torch.device("cuda")
    there = transform.to(device)(images.images.to(device))
    assert torch.equal(there.cpu(), transform(images.images))
