"""The 784-500-784 autoencoder through the whole runner, against loops written by hand.

All start from the same weights and see the same digits in the same order, batches of 20, one
thread. In turn, an epoch each:

- runner: `experiment=autoencoder_mnist` as `ibdrop train` does it, with validation, checkpoints,
  metrics and progress bar;
- fused: the shortest loop in plain torch, derivatives by hand, weights changed in place, nothing
  else done;
- naive: what one writes first, a DataLoader, autograd, an optimiser and `.item()` (the first few
  epochs only).

Figures are seconds of wall time per epoch, and medians of the ratios of neighbouring epochs. The
costs of all epochs must agree.

    python benchmarks/autoencoder.py --root DIR --output benchmarks/results/autoencoder_cpu.json
    python benchmarks/autoencoder.py --root DIR --device cuda
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from ibdrop import build
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.learning.fit import fit
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.progress import TrainingProgress
from ibdrop.learning.recorder import Recorder
from ibdrop.models.autoencoder import ShallowAutoencoder
from ibdrop.runs.provenance import device_name, versions

SIZE, RATE = 20, 0.1


class Fused:
    """Weights by themselves, and epochs over them."""

    def __init__(self, start: ShallowAutoencoder, x: Tensor) -> None:
        assert start.bias is not None
        parts = start.encoder.weight, start.encoder.bias, start.bias
        self.weight, self.b, self.c = (part.detach().clone() for part in parts)
        self.x = x

    @torch.no_grad()
    def epoch(self) -> float:
        weight, b, c, scale = self.weight, self.b, self.c, -RATE / SIZE
        total = torch.zeros((), device=weight.device)
        for x in self.x.split(SIZE):
            y = torch.sigmoid(torch.addmm(b, x, weight.T))
            d = torch.addmm(c, y, weight)
            total += F.binary_cross_entropy_with_logits(d, x, reduction="sum")
            d.sigmoid_().sub_(x)
            e = (d @ weight.T).mul_(y).mul_(1 - y)
            weight.addmm_(e.T, x, alpha=scale).addmm_(y.T, d, alpha=scale)
            b.add_(e.sum(0), alpha=scale)
            c.add_(d.sum(0), alpha=scale)
        return float(total) / len(self.x)


class Naive:
    """What one writes first."""

    def __init__(self, start: ShallowAutoencoder, x: Tensor) -> None:
        parts = dict(start.named_parameters())
        self.weights = {name: nn.Parameter(p.detach().clone()) for name, p in parts.items()}
        self.optimizer = torch.optim.SGD(self.weights.values(), lr=RATE)
        self.loader = DataLoader(TensorDataset(x.cpu()), SIZE)
        self.device = x.device

    def epoch(self) -> float:
        total = 0.0
        weight, b, c = (self.weights[name] for name in ("encoder.weight", "encoder.bias", "bias"))
        for (x,) in self.loader:
            x = x.to(self.device)
            z = torch.sigmoid(F.linear(torch.sigmoid(F.linear(x, weight, b)), weight.T, c))
            loss = F.binary_cross_entropy(z, x, reduction="sum") / len(x)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / len(self.loader)


class InTurn(pl.Callback):
    """Times each epoch of the runner, and runs the others' in between."""

    def __init__(self, others: dict[str, Any], few: int) -> None:
        self.others, self.few = others, few
        self.seconds: dict[str, list[float]] = {name: [] for name in ("runner", *others)}
        self.costs: dict[str, list[float]] = {name: [] for name in others}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _wait()
        self.started = time.perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        _wait()
        self.seconds["runner"].append(time.perf_counter() - self.started)
        for name, other in self.others.items():
            if name != "naive" or len(self.costs[name]) < self.few:
                started = time.perf_counter()
                self.costs[name].append(other.epoch())
                _wait()
                self.seconds[name].append(time.perf_counter() - started)
        last = {name: round(values[-1], 3) for name, values in self.seconds.items()}
        print(f"epoch {len(self.seconds['runner'])}: {last}", flush=True)


def config(arguments: argparse.Namespace) -> dict[str, Any]:
    register()
    with initialize_config_dir(str(conf_dir()), **version_base()):
        overrides = [
            "experiment=autoencoder_mnist",
            f"dataset.root={arguments.root}",
            f"trainer={'gpu' if arguments.device == 'cuda' else 'cpu'}",
            f"trainer.precision={arguments.precision}",
            f"epochs={arguments.epochs}",
            "name=bench",
        ]
        found = OmegaConf.to_container(
            compose("train", overrides), resolve=True, throw_on_missing=False
        )
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=os.environ.get("IBDROP_DATA", "data"), metavar="DIR")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16", "auto"))
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--naive", type=int, default=3, help="epochs of the naive loop")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    experiment = build.experiment(config(arguments))
    module, options, data = experiment.module, experiment.options, experiment.data
    model = module.model
    assert isinstance(model, ShallowAutoencoder)
    x = data.inputs(data.train.batch(torch.arange(len(data.train))).images).flatten(1)
    turn = InTurn({"fused": Fused(model, x), "naive": Naive(model, x)}, arguments.naive)
    progress = TrainingProgress(module.position, module.epochs, module.steps, shown=True)
    rows: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)

        def after(row: dict[str, float], better: bool) -> None:
            rows.append(row)
            progress.show(row, module.task.words(row))

        recorder = Recorder(folder, folder / "metrics.csv", Interruption(), 5, after)
        fit(module, data, options, recorder, callbacks=[progress, turn])
    report(arguments, experiment.device, turn, [row["train_ce"] for row in rows])


def report(
    arguments: argparse.Namespace, device: torch.device, turn: InTurn, costs: list[float]
) -> None:
    """Prints the figures and writes them if asked."""
    seconds, fused = turn.seconds, turn.costs["fused"]
    ratios = [one / other for one, other in zip(seconds["runner"], seconds["fused"], strict=True)]
    naive = [one / other for one, other in zip(seconds["naive"], seconds["fused"], strict=False)]
    result = {
        "command": f"python benchmarks/autoencoder.py --root DIR --device {device.type}"
        f" --precision {arguments.precision} --epochs {arguments.epochs}",
        "device": device_name(device),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions(),
        "setting": "784-500-784, tied, 2,500 steps of 20 digits; the runner validates on 10,000",
        "seconds_per_epoch": {name: round(statistics.median(s), 3) for name, s in seconds.items()},
        "seconds_in_all": {name: round(sum(s), 2) for name, s in seconds.items()},
        "runner_to_fused_median": round(statistics.median(ratios), 3),
        "naive_to_fused_median": round(statistics.median(naive), 3) if naive else None,
        "runner_to_fused": [round(ratio, 3) for ratio in ratios],
        "costs": [round(cost, 4) for cost in costs],
        "greatest_difference_to_fused": max(
            abs(one - other) for one, other in zip(costs, fused, strict=True)
        ),
        "greatest_difference_of_naive": max(
            abs(one - other) for one, other in zip(turn.costs["naive"], fused, strict=False)
        )
        if naive
        else None,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
