"""The parts that the page of a run and that of a sweep have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ibdrop.runs.page import Section, Table
from ibdrop.runs.pictures import find_pictures, places
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
    """The pictures and tables of a run or a sweep, under their headings."""
    found: dict[str, Section] = {}
    for picture in find_pictures(folder):
        section = found.setdefault(picture.section, Section(picture.section))
        section.pictures.append(picture)
    for place in places(folder):
        for name, tables in summaries(place).items():
            section = found.setdefault(name, Section(name))
            section.tables += [_of(table, place, folder) for table in tables]
    return list(found.values())


def _of(table: Table, place: Path, folder: Path) -> Table:
    """A table whose caption says which evaluation it belongs to."""
    if place == folder / "artifacts":
        return table
    return replace(table, caption=f"{place.relative_to(folder)}: {table.caption}")
