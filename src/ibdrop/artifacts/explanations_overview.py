"""All explained images in one picture, a row each, drawn from the files of numbers."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from ibdrop.artifacts import explanations_tiles as tiles
from ibdrop.artifacts.explanations_content import Shown, percent, spoken
from ibdrop.artifacts.explanations_tiles import Tile
from ibdrop.artifacts.plotting import GREY, INK, RED, WIDTH, number, sheet, shorten, styled

__all__ = ["MOST", "draw_overview", "layer_shown"]

MOST = 24
"""Rows drawn; the tables hold all images."""

LEFT, MARGIN, GAP = 0.95, 0.12, 0.07
HEAD, NAMES, BELOW, FOOT = 0.62, 0.34, 0.21, 0.45
WIDEST, SMALL = 1.35, 7.5
FINE = 7
"""Positions a side which a layer needs for its map to tell where."""


@styled
def draw_overview(images: Sequence[Shown]) -> Figure:
    """Draws each image with the outline of its mask, composites, heat, KL map and baselines.

    Where several areas were asked for, the mask is that of `Shown.best`. The KL maps are of one
    layer and share one scale in nats; the baselines have a scale each.

    Arguments:
        images: What `ibdrop.artifacts.explanations_content.load` read.
    """
    rows, layer = images[:MOST], layer_shown(images[0])
    baselines = images[0].baselines
    columns = 4 + (layer is not None) + len(baselines)
    pitch = min(WIDEST, (WIDTH - LEFT - MARGIN) / columns)
    top = HEAD + NAMES
    tall = (pitch - GAP) * images[0].slimness
    step = tall + GAP + BELOW
    figure, axes = sheet(WIDTH, top + len(rows) * step + FOOT * (layer is not None))
    _title(axes, images, len(rows))
    _names(axes, images[0], layer, pitch)
    most = max((float(row.arrays[f"kl_{layer}"].max()) for row in rows if layer), default=0.0)
    colours = None
    for place, shown in enumerate(rows):
        y = top + place * step
        line = [Tile(axes, LEFT + n * pitch, y, pitch - GAP, tall) for n in range(columns)]
        _words(line[0], shown)
        _perturbed(line[:4], shown)
        if layer:
            colours = _kl(line[4], shown, layer, max(most, 0.01))
        for tile, name in zip(line[columns - len(baselines) :], baselines, strict=True):
            tiles.own_scale(tile, shown.arrays[f"baseline_{name}"], shown.arrays.get("boxes"))
    if colours is not None:
        at = (LEFT + 4 * pitch + 0.04, top + len(rows) * step + 0.06, pitch - 0.15)
        tiles.bar(figure, colours, at, "nats per position")
    return figure


def layer_shown(shown: Shown) -> str | None:
    """The deepest layer whose map is fine enough to tell where, else the first; None without."""
    fine = [layer for layer in shown.layers if min(shown.arrays[f"kl_{layer}"].shape) >= FINE]
    return next(reversed(fine), next(iter(shown.layers), None))


def _title(axes: Axes, images: Sequence[Shown], rows: int) -> None:
    row, count = images[0].rows[0], len(images)
    most = f", the first {rows} of {count} images" if rows < count else ""
    head = f"{row['game'].capitalize()}, {row['method']}{most}"
    axes.text(MARGIN, 0.1, head, fontsize=11.5, weight="bold", va="top")
    deletes = images[0].deletes
    works = "below a tenth of" if deletes else "above half of"
    kept = [_works(shown, "p_optimised") for shown in images]
    both = sum(one and _works(shown, "p_second") for one, shown in zip(kept, images, strict=True))
    text = (
        f"probability {works} its start in {sum(kept)} of {count} images with the "
        f"fill {row['fill']}, in {both} with {row['second_fill']} too"
    )
    axes.text(MARGIN, 0.34, text, fontsize=9.5, va="top")
    settings = shorten(f"{row['settings']} seed={row['seed']}", 60)
    axes.text(WIDTH - MARGIN, 0.13, settings, color=GREY, fontsize=8, ha="right", va="top")


def _works(shown: Shown, column: str) -> bool:
    start, now = float(shown.result["p_start"]), float(shown.result[column])
    return now < 0.1 * start if shown.deletes else now > 0.5 * start


def _names(axes: Axes, shown: Shown, layer: str | None, pitch: float) -> None:
    row = shown.rows[0]
    words = [
        "image\nand mask",
        f"fill:\n{row['fill']}",
        f"second fill:\n{row['second_fill']}",
        "heat",
    ]
    words += [f"KL map\n{layer}"] if layer else []
    words += [spoken(name).replace(" ", "\n", 1) for name in shown.baselines]
    for column, word in enumerate(words):
        tile = Tile(axes, LEFT + column * pitch, HEAD + NAMES, pitch - GAP, 0.0)
        tile.above(word, fontsize=8, linespacing=1.05)


def _words(tile: Tile, shown: Shown) -> None:
    """Number, class asked for, and what the network takes the image for if that is another."""
    row = shown.result
    wrong = row["prediction"] != row["class"]
    lines = [f"{row['index']}", shorten(row["class"], 13)]
    lines += [f"taken for {shorten(row['prediction'], 8)}"] if wrong else []
    if row["adversarial"] == "True":
        tile.axes.text(
            tile.x - 0.08, tile.y + tile.tall, "adversarial", ha="right", fontsize=SMALL, color=RED
        )
    colour = RED if row["label"] not in ("", row["prediction"]) else INK
    at = (tile.x - 0.08, tile.y + tile.tall / 2)
    text = "\n".join(["image " + lines[0], *lines[1:]])
    tile.axes.text(*at, text, ha="right", va="center", fontsize=8, color=colour)


def _perturbed(line: Sequence[Tile], shown: Shown) -> None:
    arrays, row, area = shown.arrays, shown.result, shown.best
    box = arrays.get("boxes")
    tiles.outline(line[0], arrays["images"], arrays["masks"][area], box)
    line[0].below(percent(row["p_start"]), fontsize=SMALL)
    alarm = row["adversarial"] == "True"
    for tile, which, column in (
        (line[1], "", "p_optimised"),
        (line[2], "_second", "p_second"),
    ):
        tiles.image(tile, arrays[f"composites{which}"][area])
        colour = RED if which and alarm else INK
        tile.below(percent(row[column]), fontsize=SMALL, color=colour)
    tiles.heat_over(line[3], arrays["images"], arrays["heat"], box)
    verb = "deleted" if shown.deletes else "kept"
    line[3].below(f"{percent(row['area'])} {verb}", fontsize=SMALL)


def _kl(tile: Tile, shown: Shown, layer: str, most: float) -> ScalarMappable:
    nats, size = shown.arrays[f"kl_{layer}"], shown.arrays["heat"].shape
    tile.below(f"{number(float(nats.sum()))} nats", fontsize=SMALL)
    return tiles.kl(tile, nats, most, (size[0], size[1]), shown.arrays.get("boxes"))
