"""One picture for each explained image, drawn from the files of numbers."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts import explanations_tiles as tiles
from ibdrop.artifacts.explanations_content import Shown, percent, spoken
from ibdrop.artifacts.explanations_panels import PANELS, panels
from ibdrop.artifacts.explanations_tiles import Tile
from ibdrop.artifacts.plotting import GREY, INK, RED, WIDTH, number, sheet, shorten, styled

__all__ = ["change", "draw_explanation", "named"]

COLUMNS, MARGIN, GAP = 5, 0.15, 0.1
HEAD, ABOVE, BELOW, HEADING, BAR = 0.8, 0.22, 0.24, 0.3, 0.36


@styled
def draw_explanation(shown: Shown) -> Figure:
    """Draws an image, its masks and composites, trace and curves, KL maps and baselines.

    Arguments:
        shown: What `ibdrop.artifacts.explanations_content.load` read of it.
    """
    columns = max(COLUMNS, 1 + len(shown.rows))
    pitch = (WIDTH - 2 * MARGIN) / columns
    rows = 1 if len(shown.rows) == 1 else 3
    side = pitch - GAP
    next_row = side * shown.slimness + GAP + BELOW
    tall = ABOVE + next_row
    extra = _height(shown, len(shown.layers), columns, BAR)
    extra += _height(shown, len(shown.baselines), columns)
    above = tall + (rows - 1) * next_row
    figure, axes = sheet(WIDTH, HEAD + above + PANELS + extra)
    _title(axes, shown)
    y = HEAD
    corners = [
        [
            Tile(
                axes,
                MARGIN + column * pitch,
                y + row * next_row + ABOVE,
                side,
                side * shown.slimness,
            )
            for column in range(columns)
        ]
        for row in range(rows)
    ]
    (_one if rows == 1 else _several)(corners, shown)
    y += above
    panels(figure, shown, y)
    _maps(figure, axes, shown, y + PANELS, columns)
    return figure


def _title(axes: Axes, shown: Shown) -> None:
    row = shown.result
    name = shorten(row["name"], 28) if row["name"] else f"Image {row['index']}"
    asked = shorten(row["class"], 24)
    head = f"{name}, asked for “{asked}”: {row['game']}, {row['method']}"
    axes.text(MARGIN, 0.1, head, fontsize=11.5, weight="bold", va="top")
    axes.text(MARGIN, 0.34, change(row), fontsize=9.5, va="top")
    settings = shorten(f"{row['settings']} seed={row['seed']}", 60)
    alarmed = row["adversarial"] == "True"
    style: dict[str, Any] = {"x": WIDTH - MARGIN, "ha": "right"} if alarmed else {"x": MARGIN}
    axes.text(y=0.55, s=settings, color=GREY, fontsize=8, va="top", **style)
    if alarmed:
        text = "adversarial: the second fill disagrees"
        axes.text(MARGIN, 0.54, text, color=RED, fontsize=9.5, weight="bold", va="top")


def change(row: dict[str, str]) -> str:
    """What a mask did to the probability on both fills, and over which area, as a sentence."""
    verb = "deleted" if row["game"] == "deletion" else "kept"
    return (
        f"probability {percent(row['p_start'])} → {percent(row['p_optimised'])} with "
        f"the fill {row['fill']}, → {percent(row['p_second'])} with {row['second_fill']}; "
        f"{percent(row['area'])} of the picture {verb}"
    )


def named(row: dict[str, str]) -> str:
    """What the image is, where known, and what the network takes it for if that is another."""
    label, predicted = row["label"], row["prediction"]
    if not label:
        return "" if predicted == row["class"] else f"→ {shorten(predicted, 14)}"
    if label == predicted:
        return shorten(label, 16)
    return f"{shorten(label, 8)} → {shorten(predicted, 8)}"


def _one(rows: list[list[Tile]], shown: Shown) -> None:
    """Image, mask, heat and the composites on both fills in a row."""
    tile, arrays, row, box = rows[0], shown.arrays, shown.result, shown.arrays.get("boxes")
    _input(tile[0], shown)
    tile[1].above("mask")
    tiles.mask(tile[1], arrays["masks"][0], box)
    tile[1].below(_area(row, shown))
    tile[2].above("heat")
    tiles.heat_over(tile[2], arrays["images"], arrays["heat"], box)
    tile[2].below(_smallest(row))
    for place, which in ((tile[3], ""), (tile[4], "_second")):
        tiles.image(place, arrays[f"composites{which}"][0])
        place.above(_fill(row, which))
        place.below(_probability(row, which), color=_alarm(row, which))


def _several(rows: list[list[Tile]], shown: Shown) -> None:
    """A column for each area: mask and composites on both fills; image and heat at the left."""
    arrays, box = shown.arrays, shown.arrays.get("boxes")
    _input(rows[0][0], shown)
    tiles.heat_over(rows[1][0], arrays["images"], arrays["heat"], box)
    tiles.own_scale(rows[2][0], arrays["heat"], box)
    rows[1][0].below("heat over the image")
    rows[2][0].below(_smallest(shown.result))
    for area, row in enumerate(shown.rows):
        column = [line[area + 1] for line in rows]
        column[0].above(f"mask, {percent(row['asked_area'])}" if row["asked_area"] else "mask")
        tiles.mask(column[0], arrays["masks"][area], box)
        column[0].below(_area(row, shown))
        for place, which in ((column[1], ""), (column[2], "_second")):
            tiles.image(place, arrays[f"composites{which}"][area])
            fill = f"second, {row['second_fill']}" if which else row["fill"]
            words = f"{fill}: {percent(row['p_second' if which else 'p_optimised'])}"
            place.below(words, color=_alarm(row, which))


def _input(tile: Tile, shown: Shown) -> None:
    row = shown.result
    tile.above("image")
    tiles.image(tile, shown.arrays["images"], shown.arrays.get("boxes"))
    wrong = row["label"] not in ("", row["prediction"])
    words = [word for word in (named(row), _p(row["p_start"])) if word]
    tile.below(", ".join(words), color=RED if wrong else INK)


def _area(row: dict[str, str], shown: Shown) -> str:
    return f"{percent(row['area'])} {'deleted' if shown.deletes else 'kept'}"


def _smallest(row: dict[str, str]) -> str:
    if row["box_90"] == "nan":
        return "no box takes 90 %"
    return f"box of {percent(row['box_90'])} takes 90 %"


def _fill(row: dict[str, str], which: str) -> str:
    return f"second fill: {row['second_fill']}" if which else f"fill: {row['fill']}"


def _probability(row: dict[str, str], which: str) -> str:
    return _p(row["p_second" if which else "p_optimised"])


def _p(share: str) -> str:
    text = percent(share)
    return f"p {text}" if text[0] in "<>" else f"p = {text}"


def _alarm(row: dict[str, str], which: str) -> str:
    return RED if which and row["adversarial"] == "True" else INK


def _maps(figure: Figure, axes: Axes, shown: Shown, y: float, columns: int) -> None:
    size, box = shown.arrays["heat"].shape, shown.arrays.get("boxes")
    layers = _row(axes, shown, shown.layers, y, columns, "Information in the layers", BAR)
    for tile, layer in zip(layers, shown.layers, strict=True):
        nats = shown.arrays[f"kl_{layer}"]
        tile.above(f"{layer}  {nats.shape[0]}×{nats.shape[1]}")
        colours = tiles.kl(tile, nats, max(float(nats.max()), 0.01), (size[0], size[1]), box)
        tile.below(f"{number(float(nats.sum()))} nats")
        bar = (tile.x + 0.1, tile.y + tile.tall + 0.24, tile.side - 0.2)
        tiles.bar(figure, colours, bar, "nats per position")
    y += _height(shown, len(layers), columns, BAR)
    heading = "Other attributions, each on a scale of its own"
    others = _row(axes, shown, shown.baselines, y, columns, heading)
    for tile, name in zip(others, shown.baselines, strict=True):
        tile.above(shorten(spoken(name), 24))
        tiles.own_scale(tile, shown.arrays[f"baseline_{name}"], box)


def _row(
    axes: Axes,
    shown: Shown,
    names: list[str],
    y: float,
    columns: int,
    heading: str,
    extra: float = 0.0,
) -> list[Tile]:
    """Places for maps under a heading, in as many lines as they need."""
    if names:
        axes.text(MARGIN, y + 0.2, heading, weight="bold")
    pitch = (WIDTH - 2 * MARGIN) / columns
    side = pitch - GAP
    tall = side * shown.slimness
    step = ABOVE + tall + GAP + BELOW + extra
    corners = [divmod(place, columns) for place in range(len(names))]
    top = y + HEADING + ABOVE
    return [
        Tile(axes, MARGIN + column * pitch, top + line * step, side, tall)
        for line, column in corners
    ]


def _height(shown: Shown, count: int, columns: int, extra: float = 0.0) -> float:
    """The height of so many maps with their heading in inches."""
    tall = ((WIDTH - 2 * MARGIN) / columns - GAP) * shown.slimness
    lines = math.ceil(count / columns)
    return lines and HEADING + lines * (ABOVE + tall + GAP + BELOW + extra)
