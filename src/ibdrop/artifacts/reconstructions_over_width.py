"""Reconstructions of the same images side by side over a sweep, each beside PCA of its width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.reconstructions_over_width_picture import Line, draw_costs, draw_lines
from ibdrop.files import read_csv, write_csv

__all__ = ["draw_reconstructions"]

Row = Mapping[str, Any]
ARCHIVE, FIGURES = "artifacts/reconstructions.npz", "artifacts/reconstruction.csv"
IMAGES, LINES = 10, 8
CLEAN, RIVALS = "clean images", {"PCA": "pca", "mean training image": "mean_image"}


def draw_reconstructions(
    rows: Sequence[Row], axis: str, others: Sequence[str], folder: Path, target: Path
) -> list[Path]:
    """Draws what each run makes of the same images, the widest code first.

    Where the width of the code is swept, the files are called after that and not after the key,
    and the figures of all test images are drawn against it.

    Arguments:
        rows: The finished rows of `sweep.csv`; of several seeds one is shown, as the seed
            chooses the images.
        axis: The swept key, which names the lines.
        others: The further keys that are swept, of which one combination is shown.
        folder: The folder of the sweep.
        target: Where to write.

    Returns:
        The files; none where fewer than two runs show the same images.
    """
    known = [row for row in rows if (folder / row["folder"] / ARCHIVE).is_file()]
    lines = _lines(known, axis, others, folder)
    if len(lines) < 2:
        return []
    figures = [_figures(folder / row["folder"], row, axis) for row in known]
    widths = {row["width"] for row in figures}
    name = f"reconstructions_over_{'width' if len(widths) > 1 else axis}"
    files = [save(draw_lines(lines), target / f"{name}.png")]
    table = write_csv(target / f"{name}.csv", figures)
    if len(widths) > 1:
        files.append(save(draw_costs(table), target / "costs_over_width.png"))
    return [*files, table]


def _lines(rows: Sequence[Row], axis: str, others: Sequence[str], folder: Path) -> list[Line]:
    """The runs of the longest series that show the same images."""
    series: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in rows:
        key = tuple(row[name] for name in ("seed", *others))
        series.setdefault(key, {})[str(row[axis])] = row
    longest = max(series.values(), key=len, default={})
    found = [_read(folder / row["folder"], f"{axis} {name}") for name, row in longest.items()]
    first = [line for line in found if np.array_equal(line.images, found[0].images)]
    first.sort(key=lambda line: -line.width)
    keep = np.linspace(0, len(first) - 1, min(LINES, len(first))).round().astype(int)
    return [first[i] for i in keep]


def _read(run: Path, head: str) -> Line:
    with np.load(run / ARCHIVE) as arrays:
        shown = slice(int(arrays["first"]), int(arrays["first"]) + IMAGES)
        pca = arrays["pca"][shown] if "pca" in arrays.files else None
        figures = _clean(run)
        aim = "target" if "target" in arrays.files else "original"
        width, images = int(arrays["width"]), arrays[aim][shown]
        return Line(head, width, images, arrays["clean"][shown], pca, figures)


def _clean(run: Path) -> dict[str, float]:
    """The figures of all test images, clean ones."""
    rows = {row["what"]: row for row in read_csv(run / FIGURES)}
    names = ("ce", "ce_above_floor", "mse")
    found = {name: float(rows[CLEAN][name]) for name in names}
    found["ce_floor"] = float(rows["floor"]["ce"])
    for what, rival in RIVALS.items():
        for name in ("ce", "mse"):
            if rows.get(what, {}).get(name):
                found[f"{name}_{rival}"] = float(rows[what][name])
    return found


def _figures(run: Path, row: Row, axis: str) -> dict[str, Any]:
    width = next(int(line["width"]) for line in read_csv(run / FIGURES) if line["what"] == CLEAN)
    named = {"folder": row["folder"], axis: row[axis], "seed": row["seed"], "width": width}
    return named | _clean(run)
