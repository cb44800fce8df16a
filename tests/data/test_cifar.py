from __future__ import annotations

import hashlib
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ibdrop.data import cifar, sources
from ibdrop.data.base import ImageSet, ImageSpec, StaticImages, UnitRange
from ibdrop.data.cifar import CLASSES, cifar10, read_cifar10
from ibdrop.data.sources import CIFAR10, File
from ibdrop.errors import DataError

EACH = 30
"""Pictures in a batch; the originals have 10,000."""


def batch(number: int) -> dict[bytes, Any]:
    random = np.random.default_rng(number)
    pixels = random.integers(0, 256, (EACH, 3072), dtype=np.uint8)
    return {b"data": pixels, b"labels": [(number + i) % 10 for i in range(EACH)]}


def place(root: Path, batches: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts small pickles in place of CIFAR-10's."""
    folder = root / CIFAR10.folder
    folder.mkdir(parents=True)
    described = []
    for file, found in zip(CIFAR10.files, [*batches, {}], strict=True):
        content = found if isinstance(found, bytes) else pickle.dumps(found, 3)
        (folder / file.name).write_bytes(content)
        described.append(File(file.name, len(content), md5=hashlib.md5(content).hexdigest()))
    monkeypatch.setattr(sources, "CIFAR10", CIFAR10._replace(files=tuple(described)))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    place(tmp_path, [batch(number) for number in range(6)], monkeypatch)
    return str(tmp_path)


def rows(images: ImageSet) -> list[tuple[bytes, int]]:
    assert isinstance(images, StaticImages)
    return [
        (image.numpy().tobytes(), int(label))
        for image, label in zip(images.images, images.labels, strict=True)
    ]


def test_every_picture_is_in_one_split_with_its_label(small: str) -> None:
    data = cifar10(0, root=small, normalise="unit", val_images=40)
    assert data.name == "CIFAR-10"
    assert data.spec == (3, 32, 32, CLASSES)
    assert [len(split) for split in (data.train, data.val, data.test)] == [110, 40, 30]
    batches = [batch(number) for number in range(6)]
    expected = [
        [(row.tobytes(), label) for row, label in zip(one[b"data"], one[b"labels"], strict=True)]
        for one in batches
    ]
    assert rows(data.test) == expected[5]
    learned = rows(data.train) + rows(data.val)
    assert sorted(learned) == sorted(row for part in expected[:5] for row in part)


def test_red_comes_before_green_before_blue_and_rows_before_columns(small: str) -> None:
    train, test = read_cifar10(small)
    assert train.images.shape == (5 * EACH, 3, 32, 32)
    pixels = batch(5)[b"data"]
    for colour in range(3):
        for y, x in ((0, 0), (0, 31), (31, 0), (7, 20)):
            assert int(test.images[3, colour, y, x]) == pixels[3, 1024 * colour + 32 * y + x]


def test_the_seed_chooses_the_validation_pictures_but_nothing_else(small: str) -> None:
    first, other = (
        cifar10(seed, root=small, normalise="standard", val_images=40) for seed in (0, 1)
    )
    assert rows(first.val) != rows(other.val)
    assert rows(first.test) == rows(other.test)
    pixels = first.test.batch(torch.arange(EACH)).images
    assert torch.equal(first.inputs(pixels), other.inputs(pixels))


def test_it_is_whitened_by_all_pictures_for_training(
    small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(kind: str, train: ImageSet, spec: ImageSpec) -> UnitRange:
        asked.append((kind, rows(train), spec))
        return UnitRange()

    monkeypatch.setattr(cifar, "normalisation", note)
    for seed in (0, 1):
        data = cifar.cifar10(seed, root=small, val_images=40)
    every = rows(StaticImages(*read_cifar10(small)[0]))
    assert asked == [("zca", every, data.spec)] * 2


def test_a_validation_set_that_cannot_be_is_refused(small: str) -> None:
    with pytest.raises(ValueError, match="^val_images is 150; it must be 1 to 149$"):
        cifar10(0, root=small, val_images=150)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({b"labels": [0] * 29}, "its labels are 29; they must be a list of 30"),
        ({b"labels": None}, "its labels are NoneType; they must be a list of 30"),
        ({b"labels": [10] * 30}, "a label is 10; it must be a whole number from 0 to 9"),
        ({b"labels": [-1] * 30}, "a label is -1; it must be a whole number from 0 to 9"),
        ({b"labels": [True] * 30}, "a label is True; it must be a whole number from 0 to 9"),
        ({b"data": b"abc"}, "its data are bytes; they must be rows of 3,072 bytes"),
        (
            {b"data": np.zeros((30, 1024), np.uint8)},
            "its data are [30, 1024]; they must be rows of 3,072 bytes",
        ),
        ({b"data": np.zeros((30, 3072))}, "it holds an array of 'f8', not of bytes"),
        ({b"data": Path("there")}, "it asks for pathlib.Pos"),
    ],
)
def test_a_batch_of_something_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[bytes, Any], message: str
) -> None:
    batches = [batch(number) for number in range(6)]
    batches[2] |= changes
    place(tmp_path, batches, monkeypatch)
    start = f"{tmp_path / CIFAR10.folder / 'data_batch_3'} is no batch of CIFAR-10: {message}"
    with pytest.raises(DataError, match=f"^{re.escape(start)}"):
        read_cifar10(str(tmp_path))


def test_what_is_not_the_original_is_not_even_parsed(small: str) -> None:
    file = Path(small) / CIFAR10.folder / "data_batch_2"
    content = bytearray(file.read_bytes())
    content[-100] ^= 1
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2 is not the original: its MD5 is \w{12}…"):
        read_cifar10(small)
    file.write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"data_batch_2 is damaged: it holds [\d,]+ bytes and sho"):
        read_cifar10(small)


def test_missing_files_are_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        cifar10(0, root=str(tmp_path))
    assert str(caught.value) == (
        f"CIFAR-10: no data_batch_1 in {tmp_path}/cifar-10-batches-py;"
        f" run `ibdrop data fetch cifar10 --root {tmp_path}`, or set dataset.root=DIR to the"
        " folder that holds cifar-10-batches-py"
    )


def test_address_and_checksums_are_torchvisions() -> None:
    from torchvision import datasets

    theirs = datasets.CIFAR10
    ours = [(file.name, file.md5) for file in CIFAR10.files]
    assert ours[:5] == [tuple(pair) for pair in theirs.train_list]
    assert ours[5:6] == [tuple(pair) for pair in theirs.test_list]
    assert ours[6] == (theirs.meta["filename"], theirs.meta["md5"])
    assert CIFAR10.archive is not None
    assert (CIFAR10.archive.name, CIFAR10.archive.md5) == (theirs.filename, theirs.tgz_md5)
    assert CIFAR10.folder == theirs.base_folder
    assert theirs.url in [f"{mirror}{CIFAR10.archive.name}" for mirror in CIFAR10.mirrors]
