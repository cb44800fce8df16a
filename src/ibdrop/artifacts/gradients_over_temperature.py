"""The gradients and the bounds of a sweep over the temperature of relaxed units."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ibdrop.artifacts.gradient_law import write_law
from ibdrop.artifacts.gradients_over_temperature_picture import draw
from ibdrop.artifacts.plotting import save
from ibdrop.files import read_csv, write_csv

__all__ = ["COSTS", "FIGURES", "draw_gradients"]

Row = Mapping[str, Any]
GRADIENTS, BOUNDS = "artifacts/concrete_gradients.csv", "artifacts/bounds_summary.csv"
FIGURES = ("median", "mean", "signal", "noise", "snr", "naive_snr", "below", "zeros")
LIMITS = ("limit_mean", "limit_signal", "limit_second")
COSTS = ("train_loss", "train_kl", "val_cost", "val_kl", "elbo", "nll", "best_epoch")


def draw_gradients(rows: Sequence[Row], folder: Path, target: Path) -> list[Path]:
    """Gathers what runs measured of their gradients, and draws it against the temperature.

    Writes `gradients_over_temperature.csv`, a row for each temperature and path with means over
    the seeds, and `costs_over_temperature.csv`, in nats per image: of the last epoch the relaxed
    loss and its KL in training, and the cost and its KL on the discrete graph in validation; of
    the best epoch, in which the gradients were measured too, minus the ELBO and minus
    :math:`L_m` of the test, where they were bounded. Beside binary units the exact law is drawn
    (`ibdrop.artifacts.gradient_law`).

    Arguments:
        rows: The finished rows of `sweep.csv`.
        folder: The folder of the sweep.
        target: Where to write.

    Returns:
        The files; none where fewer than two temperatures were measured. Runs that differ in
        states, objective or the ratio of the temperatures are not mixed: the series with the most
        temperatures counts.
    """
    runs = _series([_run(folder / row["folder"]) for row in rows])
    if len({run["temperature"] for run in runs}) < 2:
        return []
    grouped: dict[float, list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: -run["temperature"]):
        grouped.setdefault(run["temperature"], []).append(run)
    paths = [row for runs in grouped.values() for row in _paths(runs)]
    gradients = write_csv(target / "gradients_over_temperature.csv", paths)
    averaged = [_costs(runs) for runs in grouped.values()]
    costs = write_csv(target / "costs_over_temperature.csv", averaged)
    picture = save(draw(gradients, costs), target / "gradients_over_temperature.png")
    law = target / "gradient_law.png"
    if runs[0]["kind"][0] == "2" and not law.exists():
        write_law(target)
    return [picture, gradients, costs, *([law] if law.exists() else [])]


def _run(run: Path) -> dict[str, Any] | None:
    """What a run measured; `None` if it measured no gradients."""
    if not (run / GRADIENTS).is_file():
        return None
    paths = read_csv(run / GRADIENTS)
    first = paths[0]
    temperature, prior = float(first["temperature"]), float(first["prior_temperature"])
    epochs = read_csv(run / "metrics.csv")
    found = {
        "kind": (first["states"], first["objective"], round(prior / temperature, 6)),
        "temperature": temperature,
        "paths": {path["path"]: path for path in paths},
        **{name: epochs[-1].get(name) for name in COSTS},
        "best_epoch": _best(epochs),
    }
    if (run / BOUNDS).is_file():
        bound = read_csv(run / BOUNDS)[-1]
        found |= {"m": bound["samples"], "nll": bound["nll"], "elbo": -float(bound["elbo"])}
    return found


def _best(epochs: Sequence[Mapping[str, str]]) -> str:
    """The number of the epoch of least cost in validation, the last without one."""
    judged = [epoch for epoch in epochs if epoch.get("val_cost")]
    return min(judged or epochs[-1:], key=lambda epoch: float(epoch.get("val_cost") or 0))["epoch"]


def _series(runs: Sequence[dict[str, Any] | None]) -> list[dict[str, Any]]:
    """The runs that differ in temperature and seed alone, of most temperatures."""
    kinds: dict[Any, list[dict[str, Any]]] = {}
    for run in runs:
        if run is not None:
            kinds.setdefault(run["kind"], []).append(run)
    return max(
        kinds.values(), key=lambda some: len({run["temperature"] for run in some}), default=[]
    )


def _paths(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    states, objective, ratio = runs[0]["kind"]
    given = {"temperature": runs[0]["temperature"], "runs": len(runs), "states": states}
    given |= {"objective": objective, "ratio": ratio}
    rows = []
    for path in runs[0]["paths"]:
        own = [run["paths"][path] for run in runs]
        rows.append({**given, "path": path, **_means(own, (*FIGURES, *LIMITS))})
    return rows


def _costs(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    given = {"temperature": runs[0]["temperature"], "runs": len(runs)}
    return {**given, **_means(runs, (*COSTS, "m"))}


def _means(rows: Sequence[Row], names: Sequence[str]) -> dict[str, Any]:
    """Means of those that are known, and the deviation of each cost over several seeds."""
    found: dict[str, Any] = {}
    for name in names:
        values = [float(row[name]) for row in rows if row.get(name) not in (None, "")]
        found[name] = statistics.fmean(values) if values else ""
        if name in COSTS and len(values) > 1:
            found[f"{name}_sd"] = statistics.stdev(values)
    return found
