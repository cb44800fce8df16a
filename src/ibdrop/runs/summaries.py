"""Tables for the report, from the numbers that artifacts wrote."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ibdrop.files import read_csv
from ibdrop.runs.page import Table, figure
from ibdrop.runs.pictures import MAPS, MISTAKES, SURE

__all__ = ["summaries"]

Row = Mapping[str, str]

MOST_MISTAKES = 8
QUALITY = {
    "rank_strokes": "rank, strokes",
    "mass_strokes": "mass, strokes",
    "rank_box": "rank, box",
    "energy_padded": "mass, padded box",
    "pointing": "pointing game",
}
QUALITY_CAPTION = (
    "Shares in [0, 1], means over the test images that were classified correctly, with 95 % "
    "bootstrap intervals. Rank: how many of the hottest pixels, as many as the target has, lie on "
    "it. Mass: the share of the nats that lies on it. Floors know nothing of the network; a "
    "ceiling is a perfect map at the layer's resolution. A map says something only where it "
    "stands clear of the best floor and of the untrained network."
)
PREDICTIONS = {
    "passes": "passes",
    "error": "error ↓",
    "nll": "NLL [nats] ↓",
    "ece": "ECE ↓",
    "mean_entropy": "mean entropy [nats]",
    "mean_mutual_information": "mutual information [nats]",
    "auroc_of_error_by_entropy": "AUROC of mistakes ↑",
    "error_of_most_uncertain": "error of the least sure",
}
PREDICTIONS_CAPTION = (
    "One pass with the noise off beside the mean over passes with the noise on; sampling need "
    "not be better. AUROC: the chance that a mistake has more entropy than a success."
)


def summaries(artifacts: Path) -> dict[str, Table]:
    """The tables of a run by the section they belong to; none for what the run did not write."""
    made = {
        MAPS: _quality(_rows(artifacts / "heatmap_quality.csv")),
        MISTAKES: _mistakes(_rows(artifacts / "confusion_largest.csv")),
        SURE: _predictions(_rows(artifacts / "ranking_summary.csv")),
    }
    return {section: table for section, table in made.items() if table is not None}


def _quality(rows: Sequence[Row]) -> Table | None:
    names = _known(rows, QUALITY)
    body = [[_source(row), *(_quality_cell(row, name) for name in names)] for row in rows]
    heads = ("map", *(QUALITY[name] for name in names))
    return Table(heads, body, caption=QUALITY_CAPTION) if names else None


def _source(row: Row) -> str:
    return f"{row.get('source', '')} {row.get('resolution', '').replace('x', '×')}".strip()


def _quality_cell(row: Row, name: str) -> str:
    value = _number(row, name)
    if value is None:
        return "–"
    low, high = _number(row, f"{name}_low"), _number(row, f"{name}_high")
    if row.get("kind") != "layer" or low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _mistakes(rows: Sequence[Row]) -> Table | None:
    body = [
        [row.get("true", ""), row.get("predicted", ""), row.get("count", ""), _share(row)]
        for row in rows[:MOST_MISTAKES]
    ]
    heads = ("true class", "taken for", "images", "share of the class")
    caption = "The most frequent mistakes."
    return Table(heads, body, text=(0, 1), caption=caption) if body else None


def _share(row: Row) -> str:
    return _text(_number(row, "share"), "{:.2%}")


def _predictions(rows: Sequence[Row]) -> Table | None:
    names = _known(rows, PREDICTIONS)
    body = [
        [row.get("prediction", ""), *(_prediction_cell(row, name) for name in names)]
        for row in rows
    ]
    heads = ("prediction", *(PREDICTIONS[name] for name in names))
    return Table(heads, body, caption=PREDICTIONS_CAPTION) if names else None


def _prediction_cell(row: Row, name: str) -> str:
    form = "{:.2%}" if name.startswith(("error", "ece")) else "{:.4g}"
    return _text(_number(row, name), form)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return read_csv(path)
    except (OSError, ValueError, csv.Error):
        return []


def _known(rows: Sequence[Row], names: Mapping[str, str]) -> list[str]:
    return [name for name in names if any(_number(row, name) is not None for row in rows)]


def _text(value: float | None, form: str) -> str:
    return "–" if value is None else figure(form, value)


def _number(row: Row, name: str) -> float | None:
    try:
        value = float(row.get(name) or "nan")
    except ValueError:
        return None
    return None if math.isnan(value) else value
