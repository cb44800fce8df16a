"""What corruption does to error and uncertainty, and what the corruptions look like."""

from __future__ import annotations

import io
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ibdrop.artifacts.plotting import BLUE, INK, ORANGE, WIDTH, put, save, sheet, styled
from ibdrop.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from ibdrop.files import read_csv, write_bytes, write_csv

__all__ = ["CLEAN", "average", "draw", "draw_sheet", "write_contact_sheet", "write_robustness"]

CLEAN = "clean"
"""The name of no corruption, of severity 0."""

PREDICTIONS = {"deterministic": ("--", 1.3), "monte carlo": ("-", 1.9)}
QUANTITIES = {"error": (BLUE, "error (%)", 100), "mean_entropy": (ORANGE, "entropy (nats)", 1)}
ACROSS = 4
NOT_AVERAGED = ("corruption", "severity", "prediction", "passes", "images", "most_uncertain")


def write_robustness(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Writes `corruptions.csv`, its means over corruptions, and their picture.

    Arguments:
        folder: Where to write.
        rows: `{"corruption": name, "severity": s, **row}` for each `row` of
            `ibdrop.merit.figures`; the clean images as corruption "clean" of severity 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = write_csv(folder / "corruptions.csv", rows)
    means = write_csv(folder / "corruptions_mean.csv", average(rows))
    return [save(draw(table, means), folder / "corruptions.png"), table, means]


def average(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Means over corruptions per severity (0 is clean), then over severities, as "1 to 5"."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((str(row["severity"]), row["prediction"]), []).append(row)
        if row["corruption"] != CLEAN:
            groups.setdefault(("1 to 5", row["prediction"]), []).append(row)
    order = sorted(groups, key=lambda group: (len(group[0]), group))
    return [
        {
            "severity": severity,
            "prediction": prediction,
            "corruptions": len({row["corruption"] for row in groups[severity, prediction]}),
            **_means(groups[severity, prediction]),
        }
        for severity, prediction in order
    ]


def _means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = [name for name in rows[0] if name not in NOT_AVERAGED and not name.endswith("_se")]
    return {name: float(np.mean([float(row[name]) for row in rows])) for name in names}


@styled
def draw(table: Path, means: Path) -> Figure:
    """Draws error and mean entropy against severity, one small panel for each corruption.

    Arguments:
        table: `corruptions.csv`.
        means: `corruptions_mean.csv`.
    """
    rows = read_csv(table)
    names = list(dict.fromkeys(row["corruption"] for row in rows if row["corruption"] != CLEAN))
    down = -(-(len(names) + 1) // ACROSS)
    figure = Figure(figsize=(WIDTH, 0.7 + 1.75 * down))
    panels = figure.subplots(down, ACROSS, squeeze=False, sharex=True).flatten()
    clean = [row for row in rows if row["corruption"] == CLEAN]
    middle = [row for row in read_csv(means) if row["severity"].isdigit()]
    shown = [("mean of all", middle)] + [
        (name.replace("_", " "), clean + [row for row in rows if row["corruption"] == name])
        for name in names
    ]
    tops = {name: 1.05 * max(float(row[name]) for row in rows) for name in QUANTITIES}
    for place, (axes, (title, lines)) in enumerate(zip(panels, shown, strict=False)):
        _panel(axes, lines, tops, first=place % ACROSS == 0, last=_ends_row(place, len(shown)))
        axes.set_title(title, fontsize=10)
        axes.tick_params(labelbottom=place + ACROSS >= len(shown))
    for axes in panels[len(shown) :]:
        axes.set_visible(False)
    _legend(figure, panels[0], {row["prediction"] for row in rows})
    return figure


def _ends_row(place: int, count: int) -> bool:
    return place % ACROSS == ACROSS - 1 or place == count - 1


def _panel(
    axes: Axes, rows: list[dict[str, str]], tops: dict[str, float], *, first: bool, last: bool
) -> None:
    """Error on the left scale, entropy on the right one; the scales are those of all panels."""
    other = axes.twinx()
    other.spines["right"].set_visible(True)
    other.grid(False)
    for side, (name, (colour, label, unit)) in zip((axes, other), QUANTITIES.items(), strict=True):
        for prediction, (dashes, width) in PREDICTIONS.items():
            lines = sorted(
                (float(row["severity"]), unit * float(row[name]), unit * _se(row, name))
                for row in rows
                if row["prediction"] == prediction
            )
            x, y, se = np.array(lines).reshape(-1, 3).T
            side.plot(x, y, dashes, color=colour, linewidth=width, marker="o", markersize=2.5)
            side.fill_between(x, y - 2 * se, y + 2 * se, color=colour, alpha=0.2, linewidth=0)
        side.set_ylim(0, unit * tops[name] or 1)
        side.tick_params(axis="y", colors=colour, labelsize=8)
        side.tick_params(
            axis="y", **{"labelleft": first} if side is axes else {"labelright": last}
        )
        if first and side is axes or last and side is other:
            side.set_ylabel(label, color=colour, fontsize=9)
    axes.set_xticks([0, *SEVERITIES])


def _se(row: Mapping[str, str], name: str) -> float:
    value = row.get(f"{name}_se", "")
    return float(value) if value and value != "nan" else 0.0


def _legend(figure: Figure, axes: Axes, predictions: Container[str]) -> None:
    lines = [
        axes.plot([], [], dashes, color=INK, linewidth=width, label=name)[0]
        for name, (dashes, width) in PREDICTIONS.items()
        if name in predictions
    ]
    figure.legend(handles=lines, loc="outside upper right", ncols=2)
    bands = "; bands: ± 2 Monte Carlo standard errors" if len(lines) > 1 else ""
    figure.supxlabel(f"severity (0: as they were{bands})", size=10)


def write_contact_sheet(
    folder: Path, images: Tensor, index: Tensor, seed: int, names: Sequence[str] | None = None
) -> list[Path]:
    """Writes a picture of images in every corruption and severity, and its pixels.

    Arguments:
        folder: Where to write.
        images: A few clean images as uint8, with shape :math:`(n, C, H, W)`.
        index: Their numbers, with shape :math:`(n)`.
        seed: The seed of the corruptions.
        names: The corruptions; `None` for all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = list(CORRUPTIONS if names is None else names)
    rows = [
        torch.stack([images, *(corrupt(images, index, name, s, seed) for s in SEVERITIES)])
        for name in chosen
    ]
    content = io.BytesIO()
    pixels = torch.stack(rows).cpu().numpy()
    np.savez_compressed(content, names=np.array(chosen), index=index.cpu().numpy(), images=pixels)
    archive = write_bytes(folder / "corruption_sheet.npz", content.getvalue())
    return [save(draw_sheet(archive), folder / "corruption_sheet.png"), archive]


@styled
def draw_sheet(archive: Path) -> Figure:
    """Draws a row for each corruption: clean, then the severities, the same images in each.

    Arguments:
        archive: `corruption_sheet.npz`.
    """
    with np.load(archive) as data:
        names, images = data["names"].tolist(), data["images"]
    count, words, gap, top = images.shape[2], 1.25, 0.1, 0.3
    block = (WIDTH - words) / (1 + len(SEVERITIES))
    side = (block - gap) / count
    figure, axes = sheet(WIDTH, top + (side + 0.04) * len(names) + 0.05)
    for column in range(1 + len(SEVERITIES)):
        middle = words + column * block + (block - gap) / 2
        title = f"severity {column}" if column else CLEAN
        axes.text(middle, top - 0.1, title, ha="center", weight="bold")
    for row, name in enumerate(names):
        y = top + row * (side + 0.04)
        axes.text(words - 0.1, y + side / 2, name.replace("_", " "), ha="right", va="center")
        for column, shown in enumerate(images[row]):
            for n, image in enumerate(shown):
                put(axes, image, (words + column * block + n * side, y), 0.96 * side)
    axes.set(xlim=(0, figure.get_figwidth()), ylim=(figure.get_figheight(), 0))
    return figure
