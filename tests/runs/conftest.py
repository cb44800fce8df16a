from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ibdrop.runs.folder import Run

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)

MakeRun = Callable[..., Run]


def make_run(
    folder: Path, *, beta: float = 1e-3, seed: int = 0, error: float = 0.02, **fields: Any
) -> Run:
    """A run folder as a finished training leaves it, made without training."""
    config = {
        "name": folder.name,
        "beta": beta,
        "beta_units": "paper",
        "seed": seed,
        "noise": {"_target_": "ibdrop.noise.information.InformationNoise", "max_alpha": 0.7},
        "artifacts": {"ranking": {"passes": 50}},
    }
    overrides = [f"beta={beta}", f"seed={seed}"]
    run = Run.create(folder, config, command=["ibdrop", "train", *overrides], overrides=overrides)
    (run.artifacts / "confusion.png").write_bytes(PIXEL)
    kl = {"D0": 10.0 / (1 + beta), "D1": 2.0}
    metrics = {
        "test_images": 1000,
        "test_accuracy": 1 - error,
        "test_error": error,
        "test_nll": 3 * error,
        "test_brier": error,
        "test_ece": 0.01,
        "kl": kl,
        "kl_per_unit": {"D0": 0.1, "D1": 0.02},
        "at_cap": {"D0": 0.25, "D1": 0.5},
        "kl_total": sum(kl.values()),
    }
    found = {"status": "finished", "ended": run.record["started"], "seconds": 75.0}
    found |= {"metrics": metrics, "effective_beta": beta / 50_000, "train_images": 50_000}
    found |= {"epoch": 3, "best": {"epoch": 2, "val_accuracy": 0.97}, "device": "cpu"}
    run.update(**(found | fields))
    return run


@pytest.fixture(name="make_run")
def make_run_fixture() -> MakeRun:
    return make_run
