"""Files that are either whole or not there."""

from __future__ import annotations

import csv
import io
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["read_csv", "write_bytes", "write_csv", "write_json", "write_text"]


def write_bytes(path: Path, content: bytes) -> Path:
    """Writes to a temporary name beside `path`, then renames: readers never see half a file.

    Raises:
        OSError: The disk is full or the folder cannot be written; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        error.filename = str(path)
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def write_text(path: Path, content: str) -> Path:
    """Writes UTF-8 text, whole or not at all."""
    return write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> Path:
    """Writes indented JSON, whole or not at all; NaN becomes null, as JSON has none."""
    return write_text(path, json.dumps(_without_nan(value), indent=2, ensure_ascii=False) + "\n")


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows of named values; the columns are the keys in order of first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return write_text(path, text.getvalue())


def read_csv(path: Path) -> list[dict[str, str]]:
    """Reads what `write_csv` wrote; every value is text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
