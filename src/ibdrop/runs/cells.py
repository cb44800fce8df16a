"""What the tables of a report share: rows read from files, and numbers as text."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ibdrop.files import read_csv
from ibdrop.runs.page import figure

__all__ = ["MISSING", "Row", "known", "number", "rows", "text", "with_error"]

Row = Mapping[str, str]

MISSING = "–"


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV; none where it is missing or damaged."""
    try:
        return read_csv(path)
    except (OSError, ValueError, csv.Error):
        return []


def known(found: Sequence[Row], names: Mapping[str, object]) -> list[str]:
    """The columns that hold a number in some row."""
    return [name for name in names if any(number(row, name) is not None for row in found)]


def number(row: Row, name: str) -> float | None:
    """A cell as a number; `None` where it holds none."""
    try:
        value = float(row.get(name) or "nan")
    except ValueError:
        return None
    return None if math.isnan(value) else value


def text(value: float | None, form: str) -> str:
    """A number as a reader wants it, or a dash."""
    return MISSING if value is None else figure(form, value)


def with_error(row: Row, name: str, form: str, ending: str = "_se") -> str:
    """A figure with its standard error, such as `1.77 ± 0.03 %`.

    Arguments:
        row: Of a CSV.
        name: The column of the figure.
        form: How to write both.
        ending: What the name of the column of the error ends with.
    """
    value, error = number(row, name), number(row, f"{name}{ending}")
    shown = text(value, form)
    if value is None or error is None:
        return shown
    spread = figure(form, error)
    percent = "\N{NO-BREAK SPACE}%"
    unit = percent if shown.endswith(percent) else ""
    return f"{shown.removesuffix(percent)} ± {spread.removesuffix(percent)}{unit}"
