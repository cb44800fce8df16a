"""The quality of heat maps as a table for the report."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path

from ibdrop.files import read_csv
from ibdrop.runs.page import Table

__all__ = ["quality_tables"]

MEASURES = {
    "rank_strokes": "rank, strokes",
    "mass_strokes": "mass, strokes",
    "rank_box": "rank, box",
    "energy_padded": "mass, padded box",
    "pointing": "pointing game",
    "nats_total": "nats/image",
    "nats_inside": "nats inside",
}
CAPTION = (
    "Shares in [0, 1], means over the test images that were classified correctly, with 95 % "
    "bootstrap intervals. Rank: how many of the hottest pixels, as many as the target has, lie on "
    "it. Mass: the share of the nats that lies on it. Floors know nothing of the network; a "
    "ceiling is a perfect map at the layer's resolution. A map says something only where it "
    "stands clear of the best floor and of the untrained network."
)


def quality_tables(artifacts: Path) -> list[Table]:
    """The table of `heatmap_quality.csv`, if the run has one that can be read."""
    try:
        rows = read_csv(artifacts / "heatmap_quality.csv")
    except (OSError, ValueError, csv.Error):
        return []
    names = [name for name in MEASURES if any(_number(row, name) is not None for row in rows)]
    body = [
        [row.get("source", ""), row.get("resolution", ""), *(_cell(row, name) for name in names)]
        for row in rows
    ]
    heads = ("map", "size", *(MEASURES[name] for name in names))
    return [Table(heads, body, caption=CAPTION)] if names else []


def _cell(row: Mapping[str, str], name: str) -> str:
    value = _number(row, name)
    if value is None:
        return "–"
    if name.startswith("nats"):
        return f"{value:,.4g}"
    low, high = _number(row, f"{name}_low"), _number(row, f"{name}_high")
    interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
    return f"{value:.3f}{interval if row.get('kind') == 'layer' else ''}"


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(row.get(name) or "nan")
    except ValueError:
        return None
    return None if math.isnan(value) else value
