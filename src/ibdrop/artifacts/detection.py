"""Whether uncertainty tells images of another kind from those the network knows."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ibdrop.artifacts.plotting import BLUE, COLOURS, GREY, ORANGE, RED, WIDTH, save, styled
from ibdrop.files import read_csv, write_bytes, write_csv
from ibdrop.merit import auroc, detection, scores
from ibdrop.sampling.predictive import Predictive

__all__ = ["INSIDE", "draw", "write_detection"]

INSIDE = "inside"
"""The name of the known images in `ood_scores.npz`."""

BINS = 40
SKY = COLOURS[4]
SHOWN = {
    "entropy": "predictive entropy (nats)",
    "mutual_information": "mutual information (nats)",
    "energy": "energy, −log Σ exp(logits)",
}
"""The scores of the histograms; the first two that there are."""

CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "deterministic_entropy": ("entropy, deterministic", {"color": SKY, "linestyle": "--"}),
    "entropy": ("entropy", {"color": BLUE}),
    "mutual_information": ("mutual information", {"color": RED}),
    "energy": ("energy", {"color": GREY}),
}
PLAIN = "deterministic_"
ALONE = ("max_probability", "entropy", "energy")
"""The scores of a single pass."""


def write_detection(
    folder: Path, inside: Predictive, outside: Mapping[str, Predictive], sampled: bool = True
) -> list[Path]:
    """Writes every score of every image, how well it finds each set of outliers, and a picture.

    The scores are those of `ibdrop.merit.scores`, the figures those of `ibdrop.merit.detection`.
    The Monte Carlo standard error of an AUROC is a jackknife that leaves the same group of
    passes out on both sides.

    Arguments:
        folder: Where to write.
        inside: What the passes say of images of the known kind.
        outside: What the same passes say of each set of outliers.
        sampled: Whether the noise was on; if not, all is deterministic, and the disagreement is
            that of several networks.

    Raises:
        ValueError: The groups of passes differ.
    """
    for name, found in outside.items():
        if found.sizes != inside.sizes:
            raise ValueError(
                f"{name} was sampled in groups of {found.sizes} passes, the known images in"
                f" {inside.sizes}; both must be the same"
            )
    folder.mkdir(parents=True, exist_ok=True)
    without = _without_each_group(inside) if sampled else []
    sets = {INSIDE: inside, **outside}
    everything = {name: _told(found, sampled) for name, found in sets.items()}
    rows = []
    for name, found in outside.items():
        pairs = zip(without, _without_each_group(found) if sampled else [], strict=True)
        rows += _rows(name, everything[INSIDE], everything[name], list(pairs), sampled)
    table = write_csv(folder / "ood.csv", rows)
    archive = write_bytes(folder / "ood_scores.npz", _packed(everything))
    return [save(draw(table, archive), folder / "ood.png"), table, archive]


def _told(found: Predictive, sampled: bool) -> dict[str, Tensor]:
    """The scores that say something of their own: one pass does not disagree with itself."""
    every = scores(found)
    if sampled:
        return every
    if found.passes == 1:
        return {name: every[name] for name in ALONE}
    return {name: score for name, score in every.items() if not name.startswith(PLAIN)}


def _rows(
    name: str,
    known: dict[str, Tensor],
    unknown: dict[str, Tensor],
    without: list[tuple[dict[str, Tensor], dict[str, Tensor]]],
    sampled: bool,
) -> list[dict[str, Any]]:
    rows = []
    for score, values in known.items():
        figures = detection(values, unknown[score])
        kept = [float(auroc(one[score], other[score])) for one, other in without]
        plain = score.startswith(PLAIN) or not sampled
        rows.append(
            {
                "outliers": name,
                "prediction": "deterministic" if plain else "monte carlo",
                "score": score.removeprefix(PLAIN),
                "auroc": figures.pop("auroc"),
                "auroc_se": "" if plain else _jackknife(kept),
                **figures,
                "n_in": len(values),
                "n_out": len(unknown[score]),
            }
        )
    return sorted(rows, key=lambda row: row["prediction"])


def _without_each_group(found: Predictive) -> list[dict[str, Tensor]]:
    """All scores without one group of passes, for each; nothing where there is one only."""
    count = len(found.sizes)
    if count == 1:
        return []
    return [scores(found.groups([s for s in range(count) if s != r])) for r in range(count)]


def _jackknife(kept: list[float]) -> float:
    """The standard error of Efron & Stein (1981); see `Predictive.standard_error`."""
    if not kept:
        return math.nan
    values = torch.tensor(kept, dtype=torch.float64)
    return float(((len(kept) - 1) * values.var(correction=0)).sqrt())


def _packed(everything: Mapping[str, Mapping[str, Tensor]]) -> bytes:
    content = io.BytesIO()
    arrays: dict[str, Any] = {
        f"{name}.{score}": values.cpu().numpy()
        for name, found in everything.items()
        for score, values in found.items()
    }
    np.savez_compressed(content, **arrays)
    return content.getvalue()


@styled
def draw(table: Path, archive: Path) -> Figure:
    """Draws entropy and mutual information inside and outside, and how well they separate.

    Arguments:
        table: `ood.csv`.
        archive: `ood_scores.npz`.
    """
    rows = read_csv(table)
    names = list(dict.fromkeys(row["outliers"] for row in rows))
    figure = Figure(figsize=(WIDTH, 0.8 + 2.5 * len(names)))
    panels = figure.subplots(len(names), 3, squeeze=False)
    with np.load(archive) as data:
        shown = [score for score in SHOWN if f"{INSIDE}.{score}" in data][:2]
        for name, axes in zip(names, panels, strict=True):
            for panel, score in zip(axes[:2], shown, strict=True):
                _histograms(panel, data[f"{INSIDE}.{score}"], data[f"{name}.{score}"])
            chosen = [row for row in rows if row["outliers"] == name]
            _curves(axes[2], data, name, {_key(row, data): float(row["auroc"]) for row in chosen})
            count = int(chosen[0]["n_out"])
            axes[0].set_title(f"{name.replace('_', ' ')} ({count:,} images)")
            axes[0].set_ylabel("images (%), log scale")
    labels = *(SHOWN[score] for score in shown), "known images flagged (%), log scale"
    for axes, label in zip(panels[-1], labels, strict=True):
        axes.set_xlabel(label)
    bars, lines = (panels[0, n].get_legend_handles_labels() for n in (0, 2))
    known = f"known images ({int(rows[0]['n_in']):,})"
    names = [known, "outliers", *lines[1]]
    figure.legend(bars[0] + lines[0], names, loc="outside upper center", ncols=3)
    return figure


def _key(row: Mapping[str, str], data: Any) -> str:
    """The name of a row's score in the archive."""
    plain = PLAIN + row["score"]
    named = row["prediction"] == "deterministic" and f"{INSIDE}.{plain}" in data
    return plain if named else row["score"]


def _histograms(axes: Axes, known: Any, unknown: Any) -> None:
    low, high = min(known.min(), unknown.min(), 0), max(known.max(), unknown.max(), 1e-9)
    edges = np.linspace(low, high, BINS + 1)
    for values, colour in ((known, BLUE), (unknown, ORANGE)):
        weights = np.full(len(values), 100 / len(values))
        axes.hist(values, edges.tolist(), weights=weights, color=colour, alpha=0.55, label=colour)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _curves(axes: Axes, data: Any, name: str, areas: dict[str, float]) -> None:
    least = 0.01
    drawn = {score: how for score, how in CURVES.items() if score in areas}
    for score, (label, look) in drawn.items():
        known, unknown = np.sort(data[f"{INSIDE}.{score}"]), np.sort(data[f"{name}.{score}"])
        limits = np.unique(np.concatenate([known, unknown, [np.inf]]))
        x, y = (100 - 100 * np.searchsorted(v, limits) / len(v) for v in (known, unknown))
        least = max(least, 100 / len(known))
        axes.plot(np.maximum(x, least / 2), y, label=label, **look)
    axes.set(ylabel="outliers flagged (%)", xscale="log", xlim=(least / 2, 100), ylim=(0, 101))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_title("AUROC", fontsize=9)
    for place, (score, (_, look)) in enumerate(drawn.items()):
        at = 0.25 + 0.2 * place, 1.025
        style = {"color": look["color"], "fontsize": 9, "weight": "bold"}
        axes.text(*at, f"{areas[score]:.3f}", transform=axes.transAxes, **style)
