"""Panels of pictures of explanations: what the optimisation did, curves, area against score."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ibdrop.artifacts.explanations_content import Shown, percent
from ibdrop.artifacts.plotting import BLUE, COLOURS, GREY, INK, ORANGE, number

__all__ = ["PANELS", "panels"]

PANELS = 2.25
"""Height of the row of panels in inches."""

LEFT, GAP, TOP, BOTTOM = 0.56, 0.5, 0.28, 0.45
SMALL = 8.0
SCORES = {"prob": "probability", "logp": "log p, nats", "margin": "margin", "logit": "logit"}


def panels(figure: Figure, shown: Shown, y: float) -> None:
    """Draws trace, deletion, insertion and area against score in a row.

    Arguments:
        figure: A sheet.
        shown: The image.
        y: The upper edge of the row in inches from that of the sheet.
    """
    width = float(figure.get_size_inches()[0])
    wide = (width - LEFT - 0.12 - 3 * GAP) / 4
    tall = PANELS - TOP - BOTTOM
    places = [(LEFT + column * (wide + GAP), y + TOP, wide, tall) for column in range(4)]
    _traces(figure, shown, places[0])
    _curve(_axes(figure, places[1]), shown, "deletion")
    _curve(_axes(figure, places[2]), shown, "insertion")
    _areas(_axes(figure, places[3]), shown)


def _traces(figure: Figure, shown: Shown, place: tuple[float, float, float, float]) -> None:
    x, y, wide, tall = place
    half = (tall - 0.1) / 2
    above = _axes(figure, (x, y, wide, half))
    below = _axes(figure, (x, y + half + 0.1, wide, half))
    for area, trace in enumerate(shown.traces):
        colour = COLOURS[area % len(COLOURS)]
        label = percent(shown.rows[area]["asked_area"]) if len(shown.traces) > 1 else None
        above.plot(trace[:, 0], color=colour, linewidth=1.3, label=label)
        below.plot(trace[:, 1], color=colour, linewidth=1.3)
    if len(shown.traces) > 1:
        _legend(above)
    above.tick_params(labelbottom=False)
    above.set_title("Optimisation", fontsize=9.5)
    above.set_ylabel("objective", fontsize=SMALL)
    below.set_ylabel(_score(shown.rows[0]["settings"]), fontsize=SMALL)
    below.set_xlabel("step", fontsize=SMALL, labelpad=1)
    longest = max(len(trace) for trace in shown.traces)
    for axes in (above, below):
        axes.set_xlim(-0.02 * longest, max(1.0, 1.02 * longest))
        axes.locator_params(axis="x", nbins=4, integer=True)
        _wide_enough(axes)
        axes.locator_params(axis="y", nbins=3)
        axes.yaxis.set_major_formatter("{x:.3g}")
        axes.yaxis.set_label_coords(-0.22, 0.5)


def _curve(axes: Axes, shown: Shown, way: str) -> None:
    row = shown.rows[0]
    x = 100 * shown.curves["fraction"]
    for which, colour, style in (("", BLUE, "-"), ("_second", ORANGE, "--")):
        fill = row["second_fill" if which else "fill"]
        auc = float(row[f"{way}_auc{which}"])
        axes.plot(
            x,
            100 * shown.curves[f"{way}{which}"],
            color=colour,
            linestyle=style,
            linewidth=1.5,
            label=f"{fill}: {number(auc)}",
        )
    axes.set_title(way.capitalize(), fontsize=9.5)
    _per_cent(axes)
    changed = "deleted" if way == "deletion" else "shown"
    axes.set_xlabel(f"pixels {changed} in %, hottest first", fontsize=SMALL, labelpad=1)
    axes.set_ylabel("probability in %", fontsize=SMALL, labelpad=1)
    _legend(axes, "area under it")


def _areas(axes: Axes, shown: Shown) -> None:
    """What is left of the score, 1 for the image and 0 for the blank one, against the area."""
    arrays = shown.arrays
    order = np.argsort(arrays["box_areas"], kind="stable")
    areas, scores = 100 * arrays["box_areas"][order], 100 * arrays["box_scores"][order]
    axes.plot(areas, scores, color=GREY, marker=".", markersize=3, linewidth=1.1, label="boxes")
    least, smallest = float(np.nan_to_num(scores).min()), float(areas.min())
    for which, colour, marker in (("optimised", BLUE, "o"), ("second", ORANGE, "D")):
        points = np.array([_left(row, which) for row in shown.rows])
        least = min(least, float(np.nan_to_num(points[:, 1]).min()))
        smallest = min(smallest, *(area for area in points[:, 0] if area > 0.05), 100.0)
        fill = shown.rows[0]["fill" if which == "optimised" else "second_fill"]
        axes.plot(
            points[:, 0],
            points[:, 1],
            color=colour,
            marker=marker,
            markersize=6 if which == "second" else 4.5,
            fillstyle="none" if which == "second" else "full",
            linewidth=1.2 if len(points) > 1 else 0,
            label=f"mask, {fill}",
        )
    axes.set_title("Area against score", fontsize=9.5)
    axes.set(
        ylim=(max(1.15 * least, -60) - 4, 104), xscale="log", xlim=(min(0.4, 0.7 * smallest), 115)
    )
    axes.set_xticks([1, 10, 100], ["1", "10", "100"])
    verb = "deleted" if shown.deletes else "kept"
    axes.set_xlabel(f"area {verb} in %", fontsize=SMALL, labelpad=1)
    axes.set_ylabel("score left in %", fontsize=SMALL, labelpad=1)
    _legend(axes)


def _score(settings: str) -> str:
    """What the score is called, from the settings of the table."""
    kinds = [word.removeprefix("score=") for word in settings.split() if "score=" in word]
    return SCORES.get("".join(kinds), "score")


def _wide_enough(axes: Axes) -> None:
    """Leaves a line that hardly changes flat, and its labels short."""
    low, high = axes.get_ylim()
    least = 0.1 * max(abs(low), abs(high), 1e-3)
    if high - low < least:
        middle = (low + high) / 2
        axes.set_ylim(middle - least / 2, middle + least / 2)


def _left(row: dict[str, str], which: str) -> tuple[float, float]:
    suffix = "" if which == "optimised" else "_second"
    start, blank = float(row["p_start"]), float(row[f"p_blank{suffix}"])
    lost = (float(row[f"p_{which}"]) - blank) / (start - blank) if start > blank else float("nan")
    return 100 * float(row["area"]), 100 * lost


def _per_cent(axes: Axes) -> None:
    axes.set(xlim=(-2, 102), ylim=(-4, 104))
    axes.set_xticks([0, 50, 100])
    axes.set_yticks([0, 25, 50, 75, 100])


def _legend(axes: Axes, title: str | None = None) -> None:
    axes.legend(
        title=title,
        loc="best",
        fontsize=SMALL - 1,
        title_fontsize=SMALL - 1,
        handlelength=1.4,
        borderpad=0.2,
        labelspacing=0.25,
        handletextpad=0.5,
    )


def _axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes at x, y, width and height in inches from the upper left corner."""
    width, height = figure.get_size_inches()
    x, y, wide, tall = place
    axes = figure.add_axes((x / width, 1 - (y + tall) / height, wide / width, tall / height))
    axes.tick_params(labelsize=SMALL - 0.5, length=2.5, pad=2, color=INK)
    return axes
