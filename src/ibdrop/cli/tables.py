"""Tables for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ibdrop.runs.compare import MISSING, Comparison, Line

__all__ = ["console", "show_comparison", "show_figures", "show_runs"]

PIPED = 200
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


def _exact(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    return MISSING if value is None else str(value)
