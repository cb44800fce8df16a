"""The picture of the quality of explanations, drawn from its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from ibdrop.artifacts.explanations_content import spoken
from ibdrop.artifacts.plotting import BLUE, GREEN, GREY, INK, ORANGE, RED, WIDTH, styled
from ibdrop.files import read_csv

__all__ = ["draw_explanation_quality"]

PITCH = 0.4
OTHERS = {"untrained": (GREY, "o"), "randomised": (ORANGE, "D")}


@styled
def draw_explanation_quality(table: Path) -> Figure:
    """Draws rank and mass accuracy of every method, with intervals, floors and ceilings.

    Arguments:
        table: `explanation_quality.csv`.
    """
    rows = read_csv(table)
    strokes = any(row["rank_strokes"] not in ("", "nan") for row in rows)
    rank, mass = ("rank_strokes", "mass_strokes") if strokes else ("rank_box", "energy_padded")
    place = "strokes" if strokes else "box"
    names = [row["method"] for row in rows if row["network"] == "trained"]
    figure = Figure(figsize=(WIDTH, 1.75 + PITCH * max(3, len(names))))
    one, two = figure.subplots(1, 2, sharey=True)
    _panel(one, rows, rank)
    _panel(two, rows, mass)
    one.set(title="Rank accuracy", xlabel=f"share of the hottest pixels on the {place}")
    where = place if strokes else "padded box"
    two.set(title="Mass accuracy", xlabel=f"share of the heat on the {where}")
    trained = [row for row in rows if row["network"] == "trained"]
    one.set_yticks(range(len(names)), [_label(row) for row in trained])
    figure.legend(*_legend(), loc="outside lower center", ncols=3, handlelength=1.4)
    return figure


def _label(row: dict[str, str]) -> str:
    name = spoken(row["method"])
    return f"{name}\n{row['resolution'].replace('x', '×')}, n = {row['n']}"


def _panel(axes: Axes, rows: list[dict[str, str]], measure: str) -> None:
    trained = [row for row in rows if row["network"] == "trained"]
    place = {row["method"]: y for y, row in enumerate(trained)}
    for row in rows:
        y = place.get(row["method"])
        if row["network"] == "trained":
            _bar(axes, row, measure, place[row["method"]])
        elif row["network"] in OTHERS and y is not None:
            colour, marker = OTHERS[row["network"]]
            style: dict[str, Any] = {"markersize": 5, "clip_on": False, "zorder": 4}
            at = _value(row, measure), y
            axes.plot(*at, marker, color=colour, markeredgecolor="white", **style)
    uniform = next(row for row in rows if row["source"] == "floor uniform")
    axes.axvline(_value(uniform, measure), color=GREY, linewidth=1.1, linestyle=":", zorder=1)
    axes.set(xlim=(0, 1.02), ylim=(len(trained) - 0.4, -0.6))
    axes.grid(False, axis="y")


def _bar(axes: Axes, row: dict[str, str], measure: str, y: int) -> None:
    """A bar with its interval, and the floor and ceiling of the very same images."""
    value = _value(row, measure)
    low, high = _value(row, f"{measure}_low"), _value(row, f"{measure}_high")
    axes.barh(y, value, 0.62, color=BLUE)
    if value == value:
        spread = [[max(0.0, value - low)], [max(0.0, high - value)]]
        axes.errorbar(value, y, xerr=spread, color=INK, linewidth=1.1, capsize=2.5, zorder=3)
    else:
        axes.text(0.01, y, "says nothing", color=RED, va="center", fontsize=8)
    for prefix, colour in (("floor", RED), ("ceiling", GREEN)):
        x = _value(row, f"{prefix}_{measure}")
        axes.plot([x, x], [y - 0.42, y + 0.42], color=colour, linewidth=2.0, zorder=3)


def _legend() -> tuple[list[Rectangle | Line2D], list[str]]:
    def points(kind: str) -> Line2D:
        colour, marker = OTHERS[kind]
        return Line2D([], [], color=colour, marker=marker, linestyle="", markersize=5)

    handles: list[Rectangle | Line2D] = [
        Rectangle((0, 0), 1, 1, facecolor=BLUE),
        points("untrained"),
        points("randomised"),
        Line2D([], [], color=RED, linewidth=2.0),
        Line2D([], [], color=GREY, linewidth=1.1, linestyle=":"),
        Line2D([], [], color=GREEN, linewidth=2.0),
    ]
    names = ["trained (95 %)", "untrained", "shuffled weights", "best map without a network"]
    return handles, [*names, "uniform map", "oracle at that size"]


def _value(row: dict[str, str], name: str) -> float:
    return float(row[name] or "nan")
