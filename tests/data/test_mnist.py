from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path

import pytest
import torch

from ibdrop.data import mnist as module
from ibdrop.data import sources
from ibdrop.data.base import ImageData, StaticImages
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.mnist import cluttered_mnist, mnist
from ibdrop.data.sources import MNIST, File, Source
from ibdrop.errors import DataError

TRAIN, TEST = 60, 20


def idx(values: torch.Tensor) -> bytes:
    """The format of MNIST's files, written out."""
    sizes = b"".join(size.to_bytes(4) for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.numpy().tobytes()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Source:
    """Eighty digits in MNIST's format, in place of MNIST."""
    random = torch.Generator().manual_seed(0)
    contents = []
    for count in (TRAIN, TEST):
        pixels = torch.randint(0, 256, (count, 28, 28), generator=random, dtype=torch.uint8)
        contents += [idx(pixels), idx((torch.arange(count) % 10).byte())]
    files = []
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for file, content in zip(MNIST.files, contents, strict=True):
        (folder / file.name).write_bytes(content)
        files.append(File(file.name, len(content), hashlib.sha256(content).hexdigest(), ""))
    source = MNIST._replace(files=tuple(files))
    monkeypatch.setattr(sources, "MNIST", source)
    monkeypatch.setattr(module, "PAPER_TRAIN", 50)
    return source


def pixels(data: ImageData) -> list[set[bytes]]:
    parts = []
    for split in (data.train, data.val, data.test):
        assert isinstance(split, StaticImages)
        parts.append({image.numpy().tobytes() for image in split.images})
    return parts


def test_the_original_order_on_demand(small: Source, tmp_path: Path) -> None:
    data = mnist(0, root=str(tmp_path), val_images=15, split="original", white=256)
    digits = torch.frombuffer(
        bytearray((tmp_path / "MNIST" / "raw" / MNIST.files[0].name).read_bytes()),
        dtype=torch.uint8,
        offset=16,
    ).view(TRAIN, 1, 28, 28)
    assert torch.equal(data.train.batch(torch.arange(45)).images, digits[:45])
    assert torch.equal(data.val.batch(torch.arange(15)).images, digits[45:])
    assert torch.equal(data.inputs(digits), digits.float() / 256)
    with pytest.raises(ValueError, match="^val_images is 60; it must be 1 to 59$"):
        mnist(0, root=str(tmp_path), val_images=60, split="original")


def test_every_digit_is_in_one_split(small: Source, tmp_path: Path) -> None:
    data = mnist(0, root=str(tmp_path), val_images=15)
    train, val, test = pixels(data)
    assert [len(train), len(val), len(test)] == [45, 15, 20]
    assert len(train | val | test) == 80
    batch = data.test.batch(torch.arange(20))
    assert batch.images.shape == (20, *data.spec[:3]) == (20, 1, 28, 28)
    assert batch.labels.tolist() == [i % 10 for i in range(20)]
    assert batch.labels.dtype == torch.int64


def test_the_seed_chooses_validation_only(small: Source, tmp_path: Path) -> None:
    one, again, other = (
        pixels(mnist(seed, root=str(tmp_path), val_images=15)) for seed in (0, 0, 1)
    )
    assert one == again
    assert one[1] != other[1]
    assert one[2] == other[2]


def test_fewer_digits_to_learn_from(small: Source, tmp_path: Path) -> None:
    whole = mnist(0, root=str(tmp_path), val_images=15)
    part = mnist(0, root=str(tmp_path), val_images=15, train_images=12, normalise="standard")
    index = torch.arange(12)
    assert len(part.train) == 12
    assert torch.equal(part.train.batch(index).images, whole.train.batch(index).images)
    assert pixels(part)[1:] == pixels(whole)[1:]
    x = part.inputs(part.train.batch(index).images)
    assert [float(x.mean()), float(x.std(correction=0))] == pytest.approx([0, 1], abs=1e-5)
    with pytest.raises(ValueError, match="^train_images is 46; it must be 1 to 45$"):
        mnist(0, root=str(tmp_path), val_images=15, train_images=46)


def test_clutter_keeps_the_papers_splits(small: Source, tmp_path: Path) -> None:
    data = cluttered_mnist(0, root=str(tmp_path), train_images=50, val_images=10, test_images=20)
    counts = []
    for split, size in ((data.train, 50), (data.val, 10), (data.test, 20)):
        assert isinstance(split, ClutteredImages)
        assert len(split) == size
        counts.append(len(split.digits))
    assert counts == [50, 10, 20]
    assert data.spec[:3] == (1, 96, 96)
    index = torch.arange(10)
    assert torch.equal(data.train.batch(index, 0).images, data.train.batch(index, 5).images)
    other = cluttered_mnist(1, root=str(tmp_path), train_images=50, val_images=10, test_images=20)
    assert not torch.equal(data.train.batch(index).images, other.train.batch(index).images)
    assert torch.equal(data.test.batch(index).images, other.test.batch(index).images)


def test_packed_files_do_as_well(small: Source, tmp_path: Path) -> None:
    before = pixels(mnist(0, root=str(tmp_path), val_images=15))
    for file in (tmp_path / "MNIST" / "raw").iterdir():
        file.with_name(f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert pixels(mnist(0, root=str(tmp_path), val_images=15)) == before


def test_missing_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        cluttered_mnist(0, root=str(tmp_path))
    assert str(caught.value) == (
        f"MNIST: no train-images-idx3-ubyte in {tmp_path}/MNIST/raw;"
        f" run `ibdrop data fetch mnist --root {tmp_path}`, or set dataset.root=DIR to the folder"
        " that holds MNIST/raw"
    )


def test_a_truncated_file_is_refused(small: Source, tmp_path: Path) -> None:
    path = tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError) as caught:
        mnist(0, root=str(tmp_path))
    assert str(caught.value) == (
        f"{path} is damaged: it holds 1,000 bytes and should hold 15,696; delete it and"
        f" run `ibdrop data fetch mnist --root {tmp_path}`"
    )


def test_another_file_of_the_same_size_is_refused(small: Source, tmp_path: Path) -> None:
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        mnist(0, root=str(tmp_path))
    found = hashlib.sha256(content).hexdigest()[:12]
    assert str(caught.value) == (
        f"{path} is not the original: its SHA-256 is {found}… and should be"
        f" {small.files[1].sha256[:12]}…; delete it and"
        f" run `ibdrop data fetch mnist --root {tmp_path}`"
    )


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(b"0" * 99)[:-9]])
def test_a_broken_packed_file_is_refused(small: Source, tmp_path: Path, content: bytes) -> None:
    plain = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    plain.unlink()
    packed = plain.with_name(f"{plain.name}.gz")
    packed.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{re.escape(str(packed))} is damaged \(.*\); delete"):
        mnist(0, root=str(tmp_path))


@pytest.mark.parametrize("val_images", [0, 60])
def test_a_validation_set_that_cannot_be_is_refused(
    small: Source, tmp_path: Path, val_images: int
) -> None:
    message = f"val_images is {val_images}; it must be 1 to 59"
    with pytest.raises(ValueError, match=f"^{message}$"):
        mnist(0, root=str(tmp_path), val_images=val_images)


def test_statistics_are_those_of_a_faithful_generator(mnist_root: str) -> None:
    """14.2 % of crops are blank, canvases have mean .0414, targets hold 26.5 % of the ink."""
    data = cluttered_mnist(0, root=mnist_root).train
    assert isinstance(data, ClutteredImages)
    index = torch.arange(3000)
    layout, batch = data.layout(index), data.batch(index)
    digit, row, column = layout.crops.reshape(-1, 3).unbind(1)
    windows = data.digits.unfold(1, 8, 1).unfold(2, 8, 1)
    blank = (windows[digit, row, column] == 0).all(-1).all(-1).double().mean()
    assert float(blank) == pytest.approx(0.142, abs=5 * (0.142 * 0.858 / 63_000) ** 0.5)
    ink = batch.images.double().sum((1, 2, 3)) / 255
    assert float(ink.mean()) / 96**2 == pytest.approx(0.0414, rel=0.01)
    target = data.digits[layout.target].double().sum((1, 2)) / 255
    assert float(target.sum() / ink.sum()) == pytest.approx(0.265, abs=0.005)


def test_torchvision_reads_the_same_digits(mnist_root: str) -> None:
    from torchvision import datasets

    theirs = datasets.MNIST(mnist_root, train=False)
    data = mnist(0, root=mnist_root)
    batch = data.test.batch(torch.arange(10_000))
    assert torch.equal(batch.images[:, 0], theirs.data)
    assert torch.equal(batch.labels, theirs.targets)


def test_addresses_and_checksums_are_torchvisions() -> None:
    from torchvision import datasets

    ours = [(f"{file.name}.gz", file.packed_md5) for file in MNIST.files]
    assert sorted(ours) == sorted(datasets.MNIST.resources)
    assert set(MNIST.mirrors) <= set(datasets.MNIST.mirrors)
