from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ibdrop.data import cache

SHAPES = {"a": (3,), "b": (2, 3)}
TENSORS = {"a": torch.arange(3.0), "b": torch.arange(6.0).view(2, 3)}
NAME = "some.npz"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IBDROP_CACHE", str(tmp_path / "kept" / "here"))
    return tmp_path / "kept" / "here"


def test_the_folder_is_the_named_one(place: Path) -> None:
    assert cache.folder() == place


def test_the_folder_else_is_that_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("IBDROP_CACHE", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache.folder() == Path("/elsewhere/ibdrop")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert cache.folder() == tmp_path / ".cache" / "ibdrop"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == tmp_path / ".cache" / "ibdrop"
    monkeypatch.setenv("IBDROP_CACHE", "~/mine")
    assert cache.folder() == tmp_path / "mine"


def test_what_was_kept_is_found(place: Path) -> None:
    assert cache.load(NAME, SHAPES) is None
    cache.keep(NAME, TENSORS)
    found = cache.load(NAME, SHAPES)
    assert found is not None
    assert set(found) == {"a", "b"}
    assert all(torch.equal(found[name], TENSORS[name]) for name in found)
    assert [file.name for file in place.iterdir()] == [NAME]


def archive(**arrays: object) -> bytes:
    content = io.BytesIO()
    np.savez(content, **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def flipped() -> bytes:
    """One byte of the values is another."""
    content = bytearray(archive(a=np.arange(3, dtype="f4"), b=np.full((2, 3), 7, dtype="f4")))
    content[content.index(np.full(6, 7, dtype="f4").tobytes()) + 2] ^= 1
    return bytes(content)


def bare() -> bytes:
    """An array without an archive."""
    content = io.BytesIO()
    np.save(content, np.zeros(3, dtype="f4"))
    return content.getvalue()


A, B = np.zeros(3, dtype="f4"), np.zeros((2, 3), dtype="f4")
BAD = {
    "empty": b"",
    "no archive": b"something else altogether",
    "cut": archive(a=A, b=B)[:-30],
    "flipped": flipped(),
    "bare": bare(),
    "missing": archive(a=A),
    "shape": archive(a=A, b=B.T),
    "type": archive(a=A, b=B.astype("f8")),
    "nan": archive(a=A, b=B + np.nan),
    "object": archive(a=A, b=np.array([[None] * 3] * 2, dtype=object)),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_damage_is_noticed_and_mended(
    place: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    place.mkdir(parents=True)
    (place / NAME).write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert cache.load(NAME, SHAPES) is None
    (record,) = caplog.records
    assert record.getMessage().startswith(f"{place / NAME} is damaged (")
    assert record.getMessage().endswith(") and will be made again")
    cache.keep(NAME, TENSORS)
    assert cache.load(NAME, SHAPES) is not None


def test_what_is_kept_holds_plain_numbers(place: Path) -> None:
    cache.keep(NAME, TENSORS)
    with zipfile.ZipFile(place / NAME) as file:
        assert sorted(file.namelist()) == ["a.npy", "b.npy"]


@pytest.mark.parametrize("named", ["file", "file/below"])
def test_a_folder_that_cannot_be_written_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, named: str
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("IBDROP_CACHE", str(tmp_path / named))
    with caplog.at_level(logging.WARNING):
        assert cache.load(NAME, SHAPES) is None
        cache.keep(NAME, TENSORS)
    (record,) = caplog.records
    assert record.getMessage().startswith("cannot keep some.npz for the next run: ")
    assert record.getMessage().endswith("; IBDROP_CACHE=DIR names another folder")


def test_without_a_home_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("IBDROP_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert cache.folder() is None
    assert cache.load(NAME, SHAPES) is None
    with caplog.at_level(logging.WARNING):
        cache.keep(NAME, TENSORS)
    assert len(caplog.records) == 1
    assert "there is no home folder" in caplog.text
