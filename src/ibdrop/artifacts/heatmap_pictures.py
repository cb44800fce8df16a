"""Pictures of KL heat maps and of their quality, drawn from the files of numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
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
    bare,
    number,
    shorten,
    show_image,
    styled,
)
from ibdrop.artifacts.scores import COLLAPSED
from ibdrop.files import read_csv

__all__ = ["draw_maps", "draw_overlay", "draw_quality"]

CELL = 1.45


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
    cell = min(CELL, WIDTH / columns)
    figure = Figure(figsize=(cell * columns, cell * rows + 1.35))
    panels = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        _input(panels[row, 0], data, row)
    panels[0, 0].set_title("input", fontsize=10, loc="center")
    for column, layer in enumerate(layers, start=1):
        maps = data[f"kl_{layer}"]
        top = float(maps.max())
        for row in range(rows):
            panel = panels[row, column]
            shown = _map(panel, images[row], maps[row], top, overlay)
            panel.set_xlabel(f"{number(maps[row].sum())} nats", fontsize=7.5, labelpad=2)
        _title(panels[0, column], layer, maps.shape[1:], float(data["nats"][column - 1]))
        bar = figure.colorbar(
            shown, ax=panels[:, column], location="bottom", aspect=14, shrink=0.9, pad=0.01
        )
        bar.set_label("nats per position", fontsize=8)
        bar.ax.tick_params(labelsize=7.5)
        bar.ax.locator_params(nbins=4)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.02)  # type: ignore[union-attr, call-arg]
    return figure


def _input(panel: Axes, data: dict[str, Any], row: int) -> None:
    names = data["classes"].tolist()
    label, predicted = int(data["labels"][row]), int(data["predictions"][row])
    height, width = data["images"].shape[2:]
    show_image(panel, data["images"][row], extent=(0, width, height, 0))
    if "boxes" in data:
        top, left, bottom, right = data["boxes"][row].tolist()
        corner, size = (left, top), (right - left, bottom - top)
        panel.add_patch(Rectangle(corner, *size, fill=False, edgecolor=ORANGE, linewidth=1.4))
    text = shorten(names[label], 12)
    if label != predicted:
        text += f"\n→ {shorten(names[predicted], 10)}"
    panel.set_ylabel(text, rotation=0, ha="right", va="center", fontsize=10, labelpad=6)
    panel.yaxis.label.set_color(INK if label == predicted else RED)


def _map(
    panel: Axes, image: np.ndarray[Any, Any], heat: np.ndarray[Any, Any], top: float, over: bool
) -> Any:
    height, width = image.shape[1:]
    bare(panel)
    scale: dict[str, Any] = {"vmin": 0, "vmax": top or 1, "extent": (0, width, height, 0)}
    if not over:
        return panel.imshow(heat, cmap=HEAT, **scale)
    show_image(panel, image, extent=(0, width, height, 0), alpha=0.55)
    panel.set_facecolor("black")
    strength = np.clip(heat / (top or 1), 0, 1)
    panel.imshow(heat, cmap=HEAT, alpha=0.9 * np.sqrt(strength), **scale)
    scalars = matplotlib.cm.ScalarMappable(cmap=HEAT)
    scalars.set_clim(0, top or 1)
    return scalars


def _title(panel: Axes, layer: str, size: tuple[int, ...], nats: float) -> None:
    panel.set_title(f"{layer}  {size[0]}×{size[1]}", fontsize=10, loc="center", pad=15)
    collapsed = nats < COLLAPSED
    text = f"{number(nats)} nats: collapsed" if collapsed else f"mean {number(nats)} nats"
    colour = RED if collapsed else INK
    style: dict[str, Any] = {"fontsize": 8, "color": colour, "ha": "center", "va": "bottom"}
    panel.annotate(text, (0.5, 1), (0, 4), "axes fraction", "offset points", **style)


@styled
def draw_quality(table: Path) -> Figure:
    """Draws rank and mass of each layer with floors and ceilings, and nats inside and outside.

    Arguments:
        table: `heatmap_quality.csv`.
    """
    rows = read_csv(table)
    strokes = any(row["rank_strokes"] not in ("", "nan") for row in rows)
    rank, mass = ("rank_strokes", "mass_strokes") if strokes else ("rank_box", "energy_padded")
    titles = ("Rank accuracy", "Mass on the strokes" if strokes else "Mass in the padded box")
    figure = Figure(figsize=(WIDTH, 3.9))
    one, two, three = figure.subplots(1, 3)
    _bars(one, rows, rank, titles[0])
    _bars(two, rows, mass, titles[1])
    _nats(three, rows)
    one.set_ylabel(f"share on the {'strokes' if strokes else 'target'}")
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
    axes.margins(y=0.22)
    axes.grid(False, axis="x")
    axes.legend(loc="upper right")


def _name(row: dict[str, str]) -> str:
    return f"{row['layer']}\n{row['resolution'].replace('x', '×')}"


def _value(row: dict[str, str], name: str) -> float:
    return float(row[name] or "nan")
