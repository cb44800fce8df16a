"""Original files as they were published, or a clear sentence; the standard library only."""

from __future__ import annotations

import gzip
import hashlib
import math
import shlex
import zlib
from pathlib import Path

from ibdrop.data.sources import SOURCES, File, Source
from ibdrop.errors import DataError

__all__ = ["read", "unpack", "verify"]


def read(source: Source, file: File, root: Path) -> bytes:
    """Reads a file, plain or packed, and makes sure that it is the original.

    Where only the packed file has a checksum, it is read rather than the plain one beside it.

    Arguments:
        source: The source.
        file: One of its files.
        root: The data root.

    Raises:
        DataError: The file is missing, truncated, damaged or another one.
    """
    path = source.place(file, root)
    if path is None:
        raise DataError(
            f"{source.name}: no {file.name} in {(root / source.folder).absolute()};"
            f" {_fetch(source, root)}, or set dataset.root=DIR to the folder that holds"
            f" {source.folder}"
        )
    packed = path.with_name(f"{file.name}.gz")
    if not file.is_checked and packed.is_file():
        path = packed
    remedy = f"delete it and {_fetch(source, root)}"
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    if path == packed:
        content = unpack(content, file, path, remedy)
    verify(content, file, path, remedy)
    return content


def unpack(content: bytes, file: File, path: Path, remedy: str) -> bytes:
    """Unpacks a gzipped file; its own checksum counts where there is none of what it holds.

    Raises:
        DataError: The file is damaged or another one.
    """
    if not file.is_checked:
        _compare("MD5", content, file.packed_md5, path, remedy)
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is damaged ({error}); {remedy}") from error


def verify(content: bytes, file: File, path: Path, remedy: str) -> None:
    """Makes sure that a file's content is the original, as far as that can be known.

    Raises:
        DataError: Size or checksum differ; or, without a checksum, what an IDX file says of
            itself is not so.
    """
    if len(content) != file.size:
        raise DataError(
            f"{path} is damaged: it holds {len(content):,} bytes and should hold"
            f" {file.size:,}; {remedy}"
        )
    _compare("SHA-256", content, file.sha256, path, remedy)
    _compare("MD5", content, file.md5, path, remedy)
    if not file.is_checked and not _is_idx(content):
        raise DataError(f"{path} is damaged: it does not begin as an IDX file does; {remedy}")


def _compare(kind: str, content: bytes, wanted: str, path: Path, remedy: str) -> None:
    found = hashlib.new(kind.replace("-", ""), content).hexdigest() if wanted else wanted
    if found != wanted:
        raise DataError(
            f"{path} is not the original: its {kind} is {found[:12]}… and should be"
            f" {wanted[:12]}…; {remedy}"
        )


def _is_idx(content: bytes) -> bool:
    """Whether the header is one of bytes (code 8), and its sizes make up the whole."""
    header = 4 * (content[3] + 1)
    sizes = (int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4))
    return content[:3] == b"\0\0\x08" and header + math.prod(sizes) == len(content)


def _fetch(source: Source, root: Path) -> str:
    """What to type; the name is that of the data set that is this source and nothing else."""
    alone = [key for key, parts in SOURCES.items() if [it.name for it in parts] == [source.name]]
    name = min(alone, key=len, default=source.name.lower())
    return f"run `ibdrop data fetch {name} --root {shlex.quote(str(root))}`"
