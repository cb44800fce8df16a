"""Outliers keep what they promise to keep, by number alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.base import ImageData, ImageSet, ImageSpec, StaticImages
from ibdrop.data.outliers import OUTLIERS, adapted, gaussian_noise, permuted, uniform_noise
from ibdrop.data.resize import resized

INDEX = torch.tensor([3, 0, 39, 17])


def data(channels: int = 1, height: int = 12, width: int = 16) -> ImageData:
    random = torch.Generator().manual_seed(0)
    shape = (40, channels, height, width)
    # Bounded away from 0 and 255, so that clipping takes little from the noise.
    images = 90 + torch.randint(0, 70, shape, generator=random)
    images[:, 0] += 20
    split = StaticImages(images.byte(), torch.arange(40) % 4)
    spec = ImageSpec(channels, height, width, ("a", "b", "c", "d"))
    return ImageData("squares", spec, split, split, split)


@pytest.mark.parametrize("make", OUTLIERS.values(), ids=OUTLIERS)
@pytest.mark.parametrize("channels", [1, 3])
def test_shapes_and_independence_of_the_batch(
    make: Callable[[ImageData, int], ImageSet], channels: int
) -> None:
    images = make(data(channels), 5).to(torch.device("cpu"))
    assert len(images) == 40
    whole = images.batch(torch.arange(40)).images
    assert whole.dtype == torch.uint8
    assert whole.shape == (40, channels, 12, 16)
    found = images.batch(INDEX)
    assert torch.equal(found.images, whole[INDEX])
    assert torch.equal(found.index, INDEX)
    assert found.labels.shape == (4,)
    assert not torch.equal(make(data(channels), 6).batch(INDEX).images, found.images)


def test_uniform_noise_takes_every_value() -> None:
    values = uniform_noise(data(3, 40, 40), 0).batch(torch.arange(40)).images
    counts = torch.bincount(values.flatten().long(), minlength=256).double()
    expected = values.numel() / 256
    # Chi-squared with 255 degrees of freedom: 99.99 % lie below 348.
    assert ((counts - expected).square() / expected).sum() < 348


def test_gaussian_noise_has_the_moments_of_each_channel() -> None:
    what = data(3)
    real = what.test.batch(torch.arange(40)).images.double().transpose(0, 1).flatten(1)
    made = gaussian_noise(what, 0).batch(torch.arange(40)).images.double()
    made = made.transpose(0, 1).flatten(1)
    assert made.mean(1).tolist() == pytest.approx(real.mean(1).tolist(), abs=1)
    assert made.std(1).tolist() == pytest.approx(real.std(1).tolist(), abs=0.7)


def test_permuting_keeps_the_pixels_and_moves_them() -> None:
    what = data(3)
    clean = what.test.batch(INDEX)
    mixed = permuted(what, 0).batch(INDEX)
    assert torch.equal(mixed.labels, clean.labels)
    for image, found in zip(clean.images, mixed.images, strict=True):
        before, after = (sorted(map(tuple, x.flatten(1).T.tolist())) for x in (image, found))
        assert before == after
        assert (image == found).all(0).double().mean() < 0.1


def test_every_image_has_an_order_of_its_own() -> None:
    ramp = torch.arange(192).byte().view(1, 1, 12, 16).expand(40, -1, -1, -1)
    split = StaticImages(ramp, torch.zeros(40, dtype=torch.long))
    what = ImageData("ramps", data().spec, split, split, split)
    orders = permuted(what, 0).batch(torch.arange(40)).images.flatten(1)
    assert len(orders.unique(dim=0)) == 40
    # The first pixel is as likely to land here as there.
    assert (orders == 0).int().argmax(1).unique().numel() > 25


def mean_level(images: Tensor) -> float:
    return images.double().mean().item()


def test_adapted_to_the_size_and_colours_of_another() -> None:
    spec = ImageSpec(3, 20, 20, ("x",))
    found = adapted(data(1), spec).to(torch.device("cpu")).batch(INDEX)
    assert found.images.shape == (4, 3, 20, 20)
    assert torch.equal(found.images[:, 0], found.images[:, 2])
    assert torch.equal(found.labels, INDEX % 4)
    clean = data(1).test.batch(INDEX).images
    assert mean_level(found.images) == pytest.approx(mean_level(clean), abs=1.5)


def test_colours_become_grey_by_their_luma() -> None:
    colours = torch.tensor([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]).byte()
    split = StaticImages(colours[:, :, None, None].expand(-1, -1, 4, 4), torch.arange(4))
    what = ImageData("colours", ImageSpec(3, 4, 4, ("a",)), split, split, split)
    found = adapted(what, ImageSpec(1, 4, 4, ("a",))).batch(torch.arange(4)).images
    assert found[:, 0, 0, 0].tolist() == [76, 150, 29, 255]


def test_its_own_spec_changes_nothing() -> None:
    what = data(3)
    clean = what.test.batch(INDEX).images
    assert torch.equal(adapted(what, what.spec).batch(INDEX).images, clean)


def test_two_channels_are_refused() -> None:
    words = (
        "^squares has 2 channels and the network reads 1; only 1 and 3 can be turned into each"
        " other$"
    )
    with pytest.raises(ValueError, match=words):
        adapted(data(2), ImageSpec(1, 12, 16, ("a",)))


@pytest.mark.parametrize("size", [(5, 7), (12, 30), (40, 9)])
def test_resizing_agrees_with_torch(size: tuple[int, int]) -> None:
    images = data(3).test.batch(INDEX).images
    wanted = F.interpolate(images.double(), size, mode="bilinear", antialias=True)
    assert (resized(images, *size).double() - wanted).abs().max() < 0.6
    plain = torch.full((1, 1, 9, 9), 255, dtype=torch.uint8)
    assert (resized(plain, *size) == 255).all()


@pytest.mark.gpu
@pytest.mark.parametrize("make", OUTLIERS.values(), ids=OUTLIERS)
def test_a_gpu_gives_the_same_bytes(make: Callable[[ImageData, int], ImageSet]) -> None:
    here = make(data(3), 0).batch(INDEX).images
    there = make(data(3).to(torch.device("cuda")), 0).batch(INDEX).images
    assert there.is_cuda
    assert torch.equal(here, there.cpu())
