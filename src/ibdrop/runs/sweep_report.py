"""What the report of a sweep says."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ibdrop.runs.page import Page, Section, Table, figure
from ibdrop.runs.parts import environment, sections
from ibdrop.runs.pictures import numbers
from ibdrop.runs.sweep import Sweep, differing, tabulate

__all__ = ["sweep_page"]

Row = Mapping[str, Any]
WARNINGS = 5
FIGURES = (
    ("test_error", "test error ↓", "{:.2%}"),
    ("test_nll", "NLL [nats] ↓", "{:.4f}"),
    ("test_ece", "ECE ↓", "{:.2%}"),
    ("test_cost", "test cost [nats] ↓", "{:.3f}"),
    ("test_ce", "cross-entropy [nats] ↓", "{:.3f}"),
    ("test_ce_floor", "its floor [nats]", "{:.3f}"),
    ("test_mse", "MSE ↓", "{:.3g}"),
    ("test_mse_pca", "MSE of PCA", "{:.3g}"),
    ("kl_total", "KL [nats/image]", "{:,.4g}"),
)


def sweep_page(folder: Path) -> Page:
    """Says what a sweep was asked for and what has come out so far; redraws its pictures."""
    rows = tabulate(folder)
    sweep = Sweep.open(folder)
    columns = differing(sweep.runs)
    first = sweep.runs[0].record if sweep.runs else {}
    fields = sweep.record or first
    return Page(
        title=str(sweep.record.get("name") or sweep.folder.name),
        status=sweep.status,
        when=_progress(sweep),
        folder=str(sweep.folder),
        command=shlex.join(fields.get("command") or []),
        repeat=shlex.join(fields.get("command") or []),
        environment=environment({**fields, "device": first.get("device")}),
        warnings=_warnings(sweep),
        notes=first.get("notes") or [],
        tables=[*_failures(rows), *_means(rows, columns)],
        sections=[*sections(sweep.folder), *_jobs(rows, columns)],
        numbers=numbers(sweep.folder),
    )


def _progress(sweep: Sweep) -> str:
    done = sum(run.status == "finished" for run in sweep.runs)
    total = max(len(sweep.jobs), len(sweep.runs))
    text = f"{done} of {total} jobs finished"
    if done < total and sweep.status != "running":
        text += f"; `ibdrop resume {shlex.quote(str(sweep.folder))}` runs the others"
    return text


def _warnings(sweep: Sweep) -> list[str]:
    found = [
        f"{run.folder.name}: {sentence}"
        for run in sweep.runs
        for sentence in run.record.get("warnings") or []
    ]
    more = len(found) - WARNINGS
    return (
        [*found[:WARNINGS], f"{more} more; each run's report has its own"] if more > 0 else found
    )


def _means(rows: Sequence[Row], columns: Sequence[str]) -> list[Table]:
    """Means over the seeds, if any setting was run with more than one."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        if row["status"] == "finished":
            key = (*(row[name] for name in columns), row["beta"])
            groups.setdefault(key, []).append(row)
    if all(len(group) < 2 for group in groups.values()):
        return []
    known = _figures(rows)
    body = [
        [*(_text(value) for value in key), str(len(group)), *(_mean(group, f) for f in known)]
        for key, group in groups.items()
    ]
    heads = (*columns, "beta", "seeds", *(head for _, head, _ in known))
    caption = "Mean ± standard deviation over the seeds."
    words = tuple(range(len(columns)))
    return [Table(heads, body, text=words, title="Means over seeds", caption=caption)]


def _figures(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """The figures that the table of the sweep has."""
    return [column for column in FIGURES if column[0] in rows[0]]


def _mean(group: Sequence[Row], column: tuple[str, str, str]) -> str:
    name, _, form = column
    values = [float(row[name]) for row in group if row[name] is not None]
    if not values:
        return "–"
    mean = figure(form, statistics.fmean(values))
    return mean if len(values) < 2 else f"{mean} ± {figure(form, statistics.stdev(values))}"


def _jobs(rows: Sequence[Row], columns: Sequence[str]) -> list[Section]:
    if not rows:
        return []
    known = _figures(rows)
    heads = ("job", "status", *columns, "seed", "beta", *(head for _, head, _ in known))
    body = [
        [
            str(row["number"]),
            str(row["status"]),
            *(_text(row[name]) for name in (*columns, "seed", "beta")),
            *("–" if row[name] is None else figure(form, row[name]) for name, _, form in known),
            str(row["warnings"] or ""),
        ]
        for row in rows
    ]
    words = tuple(range(1, 2 + len(columns)))
    return [Section("Every job", [Table((*heads, "warnings"), body, text=words)])]


def _failures(rows: Sequence[Row]) -> list[Table]:
    stopped = [row for row in rows if row["status"] not in ("finished", "running")]
    body = [
        [row["folder"], row["status"], row["error"] or "its process is gone"] for row in stopped
    ]
    heads = ("folder", "status", "why")
    return [Table(heads, body, text=(0, 1, 2), title="Jobs that did not finish")] if body else []


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "–" if value is None else str(value)
