"""The report of a run or a sweep: one page that can be mailed."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ibdrop.errors import RunError
from ibdrop.runs import provenance
from ibdrop.runs.folder import Run
from ibdrop.runs.page import Card, Page, Table, figure, write_page
from ibdrop.runs.parts import environment, sections
from ibdrop.runs.pictures import numbers

__all__ = ["report"]

LAYER_COLUMNS = {
    "kl": ("KL [nats/image]", "{:,.4g}"),
    "kl_per_unit": ("per unit [nats]", "{:.3g}"),
    "alpha": ("mean alpha", "{:.3f}"),
    "at_cap": ("at the cap", "{:.1%}"),
    "dead": ("dead units", "{:.1%}"),
}


def report(folder: Path) -> Path:
    """Writes `report.html`, self-contained, and `REPORT.md` for a run or a sweep.

    Arguments:
        folder: The folder of a run, finished or not, or of a sweep.

    Returns:
        The path of the HTML page.

    Raises:
        RunError: The folder is neither, or cannot be written.
    """
    try:
        if not (folder / "run.json").is_file() and _is_sweep(folder):
            from ibdrop.runs.sweep_report import sweep_page

            return write_page(sweep_page(folder), folder)
        return write_page(run_page(Run.open(folder)), folder)
    except OSError as error:
        raise RunError(f"cannot write the report into {folder}: {error.strerror}") from error


def run_page(run: Run) -> Page:
    """Says what a run was asked for, what came out, and how it can be repeated."""
    fields = run.record
    return Page(
        title=run.name,
        status=run.status,
        when=_when(fields),
        folder=str(run.folder),
        command=shlex.join(fields.get("command") or []),
        repeat=provenance.repeat(fields.get("command") or [], fields.get("overrides") or []),
        environment=environment(fields),
        error=_error(run),
        verdict=_verdict(run.metrics),
        config=(run.folder / "config.yaml").read_text(encoding="utf-8"),
        warnings=fields.get("warnings") or [],
        notes=fields.get("notes") or [],
        explanations=_explanations(fields, run.metrics),
        cards=_cards(run.metrics),
        tables=_layers(run.metrics),
        sections=sections(run.folder),
        numbers=numbers(run.folder),
    )


def _is_sweep(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    return (folder / "sweep.json").is_file() or any(folder.glob("*/run.json"))


def _when(fields: Mapping[str, Any]) -> str:
    started, seconds = fields.get("started"), fields.get("seconds")
    try:
        local = datetime.fromisoformat(str(started)).astimezone()
        text = f"started {local:%Y-%m-%d %H:%M:%S %Z}"
    except ValueError:
        text = "started at an unknown time"
    if seconds is None:
        return text
    minutes, rest = divmod(round(float(seconds)), 60)
    return f"{text}, took {minutes} min {rest} s" if minutes else f"{text}, took {rest} s"


def _error(run: Run) -> str:
    if run.status == "killed":
        folder = shlex.quote(str(run.folder))
        return (
            f"the process was killed after epoch {run.record.get('epoch', 0)}; "
            f"`ibdrop resume {folder}` continues it"
        )
    return str(run.record.get("error") or "")


def _verdict(metrics: Mapping[str, Any]) -> str:
    if "test_cost" in metrics:
        return _cost_verdict(metrics)
    error, images = metrics.get("test_error"), metrics.get("test_images")
    if error is None or not images:
        return ""
    low, high = _interval(float(error), int(images))
    return (
        f"The network is wrong on {100 * error:.2f} % of {images:,} test images "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f} %, from the number of images alone), "
        "with the noise off."
    )


def _cost_verdict(metrics: Mapping[str, Any]) -> str:
    """What a reconstruction costs, between what it must cost and what knowing nothing costs."""
    ce, floor, mean = (metrics.get(f"test_{name}") for name in ("ce", "ce_floor", "ce_mean_image"))
    if not isinstance(ce, int | float) or not isinstance(floor, int | float):
        return ""
    sentence = (
        f"Reconstructing {metrics.get('test_images', 0):,} test images costs {ce:,.3f} nats of"
        f" cross-entropy per image: {ce - floor:,.3f} above the pixels' own {floor:,.3f}, the"
        " least there can be"
    )
    knows_little = f"; the mean training image costs {mean:,.3f}" if mean is not None else ""
    sentence = f"{sentence}{knows_little}."
    mse, pca = metrics.get("test_mse"), metrics.get("test_mse_pca")
    if isinstance(mse, int | float) and isinstance(pca, int | float):
        sentence += f" Mean squared error {mse:.3g}; PCA of the same width has {pca:.3g}."
    return sentence


def _interval(share: float, count: int) -> tuple[float, float]:
    """Wilson's score interval of a share, at 95 % (Wilson 1927)."""
    z = 1.959964
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def _cards(metrics: Mapping[str, Any]) -> list[Card]:
    wanted = (
        ("test_accuracy", "test accuracy ↑", "{:.2%}"),
        ("test_error", "test error ↓", "{:.2%}"),
        ("test_nll", "NLL, nats ↓", "{:.4f}"),
        ("test_ece", "calibration error (ECE) ↓", "{:.2%}"),
        ("test_brier", "Brier score ↓", "{:.4f}"),
        ("test_cost", "test cost, nats ↓", "{:,.3f}"),
        ("test_ce", "cross-entropy, nats ↓", "{:,.3f}"),
        ("test_ce_floor", "its floor, nats", "{:,.3f}"),
        ("test_mse", "mean squared error ↓", "{:.3g}"),
        ("test_mse_pca", "MSE of PCA", "{:.3g}"),
        ("kl_total", "KL, nats per image", "{:,.4g}"),
    )
    return [
        Card(name, figure(form, metrics[key]))
        for key, name, form in wanted
        if isinstance(metrics.get(key), int | float)
    ]


def _layers(metrics: Mapping[str, Any]) -> list[Table]:
    quantities = [name for name in LAYER_COLUMNS if isinstance(metrics.get(name), Mapping)]
    layers = dict.fromkeys(layer for name in quantities for layer in metrics[name])
    if not layers:
        return []
    rows = [
        [layer, *(_cell(name, metrics[name].get(layer)) for name in quantities)]
        for layer in layers
    ]
    return [
        Table(
            ("layer", *(LAYER_COLUMNS[name][0] for name in quantities)),
            rows,
            title="What passes the noisy layers",
            caption="Mean over the test images, noise off. KL is what the noise lets through, "
            "summed over the units of a layer; a unit at the cap carries next to nothing.",
        )
    ]


def _cell(name: str, value: Any) -> str:
    return "–" if value is None else figure(LAYER_COLUMNS[name][1], value)


def _explanations(fields: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[str]:
    if "test_cost" in metrics and "test_kl" not in metrics:
        return []
    beta, units, b = (fields.get(key) for key in ("beta", "beta_units", "effective_beta"))
    if b is None or beta is None:
        return []
    images = fields.get("train_images")
    how = f" = {beta:g} / {images:,} training images" if units == "paper" and images else ""
    return [
        f"beta = {beta:g} in {units} units; the effective multiplier is b = {b:.3g}{how}: the "
        "loss is the cross-entropy in nats per image plus b times the KL in nats per image, so "
        f"one nat of KL is paid for if it saves {b:.3g} nats of cross-entropy."
    ]
