"""Tables of runs: what was asked for differently, and what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from ibdrop.runs.folder import Run, find_runs

__all__ = ["Comparison", "Line", "compare", "flatten", "list_runs", "title"]

DERIVED = ("name", "output_dir")
DIRECTION = {
    "test_accuracy": "↑",
    "test_error": "↓",
    "test_nll": "↓",
    "test_brier": "↓",
    "test_ece": "↓",
    "test_adaptive_ece": "↓",
    "test_aurc": "↓",
    "test_cost": "↓",
    "test_ce": "↓",
    "test_mse": "↓",
}
COSTS = dict.fromkeys(("test_cost", "test_ce", "test_ce_floor", "test_kl"), "nats/image")
UNITS = COSTS | {
    "test_nll": "nats",
    "kl_total": "nats/image",
    "kl": "nats/image",
    "kl_per_unit": "nats",
}
FACTS = ("status", "epoch", "seconds", "parameters", "train_images", "effective_beta", "device")
MISSING = "–"


class Line(NamedTuple):
    """One line of a comparison.

    Attributes:
        name: What is compared, with its unit and, for a figure, the better direction.
        values: One value per run, as text.
        best: The positions of the best values; empty where better and worse mean nothing.
    """

    name: str
    values: tuple[str, ...]
    best: frozenset[int] = frozenset()


class Comparison(NamedTuple):
    """Runs side by side.

    Attributes:
        changed: The parameters in which the runs differ.
        results: What came out.
        facts: How the runs went; devices, versions and commits only where they differ.
    """

    changed: list[Line]
    results: list[Line]
    facts: list[Line]

    def rows(self, names: Sequence[str]) -> list[dict[str, str]]:
        """All lines as rows of a CSV, one column per run."""
        parts = (("config", self.changed), ("result", self.results), ("run", self.facts))
        return [
            {"part": part, "name": line.name, **dict(zip(names, line.values, strict=True))}
            for part, lines in parts
            for line in lines
        ]


def compare(runs: Sequence[Run]) -> Comparison:
    """Sets runs side by side, changed parameters first.

    Raises:
        RunError: The config of a run is damaged.
    """
    configs = [flatten(run.config) for run in runs]
    keys = [key for key in dict.fromkeys(key for c in configs for key in c) if key not in DERIVED]
    changed = [Line(key, tuple(_text(c.get(key, MISSING)) for c in configs)) for key in keys]
    return Comparison(
        [line for line in changed if len(set(line.values)) > 1], _results(runs), _facts(runs)
    )


def list_runs(root: Path) -> list[dict[str, Any]]:
    """The runs at or below `root`, newest first, as rows of a table."""
    runs = sorted(find_runs(root), key=lambda run: str(run.record.get("started")), reverse=True)
    return [
        {
            "when": _local(run.record.get("started")),
            "name": run.name,
            "status": run.status,
            "beta": run.record.get("beta"),
            "test_error": run.metrics.get("test_error"),
            "test_cost": run.metrics.get("test_cost"),
            "kl_total": run.metrics.get("kl_total"),
            "folder": str(run.folder),
        }
        for run in runs
    ]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turns nested keys into dotted ones, such as `noise.max_alpha`."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def title(name: str) -> str:
    """The name of a figure with its unit and the better direction: `test_nll [nats] ↓`."""
    stem = name.partition("/")[0]
    unit = f" [{UNITS[stem]}]" if stem in UNITS else ""
    arrow = f" {DIRECTION[name]}" if name in DIRECTION else ""
    return f"{name}{unit}{arrow}"


def _results(runs: Sequence[Run]) -> list[Line]:
    figures = [_figures(run) for run in runs]
    names = dict.fromkeys(name for one in figures for name in one)
    return [
        Line(
            title(name),
            tuple(_text(one.get(name, MISSING)) for one in figures),
            _best(name, [one.get(name) for one in figures]),
        )
        for name in names
    ]


def _figures(run: Run) -> dict[str, Any]:
    best = run.record.get("best") or {}
    kept = ("val_accuracy", "val_cost")
    chosen = {f"best {name}": best[name] for name in kept if name in best}
    return {name.replace(".", "/"): value for name, value in flatten(run.metrics).items()} | chosen


def _best(name: str, values: Sequence[Any]) -> frozenset[int]:
    numbers = [value for value in values if isinstance(value, int | float)]
    if name not in DIRECTION or len(set(numbers)) < 2:
        return frozenset()
    best = max(numbers) if DIRECTION[name] == "↑" else min(numbers)
    return frozenset(place for place, value in enumerate(values) if value == best)


def _facts(runs: Sequence[Run]) -> list[Line]:
    facts = [
        {name: run.status if name == "status" else run.record.get(name) for name in FACTS}
        | {"commit": (run.record.get("git") or {}).get("commit", MISSING)[:10]}
        | flatten(run.record.get("versions") or {}, "versions.")
        | {"warnings": len(run.record.get("warnings") or [])}
        for run in runs
    ]
    names = dict.fromkeys(name for one in facts for name in one)
    lines = [Line(name, tuple(_text(one.get(name)) for one in facts)) for name in names]
    same = ("commit", "versions.", "device", "warnings")
    return [line for line in lines if not line.name.startswith(same) or len(set(line.values)) > 1]


def _text(value: Any) -> str:
    if value is None:
        return MISSING
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def _local(started: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(started))
    except ValueError:
        return MISSING
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
