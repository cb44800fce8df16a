"""What another member adds to an ensemble."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ibdrop.artifacts.plotting import BLUE, GREY, ORANGE, WIDTH, save, styled
from ibdrop.files import read_csv, write_csv

__all__ = ["draw", "write_ensemble"]

PANELS = (("error", "test error [%]", 100.0), ("nll", "NLL [nats per image]", 1.0))
ASIDE = 0.9
"""Where the single members stand, beside the mean of them."""

KINDS = (("deterministic", BLUE, "noise off"), ("monte carlo", ORANGE, "Monte Carlo"))


def write_ensemble(
    folder: Path, rows: Sequence[Mapping[str, Any]], sizes: Sequence[Mapping[str, Any]]
) -> list[Path]:
    """Writes ensemble.png, ensemble.csv and ensemble_size.csv.

    Arguments:
        folder: Where to write.
        rows: A row for each member, for the mean of the members (with standard deviations in
            the columns `<name>_sd`) and for the ensemble; `of` tells them apart.
        sizes: For each prediction and number of members: `subsets`, and `error` and `nll` with
            `_least` and `_most` over the subsets of that size.
    """
    table = write_csv(folder / "ensemble.csv", rows)
    curve = write_csv(folder / "ensemble_size.csv", sizes)
    return [save(draw(table, curve), folder / "ensemble.png"), table, curve]


@styled
def draw(table: Path, curve: Path) -> Figure:
    """Draws error and NLL against the number of members.

    Arguments:
        table: `ensemble.csv`.
        curve: `ensemble_size.csv`.
    """
    rows, sizes = read_csv(table), read_csv(curve)
    figure = Figure(figsize=(WIDTH, 3.9))
    for axes, (name, label, factor) in zip(figure.subplots(1, 2), PANELS, strict=True):
        for kind, colour, words in KINDS:
            chosen = [row for row in sizes if row["prediction"] == kind]
            if chosen:
                _curve(axes, chosen, name, factor, colour, words)
                _members(axes, _alone(rows, kind, name), factor, colour)
        axes.set(xlabel="members of the ensemble", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(0.6, len({row["members"] for row in sizes}) + 0.4)
        axes.set_title(_title(rows, name))
    _explain(figure.axes[0])
    return figure


def _curve(
    axes: Axes,
    rows: Sequence[Mapping[str, str]],
    name: str,
    factor: float,
    colour: str,
    words: str,
) -> None:
    members = [int(row["members"]) for row in rows]
    mean, least, most = (
        [factor * float(row[f"{name}{part}"]) for row in rows] for part in ("", "_least", "_most")
    )
    axes.fill_between(members, least, most, color=colour, alpha=0.15, linewidth=0)
    axes.plot(members, mean, color=colour, marker="o", markersize=4.5, label=words)


def _members(axes: Axes, values: Sequence[float], factor: float, colour: str) -> None:
    axes.scatter(
        [ASIDE] * len(values),
        [factor * value for value in values],
        s=22,
        facecolor="white",
        edgecolor=colour,
        linewidth=1.2,
        zorder=3,
    )


def _explain(axes: Axes) -> None:
    """A legend of the colours and, in grey, of the signs."""
    entries = axes.get_legend_handles_labels()[0]
    ring = Line2D([], [], linestyle="", marker="o", markerfacecolor="white", markersize=4.7)
    ring.set(color=GREY, label="each member alone")
    band = Patch(facecolor=GREY, alpha=0.25, linewidth=0, label="range over subsets")
    axes.legend(handles=[*entries, ring, band], loc="best")


def _alone(rows: Sequence[Mapping[str, str]], kind: str, name: str) -> list[float]:
    return [
        float(row[name]) for row in rows if row["of"] == "member" and row["prediction"] == kind
    ]


def _title(rows: Sequence[Mapping[str, str]], name: str) -> str:
    """The figure of a single member and of all together, noise off."""
    one, whole = (
        next(r for r in rows if r["of"] == of and r["prediction"] == "deterministic")
        for of in ("mean of members", "ensemble")
    )
    first, last = (
        f"{100 * float(row[name]):.2f} %" if name == "error" else f"{float(row[name]):.4f}"
        for row in (one, whole)
    )
    return f"Noise off: one {first}, all {whole['members']}: {last}"
