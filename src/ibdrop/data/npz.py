"""NPZ archives, read without running anything that is in them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from ibdrop.data.naming import shown
from ibdrop.errors import DataError

__all__ = ["Archive", "Array"]

LOCAL_HEADER = 30
"""Bytes before the name of a member inside a ZIP file; its lengths stand at 26 and 28."""

LONGEST = 200
"""Letters of what a decoder says of damage."""


class Array(NamedTuple):
    """What an archive says of one of its arrays.

    Attributes:
        name: Its name, without `.npy`.
        shape: Its shape.
        dtype: Its type.
        fortran: Whether its first axis is the fastest.
        header: The bytes before the values.
        stored: Whether it lies in the archive as it is, not compressed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    header: int
    stored: bool

    @property
    def size(self) -> int:
        """The size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


class Archive:
    """An NPZ file; arrays are listed at once and read when they are asked for.

    Pickled objects are never loaded: an array of them is refused by its type alone.

    Arguments:
        path: The file.

    Raises:
        DataError: There is no such file, or it is no sound NPZ archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = shown(path)
        if path.exists() and not path.is_file():
            raise DataError(f"{self.name} is no file; dataset.file=FILE.npz names your archive")
        try:
            self.zip = zipfile.ZipFile(path)
        except FileNotFoundError as error:
            raise DataError(
                f"no file {self.name}; dataset.file=FILE.npz names your archive"
            ) from error
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror}") from error
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise DataError(
                f"{self.name} is no NPZ archive, or is cut off ({error}); write it with"
                " numpy.savez(FILE, images=..., labels=...)"
            ) from error
        self.arrays = {array.name: array for array in map(self._look, self._members())}

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.zip.close()

    def read(self, name: str) -> np.ndarray[Any, Any]:
        """Reads an array whole; the checksum of the archive is made sure of.

        Arguments:
            name: One of `arrays`.

        Raises:
            DataError: It holds pickled objects, or is damaged.
        """
        array = self._plain(name)
        with self._damage(name), self.zip.open(f"{name}.npy") as member:
            try:
                found = npy.read_array(member, allow_pickle=False)
            except MemoryError as error:
                size = f"{array.size / 2**30:,.1f} GiB"
                raise DataError(f"{name} in {self.name} needs {size} of memory") from error
            member.read(1)  # The checksum is looked at when the end is reached.
        assert found.shape == array.shape
        values: np.ndarray[Any, Any] = found
        return values

    def mapped(self, name: str) -> np.ndarray[Any, Any]:
        """Gives an array whose values stay in the file until they are looked at.

        Arguments:
            name: One of `arrays`, stored and not compressed.

        Raises:
            DataError: It holds pickled objects, or is damaged.
        """
        array = self._plain(name)
        info = self.zip.getinfo(f"{name}.npy")
        order: Any = "F" if array.fortran else "C"
        with self._damage(name), self.path.open("rb") as file:
            # What `_look` has read was found in the same way, and was sound.
            file.seek(info.header_offset)
            local = file.read(LOCAL_HEADER)
            lengths = (int.from_bytes(local[at : at + 2], "little") for at in (26, 28))
            offset = info.header_offset + LOCAL_HEADER + sum(lengths) + array.header
            return np.memmap(file, array.dtype, "r", offset, array.shape, order)

    def _members(self) -> list[str]:
        return [name for name in self.zip.namelist() if name.endswith(".npy")]

    def _look(self, member: str) -> Array:
        name, info = member.removesuffix(".npy"), self.zip.getinfo(member)
        with self._damage(name), self.zip.open(member) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
            header = file.tell()
        stored = info.compress_type == zipfile.ZIP_STORED
        array = Array(name, shape, dtype, fortran, header, stored)
        if not dtype.hasobject and info.file_size != header + array.size:
            raise self._damaged(
                name,
                f"it says that it holds {array.size:,} bytes of values and holds"
                f" {max(0, info.file_size - header):,}",
            )
        return array

    def _plain(self, name: str) -> Array:
        array = self.arrays[name]
        if array.dtype.hasobject:
            raise DataError(
                f"{name} in {self.name} holds pickled Python objects, which are never loaded,"
                " since they could run anything; save a plain array of numbers"
                + (", or of text for the names (dtype=str)" if name == "classes" else "")
            )
        return array

    @contextmanager
    def _damage(self, name: str) -> Iterator[None]:
        try:
            yield
        except DataError:
            raise
        except Exception as error:  # A header is Python text, whose parsing fails in many ways.
            raise self._damaged(name, str(error) or type(error).__name__) from error

    def _damaged(self, name: str, reason: str) -> DataError:
        words = "".join(letter if letter.isprintable() else " " for letter in reason[:LONGEST])
        return DataError(f"{name} in {self.name} is damaged ({words}); write the archive again")
