"""Checkpoints: safe, whole, and clear about what is wrong with them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from ibdrop.errors import RunError
from ibdrop.learning.checkpoint import load_checkpoint, save_checkpoint


def test_round_trip(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "a.ckpt", {"model": {"w": torch.ones(2)}, "epoch": 3})
    content = load_checkpoint(path)
    assert content["epoch"] == 3
    assert torch.equal(content["model"]["w"], torch.ones(2))
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("keep", [0, 10, 200, -50])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    path = save_checkpoint(tmp_path / "a.ckpt", {"w": torch.ones(100)})
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"a\.ckpt: the checkpoint is damaged and cannot be read"):
        load_checkpoint(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"a\.ckpt: the checkpoint is missing"):
        load_checkpoint(tmp_path / "a.ckpt")


def test_code_is_never_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, (f"touch {tmp_path}/owned",))

    torch.save({"format": 1, "model": Evil()}, tmp_path / "a.ckpt")
    with pytest.raises(RunError, match="damaged"):
        load_checkpoint(tmp_path / "a.ckpt")
    assert not (tmp_path / "owned").exists()


def test_a_newer_format(tmp_path: Path) -> None:
    torch.save({"format": 99}, tmp_path / "a.ckpt")
    with pytest.raises(RunError, match="was written by a newer ibdrop \\(format 99"):
        load_checkpoint(tmp_path / "a.ckpt")
