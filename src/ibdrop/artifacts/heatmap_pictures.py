"""Pictures of KL heat maps and of their quality, drawn from the files of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ibdrop.artifacts.plotting import (
    BLUE,
    GREY,
    HEAT,
    INK,
    ORANGE,
    RED,
    WIDTH,
    number,
    put,
    sheet,
    shorten,
    styled,
)
from ibdrop.artifacts.scores import COLLAPSED
from ibdrop.files import read_csv

__all__ = ["draw_maps", "draw_overlay", "draw_quality"]

CELL, GAP = 1.5, 0.08
SHORT = 5
HEAD, CAPTION, FOOT = 0.55, 0.16, 0.55


def draw_maps(archive: Path) -> Figure:
    """Draws images beside their maps, one colour scale per layer, in absolute nats.

    Arguments:
        archive: `kl_maps.npz`.
    """
    return _grid(archive, overlay=False)


def draw_overlay(archive: Path) -> Figure:
    """Draws the maps over the images; where there are no nats the image stays as it is.

    Arguments:
        archive: `kl_maps.npz`.
    """
    return _grid(archive, overlay=True)


@styled
def _grid(archive: Path, overlay: bool) -> Figure:
    with np.load(archive) as content:
        data = {name: content[name] for name in content.files}
    layers, images = data["layers"].tolist(), data["images"]
    rows, columns = len(images), len(layers) + 1
    words = "\n".join(_named(data, row) for row in range(rows))
    left = 0.25 + 0.09 * max(map(len, words.split("\n")))
    pitch = min(CELL, (WIDTH - left) / columns)
    total = HEAD + rows * (pitch + CAPTION) + FOOT
    figure, axes = sheet(left + columns * pitch, total)
    axes.text(left + (pitch - GAP) / 2, HEAD - 0.09, "input", weight="bold", ha="center")
    for row in range(rows):
        _input(axes, data, row, (left, HEAD + row * (pitch + CAPTION)), pitch - GAP)
    for column, layer in enumerate(layers, start=1):
        maps, x = data[f"kl_{layer}"], left + column * pitch
        _title(axes, layer, maps, float(data["nats"][column - 1]), x + (pitch - GAP) / 2)
        colours = ScalarMappable(Normalize(0, max(float(maps.max()), COLLAPSED)), HEAT)
        for row in range(rows):
            corner = (x, HEAD + row * (pitch + CAPTION))
            _map(axes, images[row], maps[row], colours, corner, pitch - GAP, overlay)
        place = (x + 0.06, total - FOOT + 0.1, pitch - GAP - 0.12, 0.09)
        _bar(figure, colours, place)
    return figure


def _input(
    axes: Axes, data: dict[str, Any], row: int, corner: tuple[float, float], side: float
) -> None:
    image = data["images"][row]
    drawn = put(axes, image, corner, side)
    if "boxes" in data:
        x, _, _, y = drawn.get_extent()
        top, left, bottom, right = (data["boxes"][row] * side / max(image.shape[1:])).tolist()
        style: dict[str, Any] = {"fill": False, "edgecolor": ORANGE, "linewidth": 1.4}
        axes.add_patch(Rectangle((x + left, y + top), right - left, bottom - top, **style))
    colour = INK if data["labels"][row] == data["predictions"][row] else RED
    at = corner[0] - 0.1, corner[1] + side / 2
    axes.text(*at, _named(data, row), ha="right", va="center", color=colour)


def _named(data: dict[str, Any], row: int) -> str:
    """The class, and what the network takes it for if that is another."""
    names = data["classes"].tolist()
    label, predicted = int(data["labels"][row]), int(data["predictions"][row])
    text = shorten(names[label], 10)
    if label == predicted:
        return text
    between = " " if len(text + names[predicted]) < SHORT else "\n"
    return f"{text}{between}→ {shorten(names[predicted], 10)}"


def _map(
    axes: Axes,
    image: np.ndarray[Any, Any],
    heat: np.ndarray[Any, Any],
    colours: ScalarMappable,
    corner: tuple[float, float],
    side: float,
    overlay: bool,
) -> None:
    x, y = corner[0] + side / 2, corner[1] + side + 0.045
    axes.text(x, y, f"{number(heat.sum())} nats", fontsize=7.5, ha="center", va="top")
    if overlay:
        pixels = put(axes, image, corner, side)
        place: dict[str, Any] = {"extent": pixels.get_extent(), "aspect": "auto"}
        strength = np.sqrt(np.clip(colours.norm(heat), 0, 1))
        axes.imshow(colours.to_rgba(heat), alpha=0.85 * strength, **place)
    else:
        low, high = colours.get_clim()
        put(axes, heat, corner, side, cmap=HEAT, vmin=low, vmax=high)


def _bar(figure: Figure, colours: ScalarMappable, place: tuple[float, ...]) -> None:
    """A colour bar at x, y, width and height in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    x, y, wide, tall = place
    axes = figure.add_axes((x / width, 1 - (y + tall) / height, wide / width, tall / height))
    bar = figure.colorbar(colours, cax=axes, orientation="horizontal")
    bar.set_label("nats per position", fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7.5, length=2, pad=2)
    axes.locator_params(nbins=3)
    axes.xaxis.set_major_formatter("{x:g}")


def _title(axes: Axes, layer: str, maps: np.ndarray[Any, Any], nats: float, x: float) -> None:
    size = f"{layer}  {maps.shape[1]}×{maps.shape[2]}"
    axes.text(x, HEAD - 0.27, size, weight="bold", ha="center")
    collapsed = nats < COLLAPSED
    text = f"{number(nats)} nats: collapsed" if collapsed else f"mean {number(nats)} nats"
    colour = RED if collapsed else INK
    axes.text(x, HEAD - 0.09, text, fontsize=8, color=colour, ha="center")


@styled
def draw_quality(table: Path) -> Figure:
    """Draws rank and mass of each layer with floors and ceilings, and nats inside and outside.

    Arguments:
        table: `heatmap_quality.csv`.
    """
    rows = read_csv(table)
    strokes = any(row["rank_strokes"] not in ("", "nan") for row in rows)
    rank, mass = ("rank_strokes", "mass_strokes") if strokes else ("rank_box", "energy_padded")
    titles = ("Rank accuracy", "Mass accuracy" if strokes else "Mass in the padded box")
    figure = Figure(figsize=(WIDTH, 3.9))
    one, two, three = figure.subplots(1, 3)
    _bars(one, rows, rank, titles[0])
    _bars(two, rows, mass, titles[1])
    _nats(three, rows)
    one.set_ylabel(f"share on the {'strokes' if strokes else 'box'}")
    handles = [
        Rectangle((0, 0), 1, 1, facecolor=BLUE),
        Rectangle((0, 0), 1, 1, facecolor="#d5dae0", edgecolor=GREY),
        Line2D([], [], color=RED, linewidth=1.6),
        Line2D([], [], color=GREY, linewidth=1.2, linestyle=":"),
        Line2D([], [], color=INK, linewidth=2.2),
    ]
    labels = [
        "trained (95 %)",
        "untrained",
        "best floor",
        "uniform map",
        "oracle at the layer's size",
    ]
    figure.legend(handles, labels, loc="outside lower center", ncols=5, handlelength=1.6)
    return figure


def _bars(axes: Axes, rows: list[dict[str, str]], measure: str, title: str) -> None:
    layers = [row for row in rows if row["kind"] == "layer"]
    fresh = {row["layer"]: row for row in rows if row["kind"] == "untrained"}
    best = {row["layer"]: row for row in rows if row["kind"] == "ceiling"}
    for x, row in enumerate(layers):
        value, other = _value(row, measure), _value(fresh[row["layer"]], measure)
        low, high = _value(row, f"{measure}_low"), _value(row, f"{measure}_high")
        axes.bar(x - 0.19, value, 0.36, color=BLUE)
        axes.bar(x + 0.19, other, 0.36, color="#d5dae0", edgecolor=GREY, linewidth=0.8)
        spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(x - 0.19, value, spread, color=INK, linewidth=1.1, capsize=2.5)
        top = _value(best[row["layer"]], measure)
        axes.plot([x - 0.42, x + 0.42], [top, top], color=INK, linewidth=2.2)
        if row["collapsed"] == "True":
            axes.text(x, 0.02, "collapsed", rotation=90, color=RED, ha="center", fontsize=8)
    floors = {row["source"]: _value(row, measure) for row in rows if row["kind"] == "floor"}
    axes.axhline(floors["best floor"], color=RED, linewidth=1.6)
    axes.axhline(floors["floor uniform"], color=GREY, linewidth=1.2, linestyle=":")
    axes.set_xticks(range(len(layers)), [_name(row) for row in layers])
    axes.set(title=title, ylim=(0, 1.0))
    axes.grid(False, axis="x")


def _nats(axes: Axes, rows: list[dict[str, str]]) -> None:
    layers = [row for row in rows if row["kind"] == "layer"]
    for x, row in enumerate(layers):
        inside, outside = _value(row, "nats_inside"), _value(row, "nats_outside")
        first, last = x == 0, f"{number(inside + outside)}"
        axes.bar(x, inside, 0.6, color=BLUE, label="inside the padded box" if first else None)
        axes.bar(x, outside, 0.6, inside, color=ORANGE, label="outside" if first else None)
        axes.annotate(
            last,
            (x, inside + outside),
            (0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=8,
        )
    axes.set_xticks(range(len(layers)), [_name(row) for row in layers])
    axes.set(title="Information", ylabel="nats per image")
    axes.margins(y=0.3)
    axes.grid(False, axis="x")
    axes.legend(loc="upper right")


def _name(row: dict[str, str]) -> str:
    return f"{row['layer']}\n{row['resolution'].replace('x', '×')}"


def _value(row: dict[str, str], name: str) -> float:
    return float(row[name] or "nan")
