"""The probe of initial weights: its table, and the picture drawn from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ibdrop.artifacts.plotting import BLUE, INK, ORANGE, WIDTH, save, styled
from ibdrop.files import read_csv, write_csv

__all__ = ["PANELS", "TABLE", "draw_probe", "span", "values", "write_probe"]

TABLE = "probe.csv"

PANELS = {
    "variance": ("Forward", r"Var[$y_l$]"),
    "gradient": ("Backward", r"Var[$\partial L/\partial y_l$]"),
    "cosine": ("Are images told apart?", r"mean cosine of $y_l$"),
    "dead": ("Dead ReLUs", "dead share of units"),
    "weight_gradient": ("Gradient of the weights", r"$\|\partial L/\partial W_l\|$"),
}
"""Title and axis of each quantity of the table."""

LINEAR = ("cosine", "dead")
COLOURS = {"off": BLUE, "on": ORANGE}


def write_probe(rows: Sequence[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Writes what a probe measured, and draws it.

    Arguments:
        rows: Those of `ibdrop.learning.probe.probe`.
        folder: Where to write.

    Returns:
        `probe.png` and `probe.csv`.
    """
    table = write_csv(folder / TABLE, rows)
    return [save(draw_probe(table), folder / "probe.png"), table]


@styled
def draw_probe(table: Path) -> Figure:
    """Draws what was measured, as points, over what the weights make one expect, as lines.

    Arguments:
        table: `probe.csv`.
    """
    rows = read_csv(table)
    figure = Figure(figsize=(WIDTH, 6.2))
    panels = figure.subplot_mosaic("AAABBB;CCDDEE")
    for axes, (name, (title, label)) in zip(panels.values(), PANELS.items(), strict=True):
        for noise in dict.fromkeys(row["noise"] for row in rows):
            _series(axes, [row for row in rows if row["noise"] == noise], name)
        axes.set(title=title, ylabel=label, xlabel="layer $l$")
        span(axes, name)
    _key(figure, panels["A"], {row["noise"] for row in rows})
    return figure


def span(axes: Axes, name: str) -> None:
    """Sets the scales of a panel: shares and cosines are from 0 to 1, the rest logarithmic."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if name in LINEAR:
        low = min(0.0, axes.get_ylim()[0])
        axes.set_ylim(-0.03 if low > -0.03 else low, 1.03)
        return
    if not any(line.get_ydata(orig=False).size for line in axes.lines):  # type: ignore[union-attr]
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    if high < 100 * low:
        axes.set_ylim(low / 5, high * 5)


def values(rows: Sequence[Mapping[str, str]], name: str) -> tuple[list[int], list[float]]:
    """Layers and figures of the rows that have a figure, zeros of logarithmic ones left out."""
    known = [row for row in rows if row.get(name)]
    if name.removesuffix("_predicted") not in LINEAR:
        known = [row for row in known if float(row[name]) > 0]
    return [int(row["layer"]) for row in known], [float(row[name]) for row in known]


def _series(axes: Axes, rows: Sequence[Mapping[str, str]], name: str) -> None:
    colour = COLOURS[rows[0]["noise"]]
    for segment in dict.fromkeys(row["segment"] for row in rows):
        part = [row for row in rows if row["segment"] == segment]
        axes.plot(*values(part, f"{name}_predicted"), color=colour, linewidth=1.4)
    axes.plot(*values(rows, name), "o", color=colour, markersize=4, alpha=0.75)


def _key(figure: Figure, axes: Axes, states: set[str]) -> None:
    """Says once what points and lines are, and which colour is which state of the noise."""
    marks = [*axes.plot([], [], "o", color=INK, markersize=4), *axes.plot([], [], color=INK)]
    words = ["measured", "predicted from fans and weights"]
    if len(states) > 1:
        marks += [axes.plot([], [], "s", color=COLOURS[state])[0] for state in sorted(states)]
        words += [f"noise {state}" for state in sorted(states)]
    figure.legend(marks, words, loc="outside upper center", ncols=len(words))
