"""Corruptions: the same whatever the batch, worse with severity, and what they claim to be."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.data import corruptions
from ibdrop.data.base import Batch, ImageSet, StaticImages
from ibdrop.data.corruptions import CORRUPTIONS, SEVERITIES, Corrupted, corrupt

RANDOM = {
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "speckle_noise",
    "motion_blur",
    "rotate",
    "translate",
    "shear",
    "occlusion",
    "stripe",
}
INDEX = torch.tensor([4, 17, 3, 9_999, 0, 28])


def blobs(count: int = 6, channels: int = 1, height: int = 28, width: int = 28) -> Tensor:
    """Smooth bright shapes on black."""
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(count, channels, 7, 7, generator=random)
    coarse[:, :, [0, 1, 5, 6]] = coarse[..., [0, 1, 5, 6]] = 0
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    return smooth.mul(255).round().clamp(0, 255).byte()


def test_all_fifteen_are_there() -> None:
    assert len(CORRUPTIONS) == 15
    assert set(CORRUPTIONS) >= RANDOM


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_does_not_depend_on_its_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images = blobs(channels=3, height=28, width=32)
    whole = corrupt(images, INDEX, name, 3, seed=1)
    assert (whole.dtype, whole.shape) == (torch.uint8, images.shape)
    for order in (torch.tensor([5, 2, 0, 4, 1, 3]), torch.tensor([2])):
        assert torch.equal(corrupt(images[order], INDEX[order], name, 3, seed=1), whole[order])
    monkeypatch.setattr(corruptions, "CHUNK", 2 * images[0].numel())
    assert torch.equal(corrupt(images, INDEX, name, 3, seed=1), whole)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_seed_and_number_matter_where_something_is_drawn(name: str) -> None:
    images = blobs(1).expand(6, -1, -1, -1).contiguous()
    one, other = (corrupt(images, INDEX, name, 4, seed) for seed in (0, 1))
    assert torch.equal(one, other) == (name not in RANDOM)
    assert all(torch.equal(image, one[0]) for image in one) == (name not in RANDOM)


@pytest.mark.parametrize("size", [(28, 28), (96, 96)])
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_severity_grows(name: str, size: tuple[int, int]) -> None:
    images, index = blobs(40, 1, *size), torch.arange(40)
    changes = [
        (corrupt(images, index, name, s, seed=0).int() - images.int()).abs().double().mean()
        for s in SEVERITIES
    ]
    assert changes == sorted(changes)
    assert changes[0] > 0


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_clean_images_stay_clean(name: str) -> None:
    images = blobs()
    before = images.clone()
    corrupt(images, INDEX, name, 5, seed=0)
    assert torch.equal(images, before)


def test_every_severity_has_its_own_stream() -> None:
    images = torch.full((1, 1, 40, 40), 128, dtype=torch.uint8)
    one, other = (
        corrupt(images, torch.tensor([0]), "gaussian_noise", s, seed=0).double().flatten() - 128
        for s in (1, 2)
    )
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 0.1


class Placed(ImageSet):
    """Images with known places."""

    def __len__(self) -> int:
        return 6

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        boxes = torch.tensor([[8, 8, 20, 20]]).expand(len(index), -1)
        masks = torch.ones(len(index), 28, 28, dtype=torch.bool)
        return Batch(index, blobs()[index], index % 3, boxes, masks)

    def to(self, device: torch.device) -> Placed:
        return self


def test_a_corrupted_set() -> None:
    index = torch.tensor([5, 1])
    plain = Placed().batch(index)
    still = Corrupted(Placed(), "contrast", 2, seed=0)
    found = still.to(torch.device("cpu")).batch(index)
    assert len(still) == 6
    assert torch.equal(found.images, corrupt(plain.images, index, "contrast", 2, 0))
    assert torch.equal(found.labels, plain.labels)
    assert found.boxes is not None
    assert found.masks is not None
    moved = Corrupted(Placed(), "rotate", 2, seed=0).batch(index)
    assert moved.boxes is None
    assert moved.masks is None
    assert torch.equal(moved.index, index)


def test_refuses_what_it_does_not_know() -> None:
    images = StaticImages(blobs(), torch.arange(6))
    with pytest.raises(ValueError, match="^there is no corruption 'fog'; choose one of gaussian_"):
        Corrupted(images, "fog", 1, seed=0)
    with pytest.raises(ValueError, match="^severity is 6; it must be 1 to 5$"):
        Corrupted(images, "contrast", 6, seed=0)


@pytest.mark.gpu
@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_gpu_gives_the_same_bytes(name: str) -> None:
    images, index = blobs(200, 3, 40, 36), torch.arange(200)
    for severity in SEVERITIES:
        here = corrupt(images, index, name, severity, seed=0)
        there = corrupt(images.cuda(), index, name, severity, seed=0)
        assert torch.equal(here, there.cpu())
