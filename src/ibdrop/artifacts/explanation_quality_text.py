"""The quality of explanations as tables to publish, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ibdrop.artifacts.explanations_content import spoken

__all__ = ["quality_text"]

Row = Mapping[str, Any]


def quality_text(
    title: str,
    rows: Sequence[Row],
    views: Sequence[Row],
    drops: Sequence[Row],
    notes: Iterable[str],
) -> str:
    """Writes the tables of `explanation_quality.md`.

    Arguments:
        title: What was explained.
        rows: Those of `explanation_quality.csv`.
        views: Those of `explanation_counterfactual.csv`; none where canvases cannot be changed.
        drops: Those of `explanation_drop.csv`.
        notes: Sentences that say how it was done.
    """
    strokes = any(not math.isnan(row["rank_strokes"]) for row in rows)
    parts = [
        [f"# How well explanations find the target: {title}", ""],
        [*_views(views), ""],
        [*_methods(rows, strokes), ""],
        [*_beside(rows, strokes), ""],
        _curves(rows),
        _drops(drops),
        ["## How it was done", ""],
        [f"- {note}" for note in notes],
    ]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _views(views: Sequence[Row]) -> Iterator[str]:
    yield "## Is the place of the target the truth?"
    yield ""
    if not views:
        yield "Not tested: canvases of this data set cannot be drawn without their target."
        return
    yield from _header("view", "n", "accuracy", "95 %", "same class as whole", "must be", "holds")
    for row in views:
        yield _line(
            row["view"].replace("_", " "),
            row["n"],
            _share(row["accuracy"]),
            _between(row, "accuracy"),
            _share(row["same_class"]),
            row["expected"],
            "yes" if row["holds"] else "**no**",
        )
    for row in views:
        if row["failure"]:
            yield ""
            yield f"**{row['failure']}**"


def _methods(rows: Sequence[Row], strokes: bool) -> Iterator[str]:
    mass, rank = ("mass_strokes", "rank_strokes") if strokes else ("energy_padded", "rank_box")
    where = "strokes" if strokes else "box"
    yield "## Methods"
    yield ""
    yield from _header(
        "map",
        "size",
        "n",
        "pointing",
        "energy box",
        "energy padded",
        f"mass {where if strokes else 'padded'}",
        "skill",
        f"rank {where}",
        "95 %",
        "skill",
        "rank untrained",
        "rank randomised",
        "s/image",
    )
    others = {(row["network"], row["method"]): row for row in rows}
    for row in rows:
        if row["network"] != "trained":
            continue
        broken = [others.get((kind, row["method"])) for kind in ("untrained", "randomised")]
        yield _line(
            spoken(row["method"]) + (" *" if row["silent"] else ""),
            row["resolution"].replace("x", "×"),
            row["n"],
            *(_share(row[name]) for name in ("pointing_box", "energy_box", "energy_padded")),
            *(_share(row[name]) for name in (mass, f"skill_{mass}", rank)),
            _between(row, rank),
            _share(row[f"skill_{rank}"]),
            *("–" if other is None else _share(other[rank]) for other in broken),
            f"{row['seconds']:.2g}" if not math.isnan(row["seconds"]) else "–",
        )
    silent = [row for row in rows if row["network"] == "trained" and row["silent"]]
    if silent:
        yield ""
        counts = ", ".join(f"{row['method']} on {row['silent']} of {row['n']}" for row in silent)
        yield f"\\* Maps of nothing but zeros are left out: {counts}."


def _beside(rows: Sequence[Row], strokes: bool) -> Iterator[str]:
    names = ["pointing_box", "energy_box", "energy_padded"]
    names += ["mass_strokes", "rank_strokes"] if strokes else []
    names += ["rank_box"]
    yield "## Maps that know no network, and an oracle"
    yield ""
    yield from _header("map", "n", *(name.replace("_", " ") for name in names))
    for row in rows:
        if row["network"] in ("floor", "ceiling"):
            oracle = f"oracle at {row['method'].replace('x', '×')}"
            name = oracle if row["network"] == "ceiling" else _floor(row["method"])
            yield _line(name, row["n"], *(_share(row[measure]) for measure in names))


def _floor(name: str) -> str:
    return "**best of all floors, measure by measure**" if name == "best" else name


def _curves(rows: Sequence[Row]) -> list[str]:
    names = list(
        dict.fromkeys(
            name for row in rows for name in row if name.startswith(("deletion_", "insertion_"))
        )
    )
    if not names:
        return []
    lines = [
        "## Areas under the curves of deletion (low is good) and insertion (high is good)",
        "",
    ]
    lines += _header("map", "n", *(name.replace("_", ", ", 1) for name in names))
    for row in rows:
        if names[0] in row:
            kind = "" if row["network"] == "trained" else f"{row['network']} "
            values = [_share(row[name]) for name in names]
            lines.append(_line(kind + spoken(row["method"]), row["curves_n"], *values))
    return [*lines, ""]


def _drops(drops: Sequence[Row]) -> list[str]:
    if not drops:
        return []
    lines = ["## How far masks lower the probability of the target", ""]
    lines += _header(
        "mask",
        "n",
        "fill",
        "second fill",
        "median area",
        "median p/p₀",
        "second fill",
        "area < 1/4",
        "p/p₀ < 1/10",
        "second fill",
        "all on both",
    )
    ratios = "median_area", "median_first", "median_second"
    shares = "under_quarter", "tenth_first", "tenth_second", "holds"
    for row in drops:
        numbers = [_share(row[name]) for name in (*ratios, *shares)]
        lines.append(_line(row["method"], row["n"], row["fill"], row["second_fill"], *numbers))
    return [*lines, ""]


def _header(*names: str) -> list[str]:
    return [_line(*names), "|" + "---|" * len(names)]


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _share(value: float) -> str:
    """Three decimals without the nought before the point."""
    if math.isnan(value):
        return "–"
    return f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}"


def _between(row: Row, name: str) -> str:
    return f"{_share(row[f'{name}_low'])} to {_share(row[f'{name}_high'])}"
