"""How well explanations find the target, beside maps without a network and broken networks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ibdrop.artifacts.explanation_counterfactual import Views, view_rows
from ibdrop.artifacts.explanation_quality_picture import draw_explanation_quality
from ibdrop.artifacts.explanation_quality_text import quality_text
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.scores import (
    COLLAPSED,
    best_floor,
    intervals,
    short,
    shown_floors,
    skill,
)
from ibdrop.files import write_csv, write_text

__all__ = ["MEASURES", "Drop", "Entry", "Found", "drop_row", "quality_rows", "write_quality"]

MEASURES = (
    "pointing_box",
    "energy_box",
    "energy_padded",
    "mass_strokes",
    "rank_strokes",
    "rank_box",
)
"""The measures of `ibdrop.artifacts.quality` that the table holds, each with an interval."""

TENTH, QUARTER = 0.1, 0.25


@dataclass(frozen=True)
class Entry:
    """The scores of one kind of map.

    Attributes:
        method: What made the maps, such as `KL D1` or `meaningful`.
        network: `trained`, `untrained` or `randomised`.
        resolution: The finest detail such a map can have, such as `12x12`; a key of
            `Found.ceilings`.
        scores: What `ibdrop.artifacts.quality.measure` gives, for the first :math:`n` images.
        seconds: Seconds per image; NaN where nobody looked at the clock.
        nats: Whether the total of a map is in nats, so that it may have collapsed.
        curves: Areas under curves by their names, such as `deletion_black`, for the first of the
            images.
    """

    method: str
    network: str
    resolution: str
    scores: Mapping[str, Tensor]
    seconds: float = math.nan
    nats: bool = False
    curves: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Drop:
    """How far masks brought the probability of the target down.

    Attributes:
        method: What made the masks.
        fills: The fill that they were sought with, and a second one.
        area: The share of the picture deleted, the mean of :math:`1 - m`, with shape :math:`(n)`.
        first: Probability on the first fill over that of the plain image, likewise.
        second: The same on the second.
    """

    method: str
    fills: tuple[str, str]
    area: Tensor
    first: Tensor
    second: Tensor


@dataclass(frozen=True)
class Found:
    """Everything that the protocol measured.

    Attributes:
        title: What was explained, for headings.
        entries: The maps of networks.
        floors: Scores of maps without a network, for all images, by name.
        ceilings: Scores of an oracle, for all images, by resolution.
        views: What the network makes of the canvases changed; `None` where they cannot be.
        drops: How far masks lowered the probability.
        curves: Areas under curves of maps without a network, by their names and the map's.
        notes: Sentences that say how it was done.
    """

    title: str
    entries: list[Entry]
    floors: Mapping[str, Mapping[str, Tensor]]
    ceilings: Mapping[str, Mapping[str, Tensor]]
    views: Views | None = None
    drops: list[Drop] = field(default_factory=list)
    curves: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def write_quality(found: Found, folder: Path, seed: int) -> list[Path]:
    """Writes the tables and draws the picture from them.

    Arguments:
        found: What was measured.
        folder: Where to write `explanation_quality.csv`, `.md` and `.png`,
            `explanation_counterfactual.csv` and `explanation_drop.csv`.
        seed: What the bootstrap is keyed by.

    Returns:
        The files, the picture first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows, changed = quality_rows(found, seed), view_rows(found.views)
    drops = [drop_row(drop) for drop in found.drops]
    table = write_csv(folder / "explanation_quality.csv", rows)
    files = [save(draw_explanation_quality(table), folder / "explanation_quality.png"), table]
    if changed:
        files.append(write_csv(folder / "explanation_counterfactual.csv", changed))
    if drops:
        files.append(write_csv(folder / "explanation_drop.csv", drops))
    text = quality_text(found.title, rows, changed, drops, found.notes)
    return [*files, write_text(folder / "explanation_quality.md", text)]


def quality_rows(found: Found, seed: int) -> list[dict[str, Any]]:
    r"""One row per method and network, then floors and ceilings.

    Means over the images on which the map says something, 95 % bootstrap intervals, and

    .. math:: \mathrm{skill} = \frac{\mathrm{map} - \mathrm{floor}}
        {\mathrm{ceiling} - \mathrm{floor}}

    where the floor is the best map without a network, the ceiling an oracle at the resolution of
    the map, both on the very images of the row; NaN where they are closer than .05. A KL map of
    less than a hundredth of a nat per image has collapsed, and scores NaN.

    Arguments:
        found: What was measured.
        seed: What the bootstrap is keyed by.
    """
    sizes = sorted({_size(entry.scores) for entry in found.entries}, reverse=True)
    everything = _size(next(iter(found.floors.values())))
    rows: dict[int, dict[str, Any]] = {}
    for size in sizes:
        rows |= _rows_of(found, size, seed)
    ordered = [rows[id(entry)] for entry in found.entries]
    return [short(row) for row in (*ordered, *_beside(found, everything, seed))]


def _rows_of(found: Found, size: int, seed: int) -> dict[int, dict[str, Any]]:
    """The rows of the entries of as many images, by the identity of the entry."""
    mine = [entry for entry in found.entries if _size(entry.scores) == size]
    floors = [_row("floor", name, scores, {}) for name, scores in _first(found.floors, size)]
    best = _best(floors)
    ceilings = {
        name: _row("ceiling", name, scores, {}) for name, scores in _first(found.ceilings, size)
    }
    spreads = intervals({(e.method, e.network): e.scores for e in mine}, seed, MEASURES)
    rows = {}
    for entry in mine:
        row = _entry_row(entry, spreads[entry.method, entry.network])
        ceiling = ceilings[entry.resolution]
        row |= skill(row, best, ceiling, MEASURES)
        row |= {f"floor_{measure}": best[measure] for measure in MEASURES}
        row |= {f"ceiling_{measure}": ceiling[measure] for measure in MEASURES}
        rows[id(entry)] = row | _areas(entry.curves)
    return rows


def _entry_row(entry: Entry, spreads: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    row = _row(entry.network, entry.method, entry.scores, spreads)
    total = entry.scores["total"]
    row |= {"resolution": entry.resolution, "seconds": entry.seconds}
    row["silent"] = int((total == 0).sum())
    row["nats"] = total.mean().item() if entry.nats else math.nan
    if entry.nats and row["nats"] < COLLAPSED:
        row |= {name: math.nan for name in row if name.startswith(MEASURES)}
    return row


def _row(
    kind: str,
    name: str,
    scores: Mapping[str, Tensor],
    spreads: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    row: dict[str, Any] = {"source": f"{kind} {name}", "method": name, "network": kind}
    row |= {"resolution": "", "n": _size(scores), "seconds": math.nan}
    row |= {"silent": 0, "nats": math.nan}
    for measure in MEASURES:
        row[measure] = scores[measure].nanmean().item()
        if measure in spreads:
            row[f"{measure}_low"], row[f"{measure}_high"] = spreads[measure]
    return row


def _beside(found: Found, size: int, seed: int) -> Iterator[dict[str, Any]]:
    """Floors and ceilings over all images, with their intervals."""
    parts = {("floor", name): part for name, part in found.floors.items()}
    spreads = intervals(parts, seed, MEASURES)
    floors = [
        _row("floor", name, scores, spreads["floor", name])
        for name, scores in found.floors.items()
    ]
    for row in shown_floors(floors):
        yield row | _areas(found.curves.get(row["method"], {}))
    yield {"source": "best floor", "method": "best", "network": "floor", "n": size} | _best(floors)
    for name, scores in found.ceilings.items():
        row = _row("ceiling", name, scores, {}) | {"resolution": name}
        yield row | _areas(found.curves.get(f"ceiling {name}", {}))


def _best(floors: list[dict[str, Any]]) -> dict[str, Any]:
    best = best_floor([{**row, "images": row["n"]} for row in floors])
    return {measure: best[measure] for measure in MEASURES}


def _areas(curves: Mapping[str, Tensor]) -> dict[str, Any]:
    if not curves:
        return {}
    found: dict[str, Any] = {name: values.nanmean().item() for name, values in curves.items()}
    return found | {"curves_n": len(next(iter(curves.values())))}


def _first(
    parts: Mapping[str, Mapping[str, Tensor]], size: int
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    for name, scores in parts.items():
        yield name, {measure: values[:size] for measure, values in scores.items()}


def _size(scores: Mapping[str, Tensor]) -> int:
    return len(scores["total"])


def drop_row(drop: Drop) -> dict[str, Any]:
    """Whether masks lower the probability below a tenth, over less than a quarter of the picture.

    `holds` is the share of images on which both are so on both fills.
    """
    small = drop.area < QUARTER
    low, other = drop.first < TENTH, drop.second < TENTH
    shares = {
        "under_quarter": small,
        "tenth_first": low,
        "tenth_second": other,
        "holds_first": small & low,
        "holds": small & low & other,
    }
    return short(
        {
            "method": drop.method,
            "n": len(drop.area),
            "fill": drop.fills[0],
            "second_fill": drop.fills[1],
            "median_area": drop.area.double().median().item(),
            "median_first": drop.first.double().median().item(),
            "median_second": drop.second.double().median().item(),
            **{name: held.double().mean().item() for name, held in shares.items()},
        }
    )
