"""`run.json` and `sweep.json`: how they begin, and how they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ibdrop.errors import RunError
from ibdrop.runs import provenance

__all__ = ["FORMAT", "begin", "read"]

FORMAT = 1


def begin(**fields: Any) -> dict[str, Any]:
    """The record of something that starts now, in this process: `fields` and where it runs."""
    return {
        "format": FORMAT,
        "status": "running",
        **fields,
        "started": provenance.now(),
        "ended": None,
        "versions": provenance.versions(),
        "git": provenance.git(),
        **provenance.process(),
    }


def read(path: Path) -> dict[str, Any]:
    """Reads a record.

    Raises:
        RunError: The file is damaged, is something else, or is of a newer format.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(f"{path} is damaged ({error}); it cannot be read") from error
    if not isinstance(fields, dict) or not isinstance(fields.get("format"), int):
        raise RunError(f"{path} is not a record of ibdrop: it states no format")
    if fields["format"] > FORMAT:
        raise RunError(
            f"{path.parent} was written by a newer ibdrop "
            f"(format {fields['format']}, this one reads {FORMAT}); upgrade ibdrop"
        )
    return fields
