"""Pictures of a sweep: error and information against beta, and the information plane."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.figure import Figure

from ibdrop.artifacts.depth_sweep import draw_depth
from ibdrop.artifacts.gradients_over_temperature import draw_gradients
from ibdrop.artifacts.plotting import COLOURS, GREY, INK, WIDTH, save, styled
from ibdrop.artifacts.reconstructions_over_width import draw_reconstructions
from ibdrop.artifacts.sweep_maps import draw_maps

__all__ = ["draw"]

Row = Mapping[str, Any]
KEPT = "KL [nats per image]"


class Group(NamedTuple):
    """Runs that differ in nothing but the seed.

    Attributes:
        x: The value on the horizontal axis.
        line: Which line the group belongs to; empty if there is one only.
        rows: The runs.
    """

    x: float | str
    line: str
    rows: list[Row]

    def values(self, name: str) -> list[float]:
        """A figure of all runs that have it."""
        return [float(row[name]) for row in self.rows if _known(row.get(name))]

    def mean(self, name: str) -> float:
        """Mean over the seeds; NaN where no run has the figure."""
        values = self.values(name)
        return statistics.fmean(values) if values else float("nan")

    def spread(self, name: str) -> float:
        """Standard deviation over the seeds; 0 for one seed."""
        values = self.values(name)
        return statistics.stdev(values) if len(values) > 1 else 0.0


def draw(rows: Sequence[Row], columns: Sequence[str], folder: Path) -> list[Path]:
    """Draws the pictures of a sweep into `folder/artifacts`.

    Arguments:
        rows: The rows of `sweep.csv`; only finished runs are drawn.
        columns: The swept keys beside `beta` and `seed`.
        folder: The folder of the sweep.

    Returns:
        The files.
    """
    finished = [row for row in rows if row["status"] == "finished"]
    swept = len({row["beta"] for row in finished}) > 1
    axis = "beta" if swept or not columns else columns[0]
    others = [name for name in columns if name != axis]
    groups = _groups(finished, axis, others)
    target = folder / "artifacts"
    target.mkdir(exist_ok=True)
    files = [save(_error(groups, axis), target / "error_and_nats.png")]
    placed = [row for row in finished if _known(row["kl_total"]) and _known(row.get("test_nll"))]
    if placed:
        plane = _plane(_groups(placed, axis, others), axis)
        files.append(save(plane, target / "information_plane.png"))
    maps = draw_maps(finished, axis, others, folder, target)
    files += draw_reconstructions(finished, axis, others, folder, target)
    files += draw_depth(finished, columns, folder, target)
    return [*files, *maps, *draw_gradients(finished, folder, target)]


@styled
def _error(groups: Sequence[Group], axis: str) -> Figure:
    informed = any(group.values("kl_total") for group in groups)
    figure = Figure(figsize=(WIDTH, 6.4 if informed else 3.6))
    panels = figure.subplots(1 + informed, 1, sharex=True, squeeze=False)[:, 0]
    if any(group.values("test_cost") for group in groups):
        _lines(panels[0], groups, "test_cost", 1.0)
        panels[0].set(title="What is lost", ylabel="test cost [nats/image]")
    else:
        _lines(panels[0], groups, "test_error", 100.0)
        panels[0].set(title="What is lost", ylabel="test error [%]")
        panels[0].set_ylim(bottom=0)
    if informed:
        _lines(panels[1], groups, "kl_total", 1.0)
        if len({group.line for group in groups}) == 1:
            _layers(panels[1], groups)
        panels[1].set(title="What is kept", ylabel=KEPT)
        names = ("kl_total", *_layer_names(groups))
        _scale(
            panels[1], "y", [group.mean(n) for n in names for group in groups if group.values(n)]
        )
    _scale(panels[-1], "x", [group.x for group in groups])
    panels[-1].set_xlabel(axis)
    return figure


def _lines(axes: Axes, groups: Sequence[Group], name: str, factor: float) -> None:
    for colour, (line, members) in zip(_cycle(), _by_line(groups).items(), strict=False):
        shown = [group for group in members if group.values(name)]
        axes.errorbar(
            [group.x for group in shown],
            [factor * group.mean(name) for group in shown],
            [factor * group.spread(name) for group in shown],
            color=colour,
            capsize=3,
            label=line or ("all layers" if name == "kl_total" else None),
        )
        points = [(group.x, factor * value) for group in shown for value in group.values(name)]
        axes.plot(*zip(*points, strict=True), "o", color=colour, markersize=4.5, alpha=0.6)
    if any(group.line for group in groups):
        axes.legend()


def _layers(axes: Axes, groups: Sequence[Group]) -> None:
    for colour, name in zip(_cycle(1), _layer_names(groups), strict=False):
        shown = [group for group in groups if group.values(name)]
        x, y = [group.x for group in shown], [group.mean(name) for group in shown]
        label = f"layer {name.removeprefix('kl/')}"
        axes.plot(x, y, "--", color=colour, linewidth=1.2, label=label)
    axes.legend(ncols=2)


def _layer_names(groups: Sequence[Group]) -> list[str]:
    names = (name for group in groups for row in group.rows for name in row)
    return list(dict.fromkeys(name for name in names if name.startswith("kl/")))


@styled
def _plane(groups: Sequence[Group], axis: str) -> Figure:
    figure = Figure(figsize=(WIDTH, 5.4))
    axes = figure.subplots()
    for line, members in _by_line(groups).items():
        x, y = ([group.mean(name) for group in members] for name in ("kl_total", "test_nll"))
        axes.plot(x, y, color=GREY, linewidth=1.2, zorder=1)
        if line:
            axes.annotate(line, (x[-1], y[-1]), (6, 4), textcoords="offset points", fontsize=9)
    _points(figure, axes, groups, axis)
    _scale(axes, "x", [value for group in groups for value in group.values("kl_total")])
    _scale(axes, "y", [value for group in groups for value in group.values("test_nll")])
    axes.set(
        title="Information plane",
        xlabel="KL of all noisy layers [nats per image]",
        ylabel="test cross-entropy [nats]",
    )
    return figure


def _points(figure: Figure, axes: Axes, groups: Sequence[Group], axis: str) -> None:
    """One point per run, coloured by the swept value, or named by it if it is a word."""
    values = list(dict.fromkeys(group.x for group in groups))
    numeric = [value for value in values if isinstance(value, float)]
    points = [
        (row["kl_total"], row["test_nll"], group.x) for group in groups for row in group.rows
    ]
    x, y, c = zip(*points, strict=True)
    if len(numeric) == len(values):
        drawn = axes.scatter(
            x, y, c=c, norm=_norm(numeric), cmap="viridis", s=46, edgecolors=INK, linewidths=0.6
        )
        bar = figure.colorbar(drawn, ax=axes, label=axis)
        bar.set_ticks(sorted(numeric), labels=[f"{value:g}" for value in sorted(numeric)])
        bar.ax.minorticks_off()
        return
    for colour, value in zip(_cycle(), values, strict=False):
        own = [(a, b) for a, b, name in points if name == value]
        axes.plot(*zip(*own, strict=True), "o", color=colour, label=str(value))
    axes.legend(title=axis)


def _groups(rows: Sequence[Row], axis: str, others: Sequence[str]) -> list[Group]:
    found: dict[tuple[float | str, str], list[Row]] = {}
    for row in rows:
        line = ", ".join(f"{name}={row[name]}" for name in others)
        found.setdefault((_number(row[axis]), line), []).append(row)
    groups = [Group(x, line, members) for (x, line), members in found.items()]
    if all(isinstance(group.x, float) for group in groups):
        return sorted(groups, key=lambda group: group.x)
    return [group._replace(x=str(group.x)) for group in groups]


def _by_line(groups: Iterable[Group]) -> dict[str, list[Group]]:
    lines: dict[str, list[Group]] = {}
    for group in groups:
        lines.setdefault(group.line, []).append(group)
    return lines


def _scale(axes: Axes, which: str, values: Sequence[float | str]) -> None:
    """Logarithmic where values span decades; zero gets a short straight piece of its own."""
    numbers = [value for value in values if isinstance(value, float)]
    positive = [value for value in numbers if value > 0]
    if len(numbers) < len(values) or not positive or max(positive) < 10 * min(positive):
        return
    set_scale, set_limits = (
        (axes.set_xscale, axes.set_xlim) if which == "x" else (axes.set_yscale, axes.set_ylim)
    )
    if min(numbers) > 0:
        set_scale("log")
        set_limits(min(positive) / 1.5, 1.5 * max(positive))
    else:
        set_scale("symlog", linthresh=min(positive), linscale=0.4)
        set_limits(-0.3 * min(positive), 1.5 * max(positive))


def _norm(values: Sequence[float]) -> Normalize:
    positive = [value for value in values if value > 0]
    low, high = min(values), max(values)
    if not positive or max(positive) < 10 * min(positive):
        return Normalize(low, high if high > low else low + 1)
    if low > 0:
        return LogNorm(low, high)
    return SymLogNorm(min(positive), linscale=0.4, vmin=low, vmax=high)


def _cycle(first: int = 0) -> Iterable[str]:
    return (COLOURS[(first + place) % len(COLOURS)] for place in range(1000))


def _number(value: Any) -> float | str:
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def _known(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))
