"""Damaged and foreign archives: each a sentence, and no memory for what is not there."""

from __future__ import annotations

import os
import re
import tracemalloc
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ibdrop.data.arrays import arrays
from ibdrop.errors import DataError

GREY = np.random.default_rng(3).integers(0, 256, (60, 6, 8), dtype=np.uint8)
LABELS = np.arange(60) % 3


def save(folder: Path, *, compressed: bool = False, **members: Any) -> str:
    write = np.savez_compressed if compressed else np.savez
    path = folder / "my.npz"
    write(path, **members)
    return str(path)


def refusal(file: Path) -> str:
    with pytest.raises(DataError) as caught:
        arrays(0, file=str(file))
    return str(caught.value).replace(str(file), "FILE")


def test_files_that_are_no_archives(tmp_path: Path) -> None:
    file = tmp_path / "my.npz"
    assert refusal(file) == "no file FILE; dataset.file=FILE.npz names your archive"
    assert refusal(tmp_path) == "FILE is no file; dataset.file=FILE.npz names your archive"
    os.mkfifo(file)
    assert refusal(file) == "FILE is no file; dataset.file=FILE.npz names your archive"
    file.unlink()
    file.write_bytes(b"no archive")
    assert re.match(r"FILE is no NPZ archive, or is cut off \(.*\); write it with", refusal(file))
    save(tmp_path, images=GREY, labels=LABELS)
    file.write_bytes(file.read_bytes()[:-100])
    assert refusal(file).startswith("FILE is no NPZ archive, or is cut off (")


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_bytes_are_found(tmp_path: Path, compressed: bool) -> None:
    file = Path(save(tmp_path, compressed=compressed, images=GREY, labels=LABELS))
    content = bytearray(file.read_bytes())
    content[1000] ^= 255
    file.write_bytes(content)
    assert re.match(r"images in FILE is damaged \(.+\); write the archive again$", refusal(file))


def test_a_header_that_promises_too_much_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "my.npz"
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000, 9999, 9999), }"
    length = len(header).to_bytes(2, "little")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + length + header)
    assert "it says that it holds 99,980,001,000,000,000 bytes of values and holds 0" in refusal(
        file
    )


def test_many_labels_in_few_bytes_are_refused_before_they_are_unpacked(tmp_path: Path) -> None:
    file = save(tmp_path, compressed=True, images=GREY, labels=np.zeros(10_000_000, np.int8))
    assert Path(file).stat().st_size < 30_000
    tracemalloc.start()
    try:
        assert refusal(Path(file)).startswith("FILE holds 60 images and 10,000,000 labels;")
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


HEADERS = ["(((", "{'descr': '''", "  x\n y", "{[]: 1}", "-" * 5000, "{'descr': ('|O',),}", "3"]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: ascii(header[:10]))
def test_headers_that_are_none(tmp_path: Path, header: str) -> None:
    file = tmp_path / "my.npz"
    length = len(header).to_bytes(2, "little")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"\x93NUMPY\x01\x00" + length + header.encode())
    assert re.match(r"images in FILE is damaged \(.+\); write the archive again$", refusal(file))


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [(8, 1, "is encrypted"), (6, 255, "zip file version 25.5"), (10, 99, "not supported")],
)
def test_archives_of_another_make(tmp_path: Path, place: int, value: int, words: str) -> None:
    file = Path(save(tmp_path, images=GREY, labels=LABELS))
    content = bytearray(file.read_bytes())
    content[content.find(b"PK\1\2") + place] = value
    file.write_bytes(content)
    assert words in refusal(file)


@pytest.mark.parametrize("resident", [4.0, 0.0])
def test_changed_bytes_are_refused_or_do_not_matter(tmp_path: Path, resident: float) -> None:
    file = Path(save(tmp_path, images=GREY[:, :2, :2], labels=LABELS))
    sound, random = file.read_bytes(), np.random.default_rng(0)
    for _ in range(80):
        content = bytearray(sound)
        content[random.integers(len(content))] = random.integers(256)
        file.write_bytes(content)
        with suppress(DataError):
            arrays(0, file=str(file), resident=resident).test.batch(torch.arange(12))
