from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.data import sources
from ibdrop.data.base import StaticImages
from ibdrop.data.fashion import CLASSES, fashion_mnist
from ibdrop.data.sources import FASHION_MNIST, File, Source
from ibdrop.errors import DataError

TRAIN, TEST = 60, 20


def idx(values: Tensor) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.numpy().tobytes()


def contents() -> list[bytes]:
    """The four files, with eighty random pictures."""
    random = torch.Generator().manual_seed(0)
    found = []
    for count in (TRAIN, TEST):
        pixels = torch.randint(0, 256, (count, 28, 28), generator=random, dtype=torch.uint8)
        found += [idx(pixels), idx((torch.arange(count) % 10).byte())]
    return found


def place(root: Path, files: list[bytes], monkeypatch: pytest.MonkeyPatch) -> Source:
    """Puts packed files in place of Fashion-MNIST's."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    described = []
    for file, content in zip(FASHION_MNIST.files, files, strict=True):
        packed = gzip.compress(content, mtime=0)
        (folder / f"{file.name}.gz").write_bytes(packed)
        md5 = hashlib.md5(packed).hexdigest()
        described.append(File(file.name, len(content), packed_md5=md5))
    source = FASHION_MNIST._replace(files=tuple(described))
    monkeypatch.setattr(sources, "FASHION_MNIST", source)
    return source


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    return place(tmp_path, contents(), monkeypatch)


def test_every_picture_is_in_one_split_with_its_label(small: Source, tmp_path: Path) -> None:
    data = fashion_mnist(0, root=str(tmp_path), val_images=15)
    assert data.name == "Fashion-MNIST"
    assert data.spec == (1, 28, 28, CLASSES)
    images = torch.frombuffer(bytearray(contents()[0]), dtype=torch.uint8, offset=16)
    labels = {row.numpy().tobytes(): i % 10 for i, row in enumerate(images.view(TRAIN, 28, 28))}
    seen = []
    for split in (data.train, data.val):
        assert isinstance(split, StaticImages)
        for image, label in zip(split.images, split.labels, strict=True):
            assert labels[image.numpy().tobytes()] == int(label)
            seen.append(image.numpy().tobytes())
    assert (len(data.train), len(data.val), len(data.test)) == (45, 15, 20)
    assert set(seen) == set(labels)


def test_the_seed_chooses_the_validation_pictures_but_not_the_test(
    small: Source, tmp_path: Path
) -> None:
    first, other = (fashion_mnist(seed, root=str(tmp_path), val_images=15) for seed in (0, 1))
    index = torch.arange(15)
    assert not torch.equal(first.val.batch(index).images, other.val.batch(index).images)
    assert torch.equal(first.test.batch(index).images, other.test.batch(index).images)


def test_files_unpacked_by_others_do_as_well(small: Source, tmp_path: Path) -> None:
    index = torch.arange(20)
    before = fashion_mnist(0, root=str(tmp_path), val_images=15).test.batch(index)
    for packed in (tmp_path / "FashionMNIST" / "raw").iterdir():
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    after = fashion_mnist(0, root=str(tmp_path), val_images=15).test.batch(index)
    assert torch.equal(before.images, after.images)
    assert torch.equal(before.labels, after.labels)


def test_a_label_out_of_range_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = contents()
    files[1] = idx(torch.full((TRAIN,), 10, dtype=torch.uint8))
    place(tmp_path, files, monkeypatch)
    message = "^Fashion-MNIST: a label in FashionMNIST/raw is 10; it must be 0 to 9$"
    with pytest.raises(DataError, match=message):
        fashion_mnist(0, root=str(tmp_path), val_images=15)


@pytest.mark.parametrize("shape", [(TRAIN - 1,), (TRAIN, 1)])
def test_files_that_do_not_belong_together_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...]
) -> None:
    files = contents()
    files[1] = idx(torch.zeros(shape, dtype=torch.uint8))
    place(tmp_path, files, monkeypatch)
    with pytest.raises(DataError, match="there should be one label for each picture of 28 x 28"):
        fashion_mnist(0, root=str(tmp_path), val_images=15)


def test_missing_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        fashion_mnist(0, root=str(tmp_path))
    assert str(caught.value) == (
        f"Fashion-MNIST: no train-images-idx3-ubyte in {tmp_path}/FashionMNIST/raw;"
        f" run `ibdrop data fetch fashion_mnist --root {tmp_path}`, or set dataset.root=DIR to the"
        " folder that holds FashionMNIST/raw"
    )


def test_a_validation_set_that_cannot_be_is_refused(small: Source, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="^val_images is 60; it must be 1 to 59$"):
        fashion_mnist(0, root=str(tmp_path), val_images=60)


def test_addresses_and_checksums_are_torchvisions() -> None:
    from torchvision import datasets

    ours = [(f"{file.name}.gz", file.packed_md5) for file in FASHION_MNIST.files]
    assert ours == datasets.FashionMNIST.resources
    assert set(datasets.FashionMNIST.mirrors) <= set(FASHION_MNIST.mirrors)
    theirs = [name.lower() for name in datasets.FashionMNIST.classes]
    assert [name.lower() for name in CLASSES] == theirs


def test_sizes_are_those_of_the_pictures_and_labels() -> None:
    images, labels, test_images, test_labels = (file.size for file in FASHION_MNIST.files)
    assert (images, labels) == (16 + 60_000 * 28 * 28, 8 + 60_000)
    assert (test_images, test_labels) == (16 + 10_000 * 28 * 28, 8 + 10_000)
