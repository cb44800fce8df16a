"""The parts that the page of a run and that of a sweep have in common."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ibdrop.runs.page import Section, Table
from ibdrop.runs.pictures import find_pictures
from ibdrop.runs.summaries import summaries

__all__ = ["environment", "sections"]


def environment(fields: Mapping[str, Any]) -> Table:
    """Device, versions and commit of a record."""
    commit = fields.get("git")
    rows = [["device", str(fields["device"])]] if fields.get("device") else []
    rows += [[name, str(text)] for name, text in (fields.get("versions") or {}).items()]
    if commit:
        dirty = " with uncommitted changes" if commit.get("dirty") else ""
        rows.append(["git commit of the working directory", f"{commit.get('commit')}{dirty}"])
    return Table(("Environment", ""), rows, text=(0, 1))


def sections(folder: Path) -> list[Section]:
    """The pictures below a folder, under their headings."""
    found: dict[str, Section] = {}
    for picture in find_pictures(folder):
        section = found.setdefault(picture.section, Section(picture.section))
        section.pictures.append(picture)
    for name, table in summaries(folder / "artifacts").items():
        found.setdefault(name, Section(name)).tables.append(table)
    return list(found.values())
