"""The least sure images with what the network makes of them, and by which score they are so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    WIDTH,
    shorten,
    styled,
)
from ibdrop.artifacts.ranking_sheet import (
    GAP,
    MARGIN,
    Ranking,
    Row,
    Sheet,
    caption_height,
    words,
)

__all__ = ["SCORES", "UNCERTAIN", "draw_side_by_side", "draw_uncertain"]

UNCERTAIN = 8
"""Images shown with their predictive distribution."""

SCORES = {
    "deterministic_entropy": "entropy, noise off",
    "entropy": "Monte Carlo entropy",
    "mutual_information": "mutual information",
}
"""The scores that are set side by side, and how they are called."""

BARS = 10
TOPS = (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)
LONGEST = 8
TITLE = 0.5
ABREAST = 5
APART = 0.28
HEAD = 1.22


@styled
def draw_uncertain(ranking: Ranking) -> Figure:
    """Draws the least sure images with their predictive distribution and both parts of H."""
    rows = ranking.rows[:UNCERTAIN]
    height = 1.4 + caption_height(rows)
    page = Sheet(WIDTH, TITLE + -(-len(rows) // 2) * height)
    _key(page)
    largest = max(_probabilities(row, ranking).max() for row in rows)
    top = next((value for value in TOPS if value >= 1.02 * largest), 1.0)
    for i, row in enumerate(rows):
        x, y = MARGIN + (i % 2) * (WIDTH / 2), TITLE + (i // 2) * height
        page.tile(row, ranking.images[int(row["index"])], (x, y), 1.25, font=9)
        place = x + 1.8, y + 0.2, WIDTH / 2 - 2.15, 1.05
        corner = place[0] / page.width, 1 - (place[1] + place[3]) / page.height
        size = place[2] / page.width, place[3] / page.height
        panel = page.figure.add_axes((*corner, *size))
        _distribution(panel, row, ranking)
        panel.set(ylim=(0, top), yticks=[0, top / 2, top])
    return page.finish()


def _key(page: Sheet) -> None:
    """The title of the uncertain images and what the colours of their bars mean."""
    page.text(MARGIN, 0.2, "The least sure test images", weight="bold", fontsize=12)
    page.text(WIDTH - 4.55, 0.2, "bars: predictive distribution", fontsize=8.5, ha="right")
    x = WIDTH - 4.3
    for colour, word, wide in (
        (GREEN, "true class", 0.98),
        (RED, "predicted (wrong)", 1.4),
        (GREY, "others", 0.75),
        (INK, "noise off", 0.8),
    ):
        outline: dict[str, Any] = {"color": colour, "fill": colour != INK}
        page.axes.add_patch(Rectangle((x, 0.15), 0.1, 0.1, **outline))
        page.text(x + 0.16, 0.2, word, fontsize=8.5)
        x += wide


def _distribution(panel: Axes, row: Row, ranking: Ranking) -> None:
    """Bars of the largest probabilities, in the order of the classes."""
    both = _probabilities(row, ranking)
    largest = np.sort(np.argsort(-both.max(0), kind="stable")[:BARS])
    names = [ranking.classes[k] for k in largest]
    places = range(len(names))
    panel.bar(places, both[0, largest], color=[_colour(name, row) for name in names])
    if ranking.sampled:
        outline: dict[str, Any] = {"fill": False, "edgecolor": INK, "linewidth": 1.0}
        panel.bar(places, both[1, largest], width=0.56, **outline)
    long = max(map(len, names)) > 2
    turn: dict[str, Any] = {"rotation": 40, "ha": "right"} if long else {}
    panel.set_xticks(places, [shorten(name, 11) for name in names], fontsize=8, **turn)
    panel.set_ylabel("probability", fontsize=8)
    panel.tick_params(axis="x", length=0)
    panel.grid(False, axis="x")
    panel.set_title(_parts(row), fontsize=8.5, weight="normal")


def _probabilities(row: Row, ranking: Ranking) -> np.ndarray[Any, Any]:
    """Of each class, over the passes and with the noise off, with shape (2, K)."""
    sampled = [float(row[f"p_{name}"]) for name in ranking.classes]
    return np.stack([sampled, ranking.deterministic[int(row["index"])]])


def _parts(row: Row) -> str:
    h, error = float(row["entropy"]), row["entropy_se"]
    spread = f" ± {float(error):.2f}" if error else ""
    disagreement = float(row["mutual_information"])
    variance = float(row["variance"])
    return f"H {h:.2f}{spread}, MI {disagreement:.2f} nats, var. {variance:.2f}"


def _colour(name: str, row: Row) -> str:
    if name == row["label"]:
        return GREEN
    return RED if name == row["predicted"] else GREY


@styled
def draw_side_by_side(ranking: Ranking, count: int) -> Figure:
    """Draws the `count` least sure images by three scores, and marks which ones they share.

    Arguments:
        ranking: The files of the ranking.
        count: Images of each score.
    """
    tops = {score: _top(ranking.rows, score, count) for score in SCORES}
    votes = Counter(row["index"] for rows in tops.values() for row in rows)
    wide = (WIDTH - 2 * MARGIN - 2 * APART) / 3
    side = wide / ABREAST
    shown = [row for rows in tops.values() for row in rows]
    pitch = side + caption_height(shown) - 0.06
    lines = -(-len(tops["entropy"]) // ABREAST)
    page = Sheet(WIDTH, HEAD + lines * pitch + 0.1)
    _heading(page, len(tops["entropy"]), len(ranking.rows))
    for place, (score, rows) in enumerate(tops.items()):
        x = MARGIN + place * (wide + APART)
        _column_head(page, ranking, score, x)
        for i, row in enumerate(rows):
            line, column = divmod(i, ABREAST)
            corner = x + column * side, HEAD + line * pitch
            image = ranking.images[int(row["index"])]
            page.image(image, corner, side - GAP, _mark(votes[row["index"]]))
            colour = INK if row["correct"] == "True" else RED
            text = words(row, score, "", LONGEST).replace("   ", "  ")
            page.caption(text, corner, side - GAP, 6, colour)
    return page.finish()


def _top(rows: Sequence[Row], score: str, count: int) -> list[Row]:
    return sorted(rows, key=lambda row: (-float(row[score]), int(row["index"])))[:count]


def _mark(votes: int) -> str | None:
    return {1: ORANGE, 2: BLUE}.get(votes)


def _heading(page: Sheet, count: int, images: int) -> None:
    title = f"The {count} least sure test images by three scores"
    page.text(MARGIN, 0.2, title, weight="bold", fontsize=12)
    key = (
        f"n of {count}: images in both; ρ: Spearman's rank correlation over all {images:,} images"
    )
    page.text(MARGIN, 0.43, key, fontsize=8.5)
    x = WIDTH - 3.8
    for colour, word, wide in (
        (None, "no frame: in all three", 1.45),
        (BLUE, "in two", 0.7),
        (ORANGE, "only here", 0.85),
    ):
        if colour:
            box: dict[str, Any] = {"fill": False, "edgecolor": colour, "linewidth": 2}
            page.axes.add_patch(Rectangle((x, 0.145), 0.11, 0.11, **box))
        page.text(x + (0.18 if colour else 0), 0.2, word, fontsize=8.5)
        x += wide
    page.text(x, 0.2, "red: wrong", fontsize=8.5, color=RED)


def _column_head(page: Sheet, ranking: Ranking, score: str, x: float) -> None:
    """The name of a score and how it agrees with the two others."""
    page.text(x, 0.72, f"By {SCORES[score]} [nats]", weight="bold")
    y = 0.91
    for other in SCORES:
        if other != score:
            page.text(x, y, _agreement(ranking.agreement, score, other), fontsize=8)
            y += 0.16


def _agreement(rows: Sequence[Mapping[str, str]], score: str, other: str) -> str:
    row = next(row for row in rows if {row["first"], row["second"]} == {score, other})
    ranks = f"ρ {float(row['spearman']):.3f}" if row["spearman"] else "no order"
    return f"with {SCORES[other]}: {row['highest']} of {row['shown']}, {ranks}"
