"""From the scores of single heat maps to a table: means, intervals, floors and skill."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ibdrop.seeds import generator

__all__ = [
    "COLLAPSED",
    "SKILLS",
    "Scores",
    "best_floor",
    "intervals",
    "quality_table",
    "short",
    "shown_floors",
    "skill",
]

COLLAPSED = 0.01
"""Nats per image under which a layer carries nothing and its map has no score."""

SKILLS = ("rank_strokes", "mass_strokes", "rank_box", "energy_padded")
"""The measures with an interval and a skill."""

ABSOLUTE = {"total": "nats_total", "inside": "nats_inside", "outside": "nats_outside"}

LEAST_ROOM = 0.05
"""Under this distance between ceiling and floor a skill would only amplify chance."""

RESAMPLES = 1000


class Scores:
    """Scores of every image, by source and measure.

    A source is named by its kind (`layer`, `untrained`, `floor`, `ceiling`) and what it is.
    """

    def __init__(self) -> None:
        self.parts: dict[tuple[str, str], list[dict[str, Tensor]]] = {}

    def add(self, kind: str, name: str, scores: Mapping[str, Tensor]) -> None:
        """Takes in the scores of a batch."""
        moved = {measure: values.cpu() for measure, values in scores.items()}
        self.parts.setdefault((kind, name), []).append(moved)

    def gather(self) -> dict[tuple[str, str], dict[str, Tensor]]:
        """All scores of each source and measure, with shape :math:`(n)`."""
        return {
            source: {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
            for source, parts in self.parts.items()
        }


def quality_table(scores: Scores, sizes: Mapping[str, str], seed: int) -> list[dict[str, Any]]:
    r"""One row per source: means over images, 95 % bootstrap intervals, and skill.

    With the best model-free map of each measure as floor, and an oracle at the layer's resolution
    as ceiling,

    .. math:: \mathrm{skill} = \frac{\mathrm{map} - \mathrm{floor}}
        {\mathrm{ceiling} - \mathrm{floor}}

    which is NaN where the ceiling leaves no room above the floor. Layers that carry less than
    a hundredth of a nat have collapsed: their scores are NaN.

    Arguments:
        scores: The scores of the images.
        sizes: The resolution of each layer, such as `12x12`.
        seed: What the bootstrap is keyed by.
    """
    found = scores.gather()
    if not found or not len(next(iter(found.values()))["total"]):
        return []
    spreads = intervals(found, seed)
    rows = {
        source: _row(source, values, spreads[source], sizes) for source, values in found.items()
    }
    floors = [row for (kind, _), row in rows.items() if kind == "floor"]
    best = best_floor(floors)
    layers = [row for (kind, _), row in rows.items() if kind in ("layer", "untrained")]
    ceilings = {name: row for (kind, name), row in rows.items() if kind == "ceiling"}
    for row in layers:
        row.update(skill(row, best, ceilings[row["layer"]]))
    return [short(row) for row in (*layers, *shown_floors(floors), best, *ceilings.values())]


def _row(
    source: tuple[str, str],
    values: Mapping[str, Tensor],
    intervals: Mapping[str, tuple[float, float]],
    sizes: Mapping[str, str],
) -> dict[str, Any]:
    kind, name = source
    means = {measure: _mean(score) for measure, score in values.items()}
    total = means["total"]
    collapsed = kind in ("layer", "untrained") and total < COLLAPSED
    row: dict[str, Any] = {
        "source": name if kind == "layer" else f"{kind} {name}",
        "kind": kind,
        "layer": name if name in sizes else "",
        "resolution": sizes.get(name, ""),
        "images": len(values["total"]),
        "collapsed": collapsed,
    }
    for measure, mean in means.items():
        if measure not in ABSOLUTE:
            row[measure] = math.nan if collapsed else mean
        elif kind in ("layer", "untrained"):
            row[ABSOLUTE[measure]] = mean
        if measure in intervals:
            low, high = intervals[measure] if not collapsed else (math.nan, math.nan)
            row |= {f"{measure}_low": low, f"{measure}_high": high}
    return row


def short(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with its numbers rounded to six digits."""
    return {
        name: float(f"{value:.6g}") if isinstance(value, float) else value
        for name, value in row.items()
    }


def _mean(values: Tensor) -> float:
    return values.nanmean().item()


def best_floor(floors: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Of each measure the largest that a map without a network reaches."""
    rows = list(floors)
    best: dict[str, Any] = {"source": "best floor", "kind": "floor", "images": rows[0]["images"]}
    measures = [name for name in rows[0] if isinstance(rows[0][name], float)]
    for name in measures:
        known = [row[name] for row in rows if not math.isnan(row[name])]
        if not name.endswith(("_low", "_high")):
            best[name] = max(known, default=math.nan)
    return best


def shown_floors(floors: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The plain floors, and of the sweep the best blurred and the best sharpened map."""
    swept = {"blurred": "rank_box", "sharpened": "energy_box"}
    plain = [row for row in floors if not any(word in row["source"] for word in swept)]
    for word, measure in swept.items():
        group = [row for row in floors if word in row["source"]]
        plain += [max(group, key=lambda row: row[measure])] if group else []
    return plain


def skill(
    row: Mapping[str, Any],
    floor: Mapping[str, Any],
    ceiling: Mapping[str, Any],
    measures: Sequence[str] = SKILLS,
) -> dict[str, float]:
    """Where a map stands between floor and ceiling in each measure; see `quality_table`."""
    skills = {}
    for measure in measures:
        room = ceiling[measure] - floor[measure]
        enough = room >= LEAST_ROOM
        share = (row[measure] - floor[measure]) / room if enough else math.nan
        skills[f"skill_{measure}"] = share
    return skills


def intervals(
    found: Mapping[tuple[str, str], Mapping[str, Tensor]],
    seed: int,
    measures: Sequence[str] = SKILLS,
) -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """Percentiles of the mean over resampled images, the same resamples for all sources.

    Arguments:
        found: The scores of the same images by source and measure, each with shape :math:`(n)`.
        seed: What the resamples are keyed by.
        measures: Those that get an interval.

    Returns:
        The 2.5th and the 97.5th percentile by source and measure.
    """
    names = [(source, measure) for source in found for measure in measures]
    values = torch.stack([found[source][measure] for source, measure in names], 1)
    known = (~values.isnan()).double()
    values = values.nan_to_num()
    counts = _resamples(len(values), seed)
    means = (counts @ values) / (counts @ known)
    low, high = torch.nanquantile(means, torch.tensor([0.025, 0.975]).double(), dim=0).tolist()
    spreads: dict[tuple[str, str], dict[str, tuple[float, float]]] = {key: {} for key in found}
    for (source, measure), one, other in zip(names, low, high, strict=True):
        spreads[source][measure] = (one, other)
    return spreads


def _resamples(n: int, seed: int) -> Tensor:
    """How often each of `n` images is drawn in each resample, with shape (resamples, n)."""
    drawn = torch.randint(n, (RESAMPLES, n), generator=generator(seed, "bootstrap"))
    counts = torch.zeros(RESAMPLES, n, dtype=torch.float64)
    return counts.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand_as(drawn))
