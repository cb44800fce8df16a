from __future__ import annotations

import gzip
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ibdrop.data.fetch import fetch
from ibdrop.data.originals import read
from ibdrop.data.sources import File, Source
from ibdrop.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Mirror

CONTENT = bytes(range(256)) * 1000
IDX = bytes([0, 0, 8, 1]) + (len(CONTENT)).to_bytes(4, "big") + CONTENT


@pytest.fixture
def source(mirror: Mirror) -> Source:
    """Two packed files on the mirror, the same content under both names."""
    mirror.content = gzip.compress(CONTENT, mtime=0)
    packed = hashlib.md5(mirror.content).hexdigest()
    files = tuple(
        File(name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), packed) for name in "ab"
    )
    return Source("Tiny", 2, "none", "nobody", "tiny/raw", files, (mirror("good/"),))


def test_files_are_fetched_and_unpacked(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "raw"
    assert fetch(source, tmp_path) == [folder / "a", folder / "b"]
    assert sorted(file.name for file in folder.iterdir()) == ["a", "b"]
    assert (folder / "a").read_bytes() == CONTENT
    assert source.missing(tmp_path) == []


def test_what_is_whole_stays_and_what_is_damaged_is_replaced(
    source: Source, mirror: Mirror, tmp_path: Path
) -> None:
    fetch(source, tmp_path)
    (tmp_path / "tiny" / "raw" / "b").write_bytes(b"damaged")
    mirror.asked.clear()
    assert fetch(source, tmp_path) == [tmp_path / "tiny" / "raw" / "b"]
    assert mirror.asked == [("/good/b.gz", None)]
    assert fetch(source, tmp_path) == []


def test_a_mirror_with_the_right_md5_but_another_content_is_refused(
    source: Source, tmp_path: Path
) -> None:
    files = (source.files[0]._replace(sha256="0" * 64),)
    with pytest.raises(DataError, match=re.escape("a.gz is not the original: its SHA-256 is")):
        fetch(source._replace(files=files), tmp_path)
    assert not (tmp_path / "tiny" / "raw" / "a").exists()


@pytest.fixture
def unchecked(mirror: Mirror) -> Source:
    """An IDX file whose packed form alone has a checksum."""
    mirror.content = gzip.compress(IDX, mtime=0)
    file = File("a", len(IDX), packed_md5=hashlib.md5(mirror.content).hexdigest())
    return Source("Tiny", 2, "none", "nobody", "tiny/raw", (file,), (mirror("good/"),))


def test_what_has_no_checksum_unpacked_stays_packed(unchecked: Source, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "raw"
    assert fetch(unchecked, tmp_path) == [folder / "a.gz"]
    assert [file.name for file in folder.iterdir()] == ["a.gz"]
    assert read(unchecked, unchecked.files[0], tmp_path) == IDX
    assert fetch(unchecked, tmp_path) == []


def test_the_packed_file_counts_for_more_than_one_without_a_checksum(
    unchecked: Source, tmp_path: Path
) -> None:
    fetch(unchecked, tmp_path)
    (tmp_path / "tiny" / "raw" / "a").write_bytes(IDX[:-1] + b"?")
    assert read(unchecked, unchecked.files[0], tmp_path) == IDX


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", IDX[:-1], r"a is damaged: it holds 256,007 bytes and should hold 256,008"),
        ("a", b"?" + IDX[1:], r"a is damaged: it does not begin as an IDX file does"),
        ("a", IDX[:3] + b"\2" + IDX[4:], r"a is damaged: it does not begin as an IDX file"),
        ("a.gz", gzip.compress(IDX[::-1]), r"a\.gz is not the original: its MD5 is \w{12}… and"),
    ],
    ids=["cut", "magic", "dimensions", "packed"],
)
def test_without_a_checksum_size_and_header_are_looked_at(
    unchecked: Source, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    folder = tmp_path / "tiny" / "raw"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(unchecked, unchecked.files[0], tmp_path)
    assert fetch(unchecked, tmp_path) == [folder / "a.gz"]
    assert read(unchecked, unchecked.files[0], tmp_path) == IDX
