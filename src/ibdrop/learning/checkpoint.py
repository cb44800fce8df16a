"""Checkpoints of tensors and plain values, written whole or not at all."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from ibdrop.errors import RunError
from ibdrop.files import write_bytes

__all__ = ["FORMAT", "load_checkpoint", "save_checkpoint"]

FORMAT = 1


def save_checkpoint(path: Path, content: dict[str, Any]) -> Path:
    """Writes tensors and plain values under `path`."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    return write_bytes(path, buffer.getvalue())


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Reads a checkpoint with the safe loader.

    Raises:
        RunError: The file is missing, damaged, holds more than tensors and plain values, or was
            written by a newer version.
    """
    if not path.is_file():
        raise RunError(f"{path}: the checkpoint is missing; train the run again")
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        found = content["format"]
    except (RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError, OSError) as error:
        raise RunError(
            f"{path}: the checkpoint is damaged and cannot be read "
            f"({type(error).__name__}); train the run again"
        ) from error
    if found > FORMAT:
        raise RunError(
            f"{path}: the checkpoint was written by a newer ibdrop (format {found}, this one "
            f"reads {FORMAT}); upgrade ibdrop"
        )
    return dict(content)
