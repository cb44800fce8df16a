"""From a mirror to the unpacked files of a source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ibdrop.data.archive import unpack_archive
from ibdrop.data.download import Progress, download, md5_of
from ibdrop.data.originals import read, unpack, verify
from ibdrop.data.sources import Archive, File, Source
from ibdrop.errors import DataError
from ibdrop.files import write_bytes

__all__ = ["Watch", "fetch"]

Watch = Callable[[str], Progress]
"""Gives the progress callback for one thing that is downloaded or unpacked."""


def fetch(
    source: Source,
    root: Path,
    *,
    watch: Watch = lambda what: lambda done, total: None,
    timeout: float = 20.0,
    pause: float = 1.0,
) -> list[Path]:
    """Downloads whatever is missing or damaged; files that are whole stay as they are.

    A packed file is unpacked and removed, but one whose content has no checksum of its own stays
    packed, for then it can be checked for ever. An archive that was there already stays there.

    Arguments:
        source: What to fetch.
        root: The data root; the files go to `source.folder` inside it.
        watch: Gives the progress callback for each thing that is downloaded or unpacked.
        timeout: The longest silence of a server in seconds.
        pause: The time in seconds before a second attempt.

    Returns:
        The files that were fetched.

    Raises:
        DataError: No mirror gives a file, it is not what it should be, or the folder cannot be
            written.
    """
    lacking = [file for file in source.files if not _is_whole(source, file, root)]

    def get(name: str, folder: Path, md5: str, size: int | None = None) -> Path:
        addresses = [f"{mirror}{name}" for mirror in source.mirrors]
        path, progress = folder / name, watch(name)
        return download(
            addresses, path, md5=md5, size=size, progress=progress, timeout=timeout, pause=pause
        )

    if source.archive and lacking:
        return _from_archive(source.archive, source.folder, lacking, root, get, watch)
    folder = root / source.folder
    return [_unpack(file, get(f"{file.name}.gz", folder, file.packed_md5)) for file in lacking]


def _is_whole(source: Source, file: File, root: Path) -> bool:
    try:
        read(source, file, root)
    except DataError:
        return False
    return True


def _from_archive(
    archive: Archive,
    folder: str,
    files: list[File],
    root: Path,
    get: Callable[[str, Path, str, int], Path],
    watch: Watch,
) -> list[Path]:
    path = root / archive.name
    was_there = path.is_file() and md5_of(path) == archive.md5
    if not was_there:
        get(archive.name, root, archive.md5, archive.size)
    unpacked = unpack_archive(path, folder, files, root, watch(f"unpacking {archive.name}"))
    if not was_there:
        path.unlink()
    return unpacked


def _unpack(file: File, packed: Path) -> Path:
    remedy = "delete it and fetch it again"
    path = packed.with_suffix("")
    try:
        content = unpack(packed.read_bytes(), file, packed, remedy)
        verify(content, file, packed, remedy)
        if not file.is_checked:
            path.unlink(missing_ok=True)
            return packed
        write_bytes(path, content)
        packed.unlink()
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
    return path
