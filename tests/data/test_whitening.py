"""Whitening against its formula, by another decomposition, and against what could disturb it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ibdrop.data import whitening
from ibdrop.data.base import Batch, ImageSpec, StaticImages
from ibdrop.data.whitening import EPSILON, Whitened, standardised, whitened, zca_matrix

COUNT, SHAPE, D = 300, (3, 4, 4), 48
SPEC = ImageSpec(*SHAPE, ("a", "b"))


def smooth(count: int, seed: int) -> Tensor:
    """Random pictures whose neighbouring pixels and channels are alike, as in natural ones."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 2, 2, generator=random)
    wide = nn.functional.interpolate(coarse, (4, 4), mode="bilinear", align_corners=True)
    return (230 * wide + 25 * torch.rand(count, *SHAPE, generator=random)).byte()


def static(pixels: Tensor) -> StaticImages:
    return StaticImages(pixels, torch.zeros(len(pixels), dtype=torch.int64))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of its own."""
    monkeypatch.setenv("IBDROP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pixels() -> Tensor:
    return smooth(COUNT, 1)


def naive(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and matrix as the formula says, from a singular value decomposition in float64."""
    x = pixels.flatten(1).double()
    z = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    mean = z.mean(0)
    _, spread, axes = torch.linalg.svd((z - mean) / (len(z) - 1) ** 0.5, full_matrices=False)
    return mean, axes.T @ torch.diag(1 / (spread + 1e-5)) @ axes


def without_constant(matrix: Tensor) -> Tensor:
    keeps = torch.eye(D, dtype=torch.float64) - 1 / D
    return keeps @ matrix.double() @ keeps


def test_an_image_loses_brightness_and_contrast(pixels: Tensor) -> None:
    x = pixels.flatten(1).double()
    expected = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True, correction=1)
    assert torch.allclose(standardised(pixels, torch.float64), expected, rtol=0, atol=1e-13)
    assert torch.allclose(standardised(pixels).double(), expected, rtol=0, atol=1e-6)
    dim = pixels // 2 * 2
    assert torch.equal(standardised(dim // 2), standardised(dim))


@pytest.mark.parametrize("level", [0, 37, 255])
def test_an_image_of_one_colour_becomes_0(level: int) -> None:
    assert not standardised(torch.full((2, *SHAPE), level, dtype=torch.uint8)).any()


def test_the_matrix_is_that_of_the_formula_but_for_the_constant_vector(pixels: Tensor) -> None:
    mean, matrix = naive(pixels)
    z = standardised(pixels, torch.float64)
    found = zca_matrix((z - mean).T @ (z - mean) / (COUNT - 1))
    assert (found - without_constant(matrix)).abs().max() < 1e-6
    assert torch.equal(found, found.T)
    assert found.sum(0).abs().max() < 1e-12
    assert matrix.sum(0).abs().min() > 1e4  # what the formula alone makes of it


def test_the_whole_transform_is_that_of_the_formula(pixels: Tensor) -> None:
    transform, fresh = whitened(static(pixels), SPEC), smooth(50, 2)
    mean, matrix = naive(pixels)
    assert torch.allclose(transform.mean.double(), mean, rtol=0, atol=1e-7)
    x = fresh.flatten(1).double()
    z = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True)
    expected = (z - mean) @ without_constant(matrix)
    found = transform(fresh)
    assert found.dtype == torch.float32
    assert found.shape == fresh.shape
    assert torch.allclose(found.flatten(1).double(), expected, rtol=0, atol=5e-5)


def test_whitened_training_images_are_uncorrelated_with_variance_1(pixels: Tensor) -> None:
    values = whitened(static(pixels), SPEC)(pixels).flatten(1).double()
    assert values.mean(0).abs().max() < 1e-5
    assert values.sum(1).abs().max() < 1e-3
    covariance = values.T.cov()
    keeps = torch.eye(D, dtype=torch.float64) - 1 / D
    assert (covariance - keeps).abs().max() < 1e-3


@pytest.mark.parametrize("strip", [1, 5, 512])
def test_the_covariance_does_not_depend_on_how_it_is_gathered(
    pixels: Tensor, monkeypatch: pytest.MonkeyPatch, strip: int
) -> None:
    monkeypatch.setattr(whitening, "STRIP", strip)
    monkeypatch.setattr("ibdrop.data.samples.CHUNK", 11 * D)
    z = standardised(pixels, torch.float64)
    found = whitening._covariance(static(pixels), z.mean(0))
    assert torch.allclose(found, z.T.cov(), rtol=0, atol=1e-12)
    assert torch.equal(found, found.T)


def test_directions_in_which_nothing_varies_count_for_nothing(pixels: Tensor) -> None:
    pixels[:, 0, 0, 1] = pixels[:, 0, 0, 0]
    transform = whitened(static(pixels), SPEC)
    assert transform.matrix.abs().max() < 1e3
    odd, plain = pixels[:5].clone(), pixels[:5].clone()
    odd[:, 0, 0, 0], odd[:, 0, 0, 1] = 90, 110
    plain[:, 0, 0, :2] = 100
    assert transform(odd).abs().max() < 100
    difference = torch.zeros(D)
    difference[0], difference[1] = 1, -1
    assert (transform.matrix @ difference).abs().max() < 1e-4


def test_a_faint_direction_is_whitened_as_the_formula_says() -> None:
    spread = torch.tensor([1e-4, 0.5, 1.0, 2.0], dtype=torch.float64)
    start = torch.cat([torch.ones(5, 1), torch.eye(5)[:, :4]], 1).double()
    axes = torch.linalg.qr(start)[0][:, 1:]
    covariance = axes @ torch.diag(spread**2) @ axes.T
    expected = axes @ torch.diag(1 / (spread + EPSILON)) @ axes.T
    assert torch.allclose(zca_matrix(covariance), expected, rtol=1e-6)


def test_nothing_of_the_constant_vector_gets_through_where_others_are_faint() -> None:
    random = torch.Generator().manual_seed(4)
    start = torch.randn(64, 64, generator=random, dtype=torch.float64)
    start[:, 0] = 1
    axes = torch.linalg.qr(start)[0][:, 1:]
    spread = torch.logspace(-4, 1.5, 63, dtype=torch.float64)
    found = zca_matrix(axes @ torch.diag(spread**2) @ axes.T)
    assert found.sum(0).abs().max() < 1e-9
    assert torch.equal(found, found.T)


@pytest.mark.parametrize("size", [1, 7])
def test_batches_do_not_matter_but_for_rounding(pixels: Tensor, size: int) -> None:
    transform = whitened(static(pixels), SPEC)
    parts = torch.cat([transform(part) for part in pixels.split(size)])
    assert torch.allclose(parts, transform(pixels), rtol=0, atol=2e-5)


def test_the_memory_format_does_not_matter(pixels: Tensor) -> None:
    transform = whitened(static(pixels), SPEC)
    last = pixels.contiguous(memory_format=torch.channels_last)
    assert torch.equal(transform(last), transform(pixels))


def settings() -> dict[str, str]:
    """The precision of products everywhere that torch keeps one."""
    places = {
        "all": torch.backends,
        "cuda": torch.backends.cuda.matmul,
        "cpu": torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    }
    return {name: place.fp32_precision for name, place in places.items()}


@pytest.fixture
def restored() -> Iterator[None]:
    """Puts the settings back as they were."""
    yield
    torch.backends.fp32_precision = "none"  # type: ignore[attr-defined]
    torch.set_float32_matmul_precision("highest")


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_global_precision_neither_matters_nor_changes(pixels: Tensor, precision: str) -> None:
    transform = whitened(static(pixels), SPEC)
    expected = transform(pixels)
    torch.set_float32_matmul_precision(precision)
    before = settings()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = transform(pixels)
        assert torch.is_autocast_enabled("cpu")
    assert torch.equal(found, expected)
    assert found.dtype == torch.float32
    assert settings() == before
    assert torch.get_float32_matmul_precision() == precision


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_an_inherited_precision_stays_inherited(device: str) -> None:
    torch.backends.cuda.matmul.fp32_precision = "none"  # type: ignore[attr-defined]
    torch.backends.mkldnn.matmul.fp32_precision = "none"  # type: ignore[attr-defined]
    torch.backends.fp32_precision = "tf32"  # type: ignore[attr-defined]
    with whitening._in_full(torch.device(device)):
        assert settings()[device] == "ieee"
    assert set(settings().values()) == {"tf32"}
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]
    assert set(settings().values()) == {"ieee"}


@pytest.mark.usefixtures("restored")
def test_a_compiled_network_is_not_compiled_again_because_of_it(pixels: Tensor) -> None:
    torch.set_float32_matmul_precision("high")
    transform = whitened(static(pixels), SPEC)
    network = nn.Conv2d(3, 2, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(3):
            inputs = transform(pixels[:7])
            assert torch.equal(compiled(inputs), network(inputs))


def test_images_too_large_are_refused_at_once() -> None:
    images = static(torch.zeros(2, 3, 65, 64, dtype=torch.uint8))
    with pytest.raises(ValueError, match="normalise=zca is for small images") as caught:
        whitened(images, ImageSpec(3, 65, 64, ()))
    assert str(caught.value) == (
        "normalise=zca is for small images, of 2 to 12,288 values (64 x 64 pixels in 3 channels),"
        " and these have 12,480 (65 x 64 pixels in 3 channels); use standard or unit, or a"
        " smaller size"
    )


def test_too_few_images_are_refused(pixels: Tensor) -> None:
    message = (
        "^normalise=zca needs more training images than an image has values, 48"
        r" \(4 x 4 pixels in 3 channels\), and there are 48; use standard or unit, or a smaller"
        " size$"
    )
    with pytest.raises(ValueError, match=message):
        whitened(static(pixels[:48]), SPEC)
    whitened(static(pixels[:49]), SPEC)


@pytest.mark.parametrize("rise", [0, 1])
def test_images_that_are_all_the_same_are_refused(rise: int) -> None:
    one = torch.arange(D, dtype=torch.uint8).view(1, *SHAPE)
    pixels = one * (1 + rise * (torch.arange(COUNT) % 5).byte().view(-1, 1, 1, 1))
    with pytest.raises(ValueError, match="needs training images that differ"):
        whitened(static(pixels), SPEC)


def test_the_second_time_it_comes_from_the_disk(
    pixels: Tensor, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = whitened(static(pixels), SPEC)
    monkeypatch.delattr(whitening, "_computed")
    second = whitened(static(pixels), SPEC)
    assert torch.equal(first.matrix, second.matrix)
    assert torch.equal(first.mean, second.mean)
    assert [file.suffix for file in cache.iterdir()] == [".npz"]
    pixels[17, 2, 3, 3] += 1
    with pytest.raises(NameError):
        whitened(static(pixels), SPEC)


def test_another_format_is_another_file(
    pixels: Tensor, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whitened(static(pixels), SPEC)
    monkeypatch.setattr(whitening, "FORMAT", whitening.FORMAT + 1)
    whitened(static(pixels), SPEC)
    assert len(list(cache.iterdir())) == 2


def test_a_damaged_file_is_made_again(
    pixels: Tensor, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = whitened(static(pixels), SPEC)
    (file,) = cache.iterdir()
    file.write_bytes(file.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        again = whitened(static(pixels), SPEC)
    assert torch.equal(first.matrix, again.matrix)
    assert "is damaged" in caplog.text
    caplog.clear()
    whitened(static(pixels), SPEC)
    assert not caplog.records


class OnDisk(StaticImages):
    """Images of which it is to be believed that they are read from disk."""

    resident = False
    reads = 0

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        self.reads += len(index)
        return super().batch(index, epoch)


def test_a_set_on_disk_is_read_once_and_judged_by_a_part(
    pixels: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whitening, "SAMPLE", 100)
    stored = OnDisk(pixels, torch.zeros(COUNT))
    found = whitened(stored, SPEC)
    assert stored.reads <= 101
    expected = whitened(static(pixels[::3]), SPEC)
    assert torch.equal(found.matrix, expected.matrix)


@pytest.mark.gpu
@pytest.mark.usefixtures("restored")
def test_both_devices_agree_whatever_the_precision_of_products(pixels: Tensor) -> None:
    transform, device = whitened(static(pixels), SPEC), torch.device("cuda")
    there, moved = transform.to(device), pixels.to(device)
    assert torch.equal(standardised(moved).cpu(), standardised(pixels))
    plain = there(moved)
    assert torch.allclose(plain.cpu(), transform(pixels), rtol=0, atol=2e-5)
    torch.backends.cuda.matmul.allow_tf32 = True
    with torch.autocast("cuda", dtype=torch.bfloat16):
        assert torch.equal(there(moved), plain)
    assert torch.backends.cuda.matmul.allow_tf32


def test_numbers_move_with_it(pixels: Tensor) -> None:
    moved = whitened(static(pixels), SPEC).to(torch.device("cpu"))
    assert isinstance(moved, Whitened)
