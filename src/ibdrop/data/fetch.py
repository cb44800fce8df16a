"""From a mirror to the unpacked files of a source."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from pathlib import Path

from ibdrop.data.download import Progress, download
from ibdrop.data.originals import read, verify
from ibdrop.data.sources import File, Source
from ibdrop.errors import DataError
from ibdrop.files import write_bytes

__all__ = ["fetch"]


def fetch(
    source: Source,
    root: Path,
    *,
    watch: Callable[[File], Progress] = lambda file: lambda done, total: None,
    timeout: float = 20.0,
    pause: float = 1.0,
) -> list[Path]:
    """Downloads whatever is missing or damaged; files that are whole stay as they are.

    Arguments:
        source: What to fetch.
        root: The data root; the files go to `source.folder` inside it.
        watch: Gives the progress callback of each file.
        timeout: The longest silence of a server in seconds.
        pause: The time in seconds before a second attempt.

    Returns:
        The files that were fetched.

    Raises:
        DataError: No mirror gives a file, or the folder cannot be written.
    """
    fetched = []
    for file in source.files:
        if _is_whole(source, file, root):
            continue
        packed = download(
            [f"{mirror}{file.name}.gz" for mirror in source.mirrors],
            root / source.folder / f"{file.name}.gz",
            md5=file.packed_md5,
            progress=watch(file),
            timeout=timeout,
            pause=pause,
        )
        fetched.append(_unpack(file, packed))
    return fetched


def _is_whole(source: Source, file: File, root: Path) -> bool:
    try:
        read(source, file, root)
    except DataError:
        return False
    return True


def _unpack(file: File, packed: Path) -> Path:
    try:
        content = gzip.decompress(packed.read_bytes())
        verify(content, file, packed, "delete it and fetch it again")
        written = write_bytes(packed.with_suffix(""), content)
        packed.unlink()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{packed} cannot be unpacked: {error}") from error
    except OSError as error:
        raise DataError(f"cannot write {packed.with_suffix('')}: {error.strerror}") from error
    return written
