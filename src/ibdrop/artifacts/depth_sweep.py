"""What initial weights are worth over depth: errors and probes of a sweep side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ibdrop.artifacts.depth_sweep_pictures import draw_errors, draw_quantities
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.probe import TABLE
from ibdrop.files import read_csv, write_csv

__all__ = ["draw_depth"]

Row = Mapping[str, Any]
Rows = list[dict[str, Any]]

DEPTH = "model.layers"
HALF = 0.5
"""The validation error under which a network is said to have begun to learn."""


def draw_depth(
    rows: Sequence[Row], columns: Sequence[str], folder: Path, target: Path
) -> list[Path]:
    """Gathers the probes and the learning curves of a sweep, and draws them by depth.

    Writes `depth.csv`, a row for each run: its layers, what else was set, the seed, how variance
    passes through it forward (last over first layer) and backward (first over last), the standard
    deviation of its logits, the first epoch with a validation error under one half, the error of
    the last epoch, and the test error; `depth_errors.csv`, a row for each epoch of each; and
    `depth_probe.csv`, their probes with the noise as in training.

    Arguments:
        rows: The finished rows of `sweep.csv`.
        columns: The swept keys beside `beta` and `seed`.
        folder: The folder of the sweep.
        target: Where to write.

    Returns:
        The files; none where fewer than two runs were probed.
    """
    known = [row for row in rows if (folder / row["folder"] / "artifacts" / TABLE).is_file()]
    if len(known) < 2:
        return []
    others = [name for name in columns if name != DEPTH]
    runs: Rows = []
    errors: Rows = []
    probes: Rows = []
    for row in known:
        probe, epochs = _read(folder / row["folder"])
        given = {
            "depth": len(probe),
            "setting": ", ".join(str(row[name]) for name in others),
            "seed": row["seed"],
        }
        runs.append(given | _figures(probe, epochs) | {"test_error": row["test_error"]})
        errors += [given | epoch for epoch in epochs]
        probes += [given | layer for layer in probe]
    return _write(runs, errors, probes, target)


def _write(runs: Rows, errors: Rows, probes: Rows, target: Path) -> list[Path]:
    tables = [
        write_csv(target / f"{name}.csv", rows)
        for name, rows in (("depth", runs), ("depth_errors", errors), ("depth_probe", probes))
    ]
    variances = draw_quantities(tables[2], ("variance", "gradient"))
    signals = draw_quantities(tables[2], ("cosine", "dead", "weight_gradient"))
    pictures = [
        save(draw_errors(tables[1]), target / "depth_errors.png"),
        save(variances, target / "depth_variances.png"),
        save(signals, target / "depth_signals.png"),
    ]
    return [*pictures, *tables]


def _read(run: Path) -> tuple[Rows, Rows]:
    """The probe of a run as it trains, and its epochs."""
    probe: Rows = list(read_csv(run / "artifacts" / TABLE))
    epochs = read_csv(run / "metrics.csv")
    curve: Rows = [
        {"epoch": int(row["epoch"]), "train_ce": row["train_ce"], "val_error": _error(row)}
        for row in epochs
    ]
    return [row for row in probe if row["noise"] == probe[0]["noise"]], curve


def _error(epoch: Mapping[str, str]) -> float | None:
    """The validation error in [0, 1]; `None` without a validation split."""
    return 1 - float(epoch["val_accuracy"]) if epoch.get("val_accuracy") else None


def _figures(probe: Rows, epochs: Rows) -> dict[str, Any]:
    first, last = probe[0], probe[-1]
    judged = [row for row in epochs if row["val_error"] is not None]
    begun = [row["epoch"] for row in judged if row["val_error"] < HALF]
    return {
        "forward": _ratio(last["variance"], first["variance"]),
        "forward_predicted": _ratio(last["variance_predicted"], first["variance_predicted"]),
        "backward": _ratio(first["gradient"], last["gradient"]),
        "backward_predicted": _ratio(first["gradient_predicted"], last["gradient_predicted"]),
        "logit_deviation": last["logit_deviation"],
        "first_epoch_under_half": begun[0] if begun else None,
        "last_val_error": judged[-1]["val_error"] if judged else None,
    }


def _ratio(a: str, b: str) -> float | None:
    return float(a) / float(b) if float(b) else None
