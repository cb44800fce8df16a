"""What a reconstruction is compared with: small cases by another route, and published MNIST."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSet, ImageSpec, StaticImages, Transform
from ibdrop.data.idx import read_idx
from ibdrop.data.sources import MNIST
from ibdrop.merit import reconstruction
from ibdrop.merit.reconstruction import references, training_pixels


class Bytes(Transform):
    """byte / 256, as the old tutorials read them."""

    def __call__(self, images: Tensor) -> Tensor:
        return images.float() / 256

    def to(self, device: torch.device) -> Transform:
        return self


def made(train: Tensor, test: Tensor) -> ImageData:
    """Data of these pictures, which are bytes."""
    channels, height, width = train.shape[1:]
    spec = ImageSpec(channels, height, width, ("all",))
    sets = [StaticImages(one, torch.zeros(len(one), dtype=torch.int64)) for one in (train, test)]
    return ImageData("pictures", spec, sets[0], sets[1], sets[1], transform=Bytes())


def pictures(count: int, seed: int, size: int = 5, channels: int = 1) -> Tensor:
    noise = torch.Generator().manual_seed(seed)
    low = torch.rand(count, 4, generator=noise)
    mixing = torch.rand(4, channels * size * size, generator=torch.Generator().manual_seed(9))
    mixed = 40 * low @ mixing + 60 * torch.rand(count, mixing.shape[1], generator=noise)
    return mixed.to(torch.uint8).view(count, channels, size, size)


def pixels(images: ImageSet) -> Tensor:
    """What a linear network would read, in float64."""
    return images.batch(torch.arange(len(images))).images.flatten(1).double() / 256


@pytest.mark.parametrize("batch", [7, 64])
@pytest.mark.parametrize("channels", [1, 3])
def test_pca_of_streamed_moments_is_that_of_the_svd(
    batch: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconstruction, "IMAGES", batch)
    data = made(pictures(60, 1, channels=channels), pictures(30, 2, channels=channels))
    x, t = (pixels(part) for part in (data.train, data.test))
    mean = x.mean(0)
    axes = torch.linalg.svd(x - mean, full_matrices=False)[2][:6]
    found = training_pixels(data).pca(6)
    assert found is not None
    torch.testing.assert_close(found.mean, mean, rtol=1e-12, atol=1e-14)
    wanted = mean + (t - mean) @ axes.T @ axes
    torch.testing.assert_close(found.rebuild(t), wanted, rtol=1e-9, atol=1e-9)
    figures = references(data, 6, "bernoulli")
    assert figures["mse_pca"] == pytest.approx(float((t - wanted).square().mean()), rel=1e-9)
    assert figures["mse_mean_image"] == pytest.approx(float((t - mean).square().mean()))


def test_costs_are_those_of_the_definition() -> None:
    data = made(pictures(40, 1), pictures(20, 2))
    x, t = (pixels(part) for part in (data.train, data.test))
    p = (40 * x.mean(0) + 0.5) / 41
    cost = -(t * p.log() + (1 - t) * (1 - p).log()).sum(1).mean()
    entropy = -(torch.xlogy(t, t) + torch.xlogy(1 - t, 1 - t)).sum(1).mean()
    figures = references(data, 3, "bernoulli")
    assert figures["ce_mean_image"] == pytest.approx(float(cost), rel=1e-12)
    assert figures["ce_floor"] == pytest.approx(float(entropy), rel=1e-12)
    gaussian = references(data, 3, "gaussian", 0.5)
    least = 25 * math.log(0.5 * math.sqrt(2 * math.pi))
    assert gaussian["ce_floor"] == pytest.approx(least, rel=1e-12)
    above = float((t - p).square().sum(1).mean()) / (2 * 0.5**2)
    assert gaussian["ce_mean_image"] == pytest.approx(least + above, rel=1e-12)


def test_a_pixel_that_was_never_lit_costs_no_infinity() -> None:
    train = torch.zeros(9, 1, 2, 2, dtype=torch.uint8)
    figures = references(made(train, train + 128), 1, "bernoulli")
    assert figures["ce_mean_image"] == pytest.approx(
        -4 * (0.5 * math.log(0.05) + 0.5 * math.log(0.95))
    )


def test_as_many_components_as_pixels_rebuild_everything() -> None:
    data = made(pictures(60, 1), pictures(30, 2))
    assert references(data, 500, "bernoulli")["mse_pca"] < 1e-28


def test_only_as_many_test_images_as_asked_for() -> None:
    train, test = pictures(40, 1), pictures(20, 2)
    few = references(made(train, test), 3, "bernoulli", images=8)
    assert few == references(made(train, test[:8]), 3, "bernoulli")


def test_large_images_have_no_pca(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconstruction, "MOST_PIXELS", 24)
    data = made(pictures(40, 1), pictures(20, 2))
    assert training_pixels(data).pca(3) is None
    assert set(references(data, 3, "bernoulli")) == {
        "ce_floor",
        "ce_mean_image",
        "mse_mean_image",
    }


def test_all_figures_are_of_the_target() -> None:
    data = made(pictures(40, 1), pictures(20, 2))
    dark = made(pictures(40, 1) // 2, pictures(20, 2) // 2)
    whole = references(dark, 3, "bernoulli")

    def halved(x: Tensor) -> Tensor:
        return (256 * x / 2).floor() / 256

    assert references(data, 3, "bernoulli", target=halved) == pytest.approx(whole, rel=1e-9)
    part = references(data, 3, "bernoulli", target=lambda x: x[:, :, 2:])
    cut = made(pictures(40, 1)[:, :, 2:], pictures(20, 2)[:, :, 2:])
    wanted = references(cut, 3, "bernoulli")
    assert part == pytest.approx({name: wanted[name] for name in wanted if name != "mse_pca"})


def test_the_training_images_are_gone_over_once() -> None:
    data = made(pictures(40, 1), pictures(20, 2))
    first = training_pixels(data)
    assert training_pixels(data) is first
    other = ImageData("other", data.spec, data.train, data.val, data.test)
    scale = float(other.inputs(pictures(40, 1)).mean()) / float(first.mean.mean())
    assert scale == pytest.approx(256 / 255)
    assert float(training_pixels(other).mean.mean()) == pytest.approx(scale * first.mean.mean())


def test_the_figures_of_mnist(mnist_bytes: ImageData) -> None:
    figures = {width: references(mnist_bytes, width, "bernoulli") for width in (10, 100, 500)}
    assert figures[10]["ce_floor"] == pytest.approx(46.831, abs=0.001)
    assert figures[10]["ce_mean_image"] == pytest.approx(205.51, abs=0.01)
    assert figures[10]["mse_mean_image"] == pytest.approx(0.0669, abs=0.0001)
    assert figures[10]["mse_pca"] == pytest.approx(0.0338, abs=0.0001)
    assert figures[100]["mse_pca"] == pytest.approx(0.00557, abs=0.00001)
    assert figures[500]["mse_pca"] == pytest.approx(0.0000491, abs=0.0000001)


@pytest.fixture(scope="module")
def mnist_bytes(checkout: Path) -> ImageData:
    """The first 50,000 digits as training images, where this machine has them."""
    named = os.environ.get("IBDROP_DATA")
    for root in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(root):
            train, test = read_idx(MNIST, str(root))
            return made(train.images[:50_000, None], test.images[:, None])
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")
