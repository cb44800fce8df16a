"""Pictures of codes, drawn from the files of numbers."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import LogLocator, NullFormatter

from ibdrop.artifacts.plotting import BLUE, GREEN, GREY, INK, WIDTH, shorten, styled
from ibdrop.files import read_csv

__all__ = ["ALPHA", "draw_histograms", "draw_scatter"]

Array = np.ndarray[Any, Any]
Row = dict[str, str]
ALPHA = "alpha of "
FEW, MANY = 10, 20
SPREAD = 5.0
"""Ratio above which logarithmic axes tell more of positive codes than linear ones."""


@styled
def draw_scatter(archive: Path) -> Figure:
    """Draws the code of each test image as a point in the colour of its class.

    Arguments:
        archive: `latent_codes.npz`.
    """
    with np.load(archive) as content:
        data = {name: content[name] for name in content.files}
    points, positive = data["points"], _spread(data)
    figure = Figure(figsize=(WIDTH, 4.3 if positive else 6.0))
    panels = figure.subplots(1, 1 + positive, squeeze=False)[0]
    names = _names(data)
    _panel(panels[0], points, data, names)
    panels[0].set(title=f"Codes of {len(points):,} test images")
    if positive:
        lit = (points > 0).all(1)
        _panel(panels[1], points[lit], {**data, "labels": data["labels"][lit]}, names)
        panels[1].set(xscale="log", yscale="log", title="Logarithmic axes")
        _left_out(panels[1], int((~lit).sum()))
        _focus(panels[1], points[lit])
    if len(data["classes"]) <= MANY:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside right upper", markerscale=3, title="class")
    for axes in panels:
        axes.set(xlabel=names[0], ylabel=names[1])
    return figure


def _panel(axes: Axes, points: Array, data: dict[str, Array], names: tuple[str, str]) -> None:
    classes, labels = data["classes"].tolist(), data["labels"]
    few = len(classes) <= MANY
    style: dict[str, Any] = {"s": 5, "alpha": 0.55, "linewidths": 0, "rasterized": True}
    if not few:
        drawn = axes.scatter(points[:, 0], points[:, 1], c=labels, cmap="turbo", **style)
        axes.figure.colorbar(drawn, ax=axes, label="number of the class")
        return
    colours = matplotlib.colormaps["tab10" if len(classes) <= FEW else "tab20"]
    # Points are drawn in the order of the images, so that no class covers all others.
    painted = [colours(label) for label in labels]
    axes.scatter(points[:, 0], points[:, 1], c=painted, **style)
    for label, name in enumerate(classes):
        own = points[labels == label]
        axes.scatter([], [], color=colours(label), label=shorten(name, 14), s=5)
        if len(own):
            halo = [withStroke(linewidth=2.5, foreground="white")]
            x, y = np.median(own, 0)
            style = {"weight": "bold", "ha": "center", "va": "center", "path_effects": halo}
            axes.text(x, y, shorten(name, 8), **style)


def _names(data: dict[str, Array]) -> tuple[str, str]:
    """What the axes are."""
    units, shares = int(data["units"]), data["shares"]
    if units == 2:
        return "first unit of the code", "second unit of the code"
    first, second = (
        f"{word} principal component of {units} units ({share:.0%} of the variance)"
        for word, share in zip(("first", "second"), shares, strict=True)
    )
    return first, second


def _spread(data: dict[str, Array]) -> bool:
    """Whether both units are positive and reach over ratios that linear axes hide."""
    points = data["points"]
    lit = points[(points > 0).all(1)]
    if int(data["units"]) != 2 or points.min() < 0 or len(lit) < 2:
        return False
    low, high = np.quantile(lit, (0.05, 0.95), axis=0)
    return bool((high > SPREAD * low).any())


def _left_out(axes: Axes, dark: int) -> None:
    """Says how many points have no place on logarithmic axes."""
    if dark:
        words = f"without {dark:,} that have a unit at 0"
        axes.set_title(words, loc="right", fontsize=8, fontweight="normal", color=GREY)


def _focus(axes: Axes, points: Array) -> None:
    """Leaves out the thousandth at either end, which would push all others together."""
    low, high = np.quantile(points, (0.001, 0.999), axis=0)
    axes.set_xlim(low[0] / 1.3, high[0] * 1.3)
    axes.set_ylim(low[1] / 1.3, high[1] * 1.3)


@styled
def draw_histograms(bins: Path, units: Path) -> Figure:
    """Draws histograms of the activities and of the strength of the noise.

    Arguments:
        bins: `latent_histograms.csv`.
        units: `latent_units.csv`.
    """
    rows, known = read_csv(bins), read_csv(units)
    groups = [(name, list(own)) for name, own in groupby(rows, lambda row: row["quantity"])]
    figure = Figure(figsize=(WIDTH, 3.2 * len(groups)))
    panels = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    for axes, (name, own) in zip(panels, groups, strict=True):
        left, right = (np.array([float(row[key]) for row in own]) for key in ("low", "high"))
        counts = np.array([float(row["count"]) for row in own])
        shares = 100 * counts / counts.sum()
        activity = name == "activity"
        axes.bar(left, shares, right - left, align="edge", color=BLUE if activity else GREEN)
        axes.set(ylabel="share of units and images [%]")
        axes.grid(False, axis="x")
        if activity:
            zero = np.mean([float(row["share_zero"]) for row in known])
            words = f", {zero:.0%} exactly 0" if zero >= 0.005 else ""
            axes.set(title=f"Activities of {len(known)} units of the code{words}")
            axes.set(xlabel="activity, without noise")
            if _uneven(shares):
                axes.set_yscale("log")
        else:
            _alpha(axes, own, name)
    return figure


def _uneven(shares: Array) -> bool:
    """Whether most bins would be too low to see; a few separate values are no such case."""
    filled = shares[shares > 0]
    return len(filled) > len(shares) / 3 and bool(shares.max() > 50 * np.median(filled))


def _alpha(axes: Axes, rows: list[Row], name: str) -> None:
    axes.set(xscale="log", title=f"Strength of the noise in layer {name.removeprefix(ALPHA)}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel=r"$\alpha$ of each unit and image")
    cap = rows[0]["cap"]
    if cap:
        axes.axvline(float(cap), color=INK, linewidth=1.2, linestyle="--")
        style: dict[str, Any] = {"color": GREY, "fontsize": 8, "ha": "right", "va": "top"}
        words = "carries nothing "
        axes.text(float(cap), 0.97, words, transform=axes.get_xaxis_transform(), **style)
