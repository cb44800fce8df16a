"""Tables of how sure networks are, for the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ibdrop.cli.study import Study
from ibdrop.cli.tables import console, new_table, numbers
from ibdrop.runs.compare import MISSING

__all__ = ["show_study"]

MEMBER_FIGURES = (
    "error",
    "nll",
    "brier",
    "ece",
    "aurc",
    "mean_entropy",
    "mean_mutual_information",
    "auroc_of_error_by_entropy",
)
OUTLIER_FIGURES = ("auroc", "aupr_out", "aupr_in", "fpr95")


def show_study(study: Study) -> None:
    """Prints what a study of uncertainty found, and names its files."""
    out = console()
    found = study.findings
    if study.table:
        _show_members(study.table)
    else:
        _show_predictions(found.rows)
    if found.corrupted:
        out.print()
        _show_corruptions(found.corrupted)
    if study.outliers:
        out.print()
        _show_outliers(study.outliers)
    for words in (
        *(f"note   {note}" for note in study.notes),
        *(f"wrote  {f}" for f in study.files),
    ):
        out.print(Text(words), soft_wrap=True)


def _show_predictions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints figures of merit, a column for each prediction, with standard errors."""
    table = new_table("")
    for row in rows:
        passes = f" (T = {row['passes']})" if row["prediction"] != "deterministic" else ""
        table.add_column(Text(f"{row['prediction']}{passes}"), no_wrap=True)
    names = dict.fromkeys(name for row in rows for name in row)
    for name in names:
        if name not in ("prediction", "passes") and not name.endswith("_se"):
            table.add_row(Text(name), *_alike(rows, name))
    console().print(table)


def _show_members(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the members of an ensemble, their mean with its standard deviation, and the whole."""
    table = new_table("", "prediction")
    for name in MEMBER_FIGURES:
        table.add_column(Text(name.removeprefix("mean_")), justify="right", no_wrap=True)
    for row in rows:
        whole = row["of"] == "ensemble"
        name = row["run"] or f"{row['of']} ({row['members']})"
        values = (_with_error(row, figure, "_sd") for figure in MEMBER_FIGURES)
        table.add_row(Text(name), str(row["prediction"]), *values, style="bold" if whole else None)
        if whole:
            table.add_section()
    console().print(table)


def _show_corruptions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the error in percent of each corruption, a column for each severity."""
    severities = sorted({row["severity"] for row in rows if row["severity"]})
    table = new_table("error [%] at severity", "prediction")
    for severity in severities:
        table.add_column(str(severity), justify="right", no_wrap=True)
    errors = {(r["corruption"], r["prediction"], r["severity"]): r for r in rows}
    for name, kind in dict.fromkeys((r["corruption"], r["prediction"]) for r in rows):
        found = [errors.get((name, kind, 0 if name == "clean" else s)) for s in severities]
        if name == "clean":
            found = found[:1]
        table.add_row(Text(name), kind, *(_percent(row) for row in found))
    if len({row["corruption"] for row in rows}) > 2:
        table.add_section()
        for kind in dict.fromkeys(row["prediction"] for row in rows):
            means = (_mean_error(rows, kind, severity) for severity in severities)
            table.add_row("mean of all", kind, *means, style="bold")
    console().print(table)


def _show_outliers(rows: Sequence[Mapping[str, str]]) -> None:
    """Prints how well each score tells each set of outliers from the test images."""
    figures = [name for name in rows[0] if name in OUTLIER_FIGURES]
    words = [name for name in rows[0] if name in ("set", "outliers", "prediction", "score")]
    table = new_table(*words)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        values = [_with_error(numbers(row), name, "_se") for name in figures]
        table.add_row(*(Text(row[name]) for name in words), *values)
    console().print(table)


def _alike(rows: Sequence[Mapping[str, Any]], name: str) -> list[str]:
    """A figure of each row, all with the digits that the standard errors allow."""
    digits = max(_digits(row.get(f"{name}_se")) for row in rows)
    return [_with_error(row, name, "_se", digits) for row in rows]


def _with_error(row: Mapping[str, Any], name: str, ending: str, digits: int | None = None) -> str:
    """A value and how sure it is, such as `0.0652 ± 0.0003`."""
    value, error = row.get(name), row.get(f"{name}{ending}")
    if not isinstance(value, float) or math.isnan(value):
        return MISSING if not isinstance(value, int) else f"{value:,}"
    places = _digits(error) if digits is None else digits
    shown = f"{value:.{places}f}"
    unsure = isinstance(error, float) and not math.isnan(error)
    return f"{shown} ± {error:.{places}f}" if unsure else shown


def _digits(error: object) -> int:
    """Decimal places that show two digits of an error, at least four and at most six."""
    if not isinstance(error, float) or not error > 0:
        return 4
    return min(6, max(4, 1 - math.floor(math.log10(error))))


def _percent(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return MISSING
    shown = {"error": 100 * row["error"]}
    if "error_se" in row:
        shown["error_se"] = 100 * row["error_se"]
    value, error = shown["error"], shown.get("error_se", math.nan)
    return f"{value:.2f}" + (f" ± {error:.2f}" if not math.isnan(error) else "")


def _mean_error(rows: Sequence[Mapping[str, Any]], kind: str, severity: int) -> str:
    errors = [
        row["error"] for row in rows if (row["prediction"], row["severity"]) == (kind, severity)
    ]
    return f"{100 * math.fsum(errors) / len(errors):.2f}"
