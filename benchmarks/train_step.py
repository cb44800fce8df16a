"""What the runner costs: its epochs against a plain loop on the same model and data.

Both train the same network from the same weights on the same resident images, one epoch each in
turn; the figure is the median of the ratios of neighbouring epochs.

    python benchmarks/train_step.py --case allcnn
    python benchmarks/train_step.py --case mlp
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.learning.fit import fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.objective import objective
from ibdrop.learning.progress import TrainingProgress
from ibdrop.learning.recorder import Recorder
from ibdrop.runs.provenance import device_name, versions

CASES = {
    "allcnn": ["model=allcnn", "noise=information", "dataset=cluttered_digits", "batch_size=64"],
    "mlp": ["model=mlp", "noise=information", "dataset=digits", "batch_size=20"],
}


class Stopwatch(pl.Callback):
    """Seconds from the first step of an epoch to its last."""

    seconds = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _wait()
        self.started = time.perf_counter()

    def on_train_batch_end(self, *_: object) -> None:
        _wait()
        self.seconds = time.perf_counter() - self.started


def config_of(case: str, steps: int, extra: list[str]) -> dict[str, Any]:
    overrides = [*CASES[case], "epochs=1", f"trainer.limit_steps={steps}", "name=bench", *extra]
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        config = OmegaConf.to_container(compose("train", overrides), resolve=True)
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


def runner_epoch(config: dict[str, Any], folder: Path) -> float:
    """An epoch as `ibdrop train` does it: Lightning, recorder, progress bar."""
    experiment = build.experiment(config)
    module, options = experiment.module, experiment.options
    watch = Stopwatch()
    recorder = Recorder(folder, folder / "metrics.csv", Interruption(), 5, lambda *_: None)
    progress = TrainingProgress(module.position, 1, module.steps, shown=options.progress)
    data = experiment.data
    no_validation = type(data)(data.name, data.spec, data.train, _Nothing(), data.test)
    fit(module, no_validation, options, recorder, callbacks=[progress, watch])
    return watch.seconds


class _Nothing:
    def __len__(self) -> int:
        return 0


def plain_epoch(config: dict[str, Any]) -> float:
    """The loop that one writes by hand: shuffle, gather, forward, backward, step."""
    experiment = build.experiment(config)
    module, data = experiment.module, experiment.data
    model, optimizer = module.model.train(), module.optimizer
    order = torch.randperm(len(data.train))
    _wait()
    started = time.perf_counter()
    for step in range(module.steps):
        index = order[step * module.batch_size : (step + 1) * module.batch_size]
        batch = data.train.batch(index)
        with experiment.options.autocast(experiment.device):
            prediction = model(data.inputs(batch.images))
        terms = objective(prediction, batch.labels, module.weight.b)
        optimizer.zero_grad()
        terms.loss.backward()
        optimizer.step()
    _wait()
    return time.perf_counter() - started


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=CASES, default="allcnn")
    parser.add_argument("--steps", type=int, default=None, help="optimiser steps per epoch")
    parser.add_argument("--rounds", type=int, default=9, help="pairs of epochs")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    parser.add_argument("overrides", nargs="*", help="further KEY=VALUE")
    arguments = parser.parse_args()
    steps = arguments.steps or {"allcnn": 60, "mlp": 60}[arguments.case]
    config = config_of(arguments.case, steps, arguments.overrides)
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(arguments.rounds + 1):
            pairs.append((runner_epoch(config, Path(folder)), plain_epoch(config)))
            print(f"runner {pairs[-1][0]:.3f} s  plain {pairs[-1][1]:.3f} s", flush=True)
    pairs = pairs[1:]
    experiment = build.experiment(config)
    done = experiment.module.steps
    figures = {
        "command": "python " + " ".join(sys.argv),
        "case": arguments.case,
        "device": device_name(experiment.device),
        "python": platform.python_version(),
        "versions": versions(),
        "steps": done,
        "batch_size": experiment.module.batch_size,
        "runner_ms_per_step": 1e3 * statistics.median(a for a, _ in pairs) / done,
        "plain_ms_per_step": 1e3 * statistics.median(b for _, b in pairs) / done,
        "ratio_median": statistics.median(a / b for a, b in pairs),
        "ratios": [round(a / b, 4) for a, b in pairs],
    }
    print(json.dumps(figures, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
