"""Tables for the report, from the numbers that artifacts wrote."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ibdrop.runs.captions import (
    CORRUPTIONS,
    ENSEMBLE,
    MAPS,
    MISTAKES,
    OUTLIERS,
    PROBABLE,
    PRUNING,
    RELAXED,
    SURE,
)
from ibdrop.runs.cells import MISSING, Row, known, number, rows, text, with_error
from ibdrop.runs.gradient_tables import gradients
from ibdrop.runs.page import Table
from ibdrop.runs.uncertainty_tables import (
    corruptions,
    ensemble,
    outliers,
    predictions,
    pruning,
    selective,
)

__all__ = ["summaries"]

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


def summaries(folder: Path) -> dict[str, list[Table]]:
    """The tables of what a folder holds, by the section they belong to.

    Arguments:
        folder: That of a run's artifacts, or of an evaluation of runs.
    """
    made = {
        PROBABLE: _bounds(rows(folder / "bounds_summary.csv")),
        MISTAKES: _mistakes(rows(folder / "confusion_largest.csv")),
        MAPS: _quality(rows(folder / "heatmap_quality.csv")),
        SURE: [*predictions(folder), *selective(folder)],
        OUTLIERS: outliers(folder),
        CORRUPTIONS: corruptions(folder),
        ENSEMBLE: ensemble(folder),
        PRUNING: pruning(folder),
        RELAXED: gradients(folder),
    }
    return {section: tables for section, tables in made.items() if tables}


def _bounds(found: Sequence[Row]) -> list[Table]:
    """The negative ELBO and bounds of the negative log-likelihood, in nats per image."""
    body = [
        [
            f"−L with {row.get('samples')} codes",
            with_error(row, "nll", "{:.2f}"),
            text(number(row, "effective"), "{:.1f}"),
        ]
        for row in found
    ]
    if not body:
        return []
    elbo = number(found[-1], "elbo")
    body.insert(0, ["−ELBO at beta = 1", text(None if elbo is None else -elbo, "{:.2f}"), MISSING])
    heads = ("upper bound of the NLL", "nats per image", "effective codes")
    caption = (
        f"Means over {found[0].get('images')} test images with standard errors over images. The"
        " effective number of codes tells how many carry the bound: far below their number, it is"
        " not tight yet."
    )
    return [Table(heads, body, caption=caption)]


def _quality(found: Sequence[Row]) -> list[Table]:
    names = known(found, QUALITY)
    body = [[_source(row), *(_quality_cell(row, name) for name in names)] for row in found]
    heads = ("map", *(QUALITY[name] for name in names))
    return [Table(heads, body, caption=QUALITY_CAPTION)] if names else []


def _source(row: Row) -> str:
    return f"{row.get('source', '')} {row.get('resolution', '').replace('x', '×')}".strip()


def _quality_cell(row: Row, name: str) -> str:
    value = number(row, name)
    if value is None:
        return MISSING
    low, high = number(row, f"{name}_low"), number(row, f"{name}_high")
    if row.get("kind") != "layer" or low is None or high is None:
        return f"{value:.3f}"
    return f"{value:.3f} ({low:.3f}–{high:.3f})"


def _mistakes(found: Sequence[Row]) -> list[Table]:
    body = [
        [row.get("true", ""), row.get("predicted", ""), row.get("count", ""), _share(row)]
        for row in found[:MOST_MISTAKES]
    ]
    heads = ("true class", "taken for", "images", "share of the class")
    caption = "The most frequent mistakes."
    return [Table(heads, body, text=(0, 1), caption=caption)] if body else []


def _share(row: Row) -> str:
    return text(number(row, "share"), "{:.2%}")
