"""Galleries of the surest and the least sure images, drawn from the files of a ranking."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import BLUE, INK, RED, WIDTH, shorten, styled
from ibdrop.artifacts.ranking_sheet import (
    GAP,
    HEADING,
    KEY,
    MARGIN,
    Ranking,
    Row,
    Sheet,
    caption_height,
    words,
)

__all__ = ["draw_class", "draw_classes", "draw_mistakes", "draw_overall", "mistakes"]

COLUMNS = 10
PER_CLASS = 5
TITLE = 0.4
KEY_OF_MISTAKES = "true class → what it is taken for, H in nats; *: right with the noise off"


class _Part(NamedTuple):
    """A block of images under a heading, with a remark to the right of it."""

    title: str
    rows: Sequence[Row]
    remark: str = ""
    colour: str = INK


def draw_overall(ranking: Ranking, count: int) -> Figure:
    """Draws the `count` surest test images above the `count` least sure."""
    return _ends(ranking, ranking.rows, "", f"All {len(ranking.rows):,} test images", count)


def draw_class(ranking: Ranking, name: str, count: int) -> Figure:
    """Draws the surest and the least sure images of one true class."""
    rows = [row for row in ranking.rows if row["label"] == name]
    title = f"Class {shorten(name, 14)}, {len(rows):,} test images"
    return _ends(ranking, rows, name, title, count)


def draw_mistakes(ranking: Ranking, count: int) -> Figure:
    """Draws the mistakes that the network is surest of above those that it is least sure of.

    Arguments:
        ranking: The files of the ranking, with at least one mistake.
        count: Mistakes at each end; where there are fewer, each is shown once.
    """
    sure, unsure = mistakes(ranking.rows, count)
    wrong = [row for row in ranking.rows if row["correct"] != "True"]
    share = f"{100 * len(wrong) / len(ranking.rows):.2f} %"
    title = f"{len(wrong):,} mistakes in {len(ranking.rows):,} test images ({share})"
    medians = f"median H: mistakes {_median(wrong)}, all images {_median(ranking.rows)} nats"
    parts = [
        _Part("Sure and wrong: lowest entropy first", sure, KEY_OF_MISTAKES, RED),
        _Part("Unsure and wrong: highest entropy first", unsure, "", BLUE),
    ]
    return _page(ranking, title, medians, [part for part in parts if part.rows], _plain)


def mistakes(rows: Sequence[Row], count: int) -> tuple[list[Row], list[Row]]:
    """The `count` surest mistakes and the `count` least sure, no image twice.

    Arguments:
        rows: All images, the highest entropy first.
        count: Mistakes at each end.
    """
    wrong = [row for row in rows if row["correct"] != "True"]
    unsure = wrong[: min(count, (len(wrong) + 1) // 2)]
    sure = wrong[len(unsure) :][::-1][:count]
    return sure, unsure


def _median(rows: Sequence[Row]) -> str:
    return f"{statistics.median(float(row['entropy']) for row in rows):.2g}"


def _ends(ranking: Ranking, rows: Sequence[Row], scope: str, title: str, count: int) -> Figure:
    return _page(
        ranking,
        title,
        KEY,
        [
            _Part(
                "Lowest entropy: the network is sure",
                rows[::-1][:count],
                _shared(ranking, scope, "lowest"),
            ),
            _Part(
                "Highest entropy: the network is unsure",
                rows[:count],
                _shared(ranking, scope, "highest"),
            ),
        ],
        _framed,
    )


def _shared(ranking: Ranking, scope: str, end: str) -> str:
    """How many images two half-runs have in common at this end, which tells luck from order."""
    row = ranking.stability[scope]
    if not ranking.sampled:
        return ""
    if row["shown"] == row["images"]:
        return "all images of the class" if scope else "all images"
    return f"two half-runs share {row[f'{end}_halves']} of {row['shown']}"


@styled
def _page(
    ranking: Ranking,
    title: str,
    key: str,
    parts: Sequence[_Part],
    tile: Callable[[Sheet, Ranking, Row, tuple[float, float], float], None],
) -> Figure:
    side = (WIDTH - 2 * MARGIN) / COLUMNS
    pitch = side + caption_height([row for part in parts for row in part.rows])
    heights = [HEADING + -(-len(part.rows) // COLUMNS) * pitch for part in parts]
    page = Sheet(WIDTH, TITLE + sum(heights))
    page.text(MARGIN, 0.2, title, weight="bold", fontsize=12)
    page.text(WIDTH - MARGIN, 0.2, key, fontsize=8.5, ha="right")
    top = TITLE
    for part, height in zip(parts, heights, strict=True):
        middle = top + 0.5 * HEADING
        page.text(MARGIN, middle, part.title, fontsize=10, color=part.colour)
        page.text(WIDTH - MARGIN, middle, part.remark, fontsize=8.5, ha="right")
        for i, row in enumerate(part.rows):
            line, column = divmod(i, COLUMNS)
            corner = MARGIN + column * side, top + HEADING + line * pitch
            tile(page, ranking, row, corner, side - GAP)
        top += height
    return page.finish()


def _framed(
    page: Sheet, ranking: Ranking, row: Row, corner: tuple[float, float], side: float
) -> None:
    page.tile(row, ranking.images[int(row["index"])], corner, side)


def _plain(
    page: Sheet, ranking: Ranking, row: Row, corner: tuple[float, float], side: float
) -> None:
    """A tile without a frame, as all are wrong; a star where the noise off would have helped."""
    page.image(ranking.images[int(row["index"])], corner, side)
    star = "*" if row["predicted_deterministic"] == row["label"] else ""
    page.caption(words(row) + star, corner, side, 7.5)


@styled
def draw_classes(ranking: Ranking) -> Figure:
    """Draws one line per class: its surest images left, its least sure right."""
    names = ranking.present
    left, apart = 0.25 + 0.09 * min(10, max(map(len, names))), 0.25
    side = (WIDTH - left - apart - MARGIN) / (2 * PER_CLASS)
    groups = [[row for row in ranking.rows if row["label"] == name] for name in names]
    pitch = side + caption_height([row for group in groups for row in _outer(group)])
    page = Sheet(WIDTH, len(names) * pitch + HEADING + 0.2)
    page.text(left, HEADING + len(names) * pitch + 0.06, KEY, fontsize=8.5)
    right = left + PER_CLASS * side + apart
    for x, text in ((left, "lowest entropy →"), (right, "→ highest entropy")):
        page.text(x, 0.5 * HEADING, text, weight="bold")
    for i, (name, group) in enumerate(zip(names, groups, strict=True)):
        y = HEADING + i * pitch
        middle = y + side / 2
        page.text(left - 0.1, middle, shorten(name, 10), ha="right", fontsize=10, weight="bold")
        for x, shown in ((left, group[::-1][:PER_CLASS]), (right, group[:PER_CLASS][::-1])):
            for column, row in enumerate(shown):
                _framed(page, ranking, row, (x + column * side, y), side - GAP)
    page.axes.add_patch(
        Rectangle((right - 0.5 * apart - GAP / 2, HEADING), 0.008, i * pitch + side, color=INK)
    )
    return page.finish()


def _outer(rows: Sequence[Row]) -> list[Row]:
    return [*rows[:PER_CLASS], *rows[-PER_CLASS:]]
