"""Tables for the terminal."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibdrop.runs.compare import MISSING, Comparison, Line

__all__ = [
    "console",
    "new_table",
    "numbers",
    "show_comparison",
    "show_figures",
    "show_ranking",
    "show_runs",
]

PIPED = 200
RANKING_FIGURES = {
    "error": ("error [%]", 100, 2),
    "nll": ("NLL [nats]", 1, 4),
    "ece": ("ECE [%]", 100, 2),
    "mean_entropy": ("mean H [nats]", 1, 4),
    "auroc_of_error_by_entropy": ("AUROC of error", 1, 4),
    "error_of_most_uncertain": ("error of the {:.0f} least sure [%]", 100, 1),
}
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
    table = new_table("when", "name", "status")
    costs = any(row.get("test_cost") is not None for row in rows)
    for name in ("beta", "test error or cost" if costs else "test error", "KL [nats]"):
        table.add_column(Text(name), justify="right", no_wrap=True)
    table.add_column("folder", overflow="fold")
    for row in rows:
        status = str(row["status"])
        table.add_row(
            str(row["when"]),
            Text(str(row["name"])),
            Text(status, STATES.get(status, "")),
            _number(row["beta"], "{:g}"),
            _outcome(row),
            _number(row["kl_total"], "{:,.4g}"),
            Text(str(row["folder"])),
        )
    console().print(table)


def _outcome(row: Mapping[str, Any]) -> str:
    """The error of a classifier, or the cost of an autoencoder with its unit."""
    cost = row.get("test_cost")
    return _number(row["test_error"], "{:.2%}") if cost is None else _number(cost, "{:.2f} nats")


def show_comparison(names: Sequence[str], folders: Sequence[str], found: Comparison) -> None:
    """Prints runs side by side, the better figures in bold green."""
    out = console()
    for name, folder in zip(names, folders, strict=True):
        out.print(Text(f"{name}  {folder}"), soft_wrap=True)
    table = new_table("", *(f"[bold]{name}" for name in names))
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
    table = new_table("")
    table.add_column("at the end of training", justify="right", no_wrap=True)
    table.add_column("now", justify="right", no_wrap=True)
    table.add_column("")
    for name in dict.fromkeys((*stored, *now)):
        old, new = _exact(stored.get(name)), _exact(now.get(name))
        differs = name in stored and old != new
        table.add_row(Text(name), old, new, "differs" if differs else "")
    console().print(table)


def show_ranking(summary: Sequence[Mapping[str, str]]) -> None:
    """Prints what a ranking found: a line for each prediction, then how stable the order is."""
    rows = [numbers(row) for row in summary]
    table = new_table("prediction")
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


def new_table(*columns: str) -> Table:
    """A table with these first columns, without lines."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def numbers(row: Mapping[str, str]) -> dict[str, float]:
    """The cells of a CSV that hold numbers."""
    found = {}
    for name, value in row.items():
        with suppress(ValueError):
            found[name] = float(value)
    return found


def _values(line: Line) -> list[Text]:
    return [
        Text(value, "bold green" if place in line.best else "")
        for place, value in enumerate(line.values)
    ]


def _number(value: Any, form: str) -> str:
    return form.format(value) if isinstance(value, int | float) else MISSING


def _exact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return MISSING if value is None else str(value)
