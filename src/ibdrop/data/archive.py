"""Takes from a tar archive the files that are expected, and nothing else."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from ibdrop.data.download import Progress
from ibdrop.data.originals import verify
from ibdrop.data.sources import File
from ibdrop.errors import DataError
from ibdrop.files import write_bytes

__all__ = ["unpack_archive"]

REMEDY = "delete the archive and fetch it again"


def unpack_archive(
    archive: Path, folder: str, files: Sequence[File], root: Path, progress: Progress
) -> list[Path]:
    """Unpacks files from a gzipped tar archive; other members are passed over.

    Where a file goes is never read from the archive. Each is held in memory, checked, and then
    written whole or not at all.

    Arguments:
        archive: The archive.
        folder: The folder of the files, in the archive and inside `root`.
        files: The files to take, whose sizes bound what is read.
        root: The data root.
        progress: Told how much of the archive is read.

    Returns:
        The files that were written, in the order of the archive.

    Raises:
        DataError: The archive is damaged, lacks a file or holds another one, or the folder cannot
            be written.
    """
    wanted = {f"{folder}/{file.name}": file for file in files}
    written = []
    try:
        with archive.open("rb") as raw, tarfile.open(fileobj=raw, mode="r|gz") as members:
            for member in members:
                if (file := wanted.pop(member.name, None)) is not None:
                    content = _content(members, member, file, archive)
                    written.append(_write(root / folder / file.name, content))
                progress(raw.tell(), archive.stat().st_size)
                if not wanted:
                    break
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{archive} is damaged ({error}); {REMEDY}") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be read: {error.strerror or error}") from error
    if wanted:
        missing = ", ".join(sorted(wanted))
        raise DataError(f"{archive} lacks {missing}; {REMEDY}")
    return written


def _content(
    members: tarfile.TarFile, member: tarfile.TarInfo, file: File, archive: Path
) -> bytes:
    place = archive / member.name
    opened = members.extractfile(member) if member.isreg() else None
    if opened is None:
        raise DataError(f"{place} is no plain file; {REMEDY}")
    if member.size != file.size:
        raise DataError(
            f"{place} is another file: it holds {member.size:,} bytes and should hold"
            f" {file.size:,}; {REMEDY}"
        )
    content = opened.read()
    verify(content, file, place, REMEDY)
    return content


def _write(path: Path, content: bytes) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_bytes(path, content)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror}") from error
