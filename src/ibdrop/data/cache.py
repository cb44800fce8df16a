"""Tensors that take long to compute and are kept on disk, to be trusted only if whole."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ibdrop.files import write_bytes

__all__ = ["folder", "keep", "load"]

log = logging.getLogger(__name__)


def folder() -> Path | None:
    """The folder for what can be computed again.

    `$IBDROP_CACHE`, else `ibdrop` in `$XDG_CACHE_HOME`, else `~/.cache/ibdrop`; `None` where
    nobody has a home.
    """
    try:
        if named := os.environ.get("IBDROP_CACHE"):
            return Path(named).expanduser().absolute()
        shared = Path(os.environ.get("XDG_CACHE_HOME", ""))
        return (shared if shared.is_absolute() else Path.home() / ".cache") / "ibdrop"
    except RuntimeError:
        return None


def load(name: str, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor] | None:
    """Reads what `keep` wrote; a damaged file counts as none, with a warning.

    Arguments:
        name: The name of the file.
        shapes: The tensors that must be in it.

    Returns:
        float32 by name, or `None`.
    """
    place = folder()
    if place is None or not (place / name).is_file():
        return None
    try:
        with np.load(place / name, allow_pickle=False) as file:
            return {key: _checked(file[key], shape) for key, shape in shapes.items()}
    except Exception as error:  # noqa: BLE001  # Whatever is wrong, it can be made again.
        log.warning("%s is damaged (%s) and will be made again", place / name, error)
        return None


def _checked(values: np.ndarray, shape: tuple[int, ...]) -> Tensor:
    if values.dtype != np.float32 or values.shape != shape:
        raise ValueError(f"{values.dtype} {list(values.shape)} is not float32 {list(shape)}")
    if not np.isfinite(values).all():
        raise ValueError("not all values are finite")
    return torch.from_numpy(values)


def keep(name: str, tensors: Mapping[str, Tensor]) -> None:
    """Writes tensors, whole or not at all; where that cannot be done, a warning says so.

    Arguments:
        name: The name of the file, ending in `.npz`.
        tensors: float32 by name.
    """
    place = folder()
    try:
        if place is None:
            raise OSError("there is no home folder")
        content = io.BytesIO()
        arrays: dict[str, Any] = {key: value.numpy() for key, value in tensors.items()}
        np.savez(content, **arrays)
        place.mkdir(parents=True, exist_ok=True)
        write_bytes(place / name, content.getvalue())
    except OSError as error:
        log.warning(
            "cannot keep %s for the next run: %s; IBDROP_CACHE=DIR names another folder",
            name,
            error.strerror or error,
        )
