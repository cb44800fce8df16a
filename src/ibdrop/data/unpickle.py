"""Reads CIFAR's pickles without letting them do anything.

A pickle is a program. Those of CIFAR need three names, all of numpy and all to put an array
together; here each of them stands for something that only takes notes. Any other name is refused.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

__all__ = ["Refused", "read_pickle"]


class Refused(Exception):
    """A pickle holds something else than plain values and arrays of bytes."""


class _Kind:
    """Stands for `numpy.dtype`; only bytes without sign are understood."""

    def __init__(self, code: object = None, *_: object) -> None:
        if code not in (b"u1", "u1"):
            raise Refused(f"it holds an array of {code!r}, not of bytes")

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: bytes have none."""


class _Array:
    """Stands for `numpy.ndarray`."""

    values: Tensor | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, by_column, content = state
        if by_column or not isinstance(kind, _Kind) or not isinstance(content, bytes):
            raise Refused("it holds an array in an unknown order")
        self.values = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(shape)


def _reconstruct(*_: object) -> _Array:
    """Stands for numpy's function of this name, which gives an empty array to be filled."""
    return _Array()


KNOWN: Mapping[tuple[str, str], Callable[..., object]] = {
    ("numpy", "dtype"): _Kind,
    ("numpy", "ndarray"): _Array,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise Refused(f"it asks for {module}.{name}")
        return KNOWN[module, name]

    def persistent_load(self, pid: object) -> Any:
        raise Refused("it refers to something outside")


def read_pickle(content: bytes) -> dict[bytes, object]:
    """Reads a dictionary with names as bytes, as Python 2 wrote it; arrays become tensors.

    Raises:
        Refused: The pickle is damaged, or holds what is not understood.
    """
    try:
        found = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Refused:
        raise
    except Exception as error:  # a damaged pickle can fail in any way
        raise Refused(f"it cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise Refused(f"it holds a {type(found).__name__}, not a dictionary")
    return {
        key: value.values if isinstance(value, _Array) else value for key, value in found.items()
    }
