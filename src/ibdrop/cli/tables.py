"""Tables for the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibdrop.runs.compare import MISSING, Comparison, Line

if TYPE_CHECKING:
    from ibdrop.cli.study import Study

__all__ = [
    "console",
    "show_comparison",
    "show_corruptions",
    "show_figures",
    "show_members",
    "show_outliers",
    "show_predictions",
    "show_ranking",
    "show_runs",
    "show_study",
]

PIPED = 200
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
RANKING_FIGURES = {
    "error": ("error [%]", 100, 2),
    "nll": ("NLL [nats]", 1, 4),
    "ece": ("ECE [%]", 100, 2),
    "mean_entropy": ("mean H [nats]", 1, 4),
    "auroc_of_error_by_entropy": ("AUROC of error", 1, 4),
    "error_of_most_uncertain": ("error of the {:.0f} least sure [%]", 100, 1),
}
OUTLIER_FIGURES = ("auroc", "aupr_out", "aupr_in", "fpr95")
STATES = {
    "finished": "green",
    "running": "blue",
    "failed": "red",
    "killed": "red",
    "interrupted": "yellow",
}


def console() -> Console:
    """The terminal, or a wide page where the output is piped."""
    return Console(width=None if sys.stdout.isatty() else PIPED, highlight=False)


def show_runs(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the runs there are, one line each."""
    table = _table("when", "name", "status")
    for name in ("beta", "test error", "KL [nats]"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("folder", overflow="fold")
    for row in rows:
        status = str(row["status"])
        table.add_row(
            str(row["when"]),
            Text(str(row["name"])),
            Text(status, STATES.get(status, "")),
            _number(row["beta"], "{:g}"),
            _number(row["test_error"], "{:.2%}"),
            _number(row["kl_total"], "{:,.4g}"),
            Text(str(row["folder"])),
        )
    console().print(table)


def show_comparison(names: Sequence[str], folders: Sequence[str], found: Comparison) -> None:
    """Prints runs side by side, the better figures in bold green."""
    out = console()
    for name, folder in zip(names, folders, strict=True):
        out.print(Text(f"{name}  {folder}"), soft_wrap=True)
    table = _table("", *(f"[bold]{name}" for name in names))
    parts = (found.changed, found.results, found.facts)
    for title, lines in zip(("config", "result", "run"), parts, strict=True):
        if lines:
            table.add_section()
            table.add_row(Text(title, "bold"))
        for line in lines:
            table.add_row(Text(line.name), *_values(line))
    out.print(table)
    if not found.changed:
        out.print("The configs are the same.")


def show_figures(stored: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Prints the figures of `run.json` beside new ones; what differs is marked."""
    table = _table("")
    table.add_column("at the end of training", justify="right", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("")
    for name in dict.fromkeys((*stored, *now)):
        old, new = _exact(stored.get(name)), _exact(now.get(name))
        differs = name in stored and old != new
        table.add_row(Text(name), old, new, "differs" if differs else "")
    console().print(table)


def show_study(study: Study) -> None:
    """Prints what a study of uncertainty found, and names its files."""
    out = console()
    found = study.findings
    if study.table:
        show_members(study.table)
    else:
        show_predictions(found.rows)
    if found.corrupted:
        out.print()
        show_corruptions(found.corrupted)
    if study.outliers:
        out.print()
        show_outliers(study.outliers)
    for words in (
        *(f"note   {note}" for note in study.notes),
        *(f"wrote  {f}" for f in study.files),
    ):
        out.print(Text(words), soft_wrap=True)


def show_predictions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints figures of merit, a column for each prediction, with standard errors."""
    table = _table("")
    for row in rows:
        passes = f" (T = {row['passes']})" if row["prediction"] != "deterministic" else ""
        table.add_column(Text(f"{row['prediction']}{passes}"), no_wrap=True)
    names = dict.fromkeys(name for row in rows for name in row)
    for name in names:
        if name not in ("prediction", "passes") and not name.endswith("_se"):
            table.add_row(Text(name), *(_with_error(row, name, "_se") for row in rows))
    console().print(table)


def show_ranking(summary: Sequence[Mapping[str, str]]) -> None:
    """Prints what a ranking found: a line for each prediction, then how stable the order is."""
    rows = [_numbers(row) for row in summary]
    table = _table("prediction")
    for name, _, _ in RANKING_FIGURES.values():
        head = name.format(rows[0]["most_uncertain"])
        table.add_column(Text(head), justify="right", no_wrap=True)
    for words, row in zip(summary, rows, strict=True):
        sampled = words["prediction"] != "deterministic"
        passes = f" (T = {row['passes']:.0f})" if sampled else ""
        cells = [_scaled(row, name, *how) for name, (_, *how) in RANKING_FIGURES.items()]
        table.add_row(Text(words["prediction"] + passes), *cells)
    out = console()
    out.print(table)
    for sentence in _of_ranking(summary[-1], rows[-1]):
        out.print(Text(sentence), soft_wrap=True)


def _of_ranking(words: Mapping[str, str], row: Mapping[str, float]) -> list[str]:
    """How much the entropy finds, how far two half-runs agree, and where the sampler fell back."""
    found = []
    times, stable = row.get("times_overall_error"), row.get("stability_top_30")
    if times is not None and not math.isnan(times):
        count = f"{row['most_uncertain']:.0f}"
        found.append(f"the {count} least sure images are wrong {times:.1f} times as often as all")
    if stable is not None:
        found.append(f"two half-runs share {30 * stable:.0f} of the 30 least sure images")
    return [*found, f"note   {words['note']}"] if words.get("note") else found


def _scaled(row: Mapping[str, float], name: str, scale: float, digits: int) -> str:
    value, error = row.get(name, math.nan), row.get(f"{name}_se", math.nan)
    if math.isnan(value):
        return MISSING
    spread = "" if math.isnan(error) else f" ± {scale * error:.{digits}f}"
    return f"{scale * value:.{digits}f}{spread}"


def show_members(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the members of an ensemble, their mean with its standard deviation, and the whole."""
    table = _table("", "prediction")
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


def show_corruptions(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints the error in percent of each corruption, a column for each severity."""
    severities = sorted({row["severity"] for row in rows if row["severity"]})
    table = _table("error [%] at severity", "prediction")
    for severity in severities:
        table.add_column(str(severity), justify="right", no_wrap=True)
    errors = {(r["corruption"], r["prediction"], r["severity"]): r for r in rows}
    for name, kind in dict.fromkeys((r["corruption"], r["prediction"]) for r in rows):
        found = [errors.get((name, kind, 0 if name == "clean" else s)) for s in severities]
        if name == "clean":
            found = found[:1]
        table.add_row(Text(name), kind, *(_percent(row) for row in found))
    console().print(table)


def show_outliers(rows: Sequence[Mapping[str, str]]) -> None:
    """Prints how well each score tells each set of outliers from the test images."""
    figures = [name for name in rows[0] if name in OUTLIER_FIGURES]
    words = [name for name in rows[0] if name in ("set", "outliers", "prediction", "score")]
    table = _table(*words)
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        values = [_with_error(_numbers(row), name, "_se") for name in figures]
        table.add_row(*(Text(row[name]) for name in words), *values)
    console().print(table)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _values(line: Line) -> list[Text]:
    return [
        Text(value, "bold green" if place in line.best else "")
        for place, value in enumerate(line.values)
    ]


def _number(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else MISSING


def _with_error(row: Mapping[str, Any], name: str, ending: str) -> str:
    """A value and how sure it is, such as `0.0652 ± 0.0003`, the error with two digits."""
    value, error = row.get(name), row.get(f"{name}{ending}")
    if not isinstance(value, float) or math.isnan(value):
        return MISSING if not isinstance(value, int) else f"{value:,}"
    if not isinstance(error, float) or math.isnan(error):
        return f"{value:.4f}"
    digits = 4 if error <= 0 else min(6, max(4, 1 - math.floor(math.log10(error))))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def _percent(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return MISSING
    shown = {"error": 100 * row["error"]}
    if "error_se" in row:
        shown["error_se"] = 100 * row["error_se"]
    value, error = shown["error"], shown.get("error_se", math.nan)
    return f"{value:.2f}" + (f" ± {error:.2f}" if not math.isnan(error) else "")


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    """The cells of a CSV that hold numbers."""
    found = {}
    for name, value in row.items():
        with suppress(ValueError):
            found[name] = float(value)
    return found


def _exact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return MISSING if value is None else str(value)
