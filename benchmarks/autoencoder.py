"""The 784-500-784 autoencoder through the whole runner, against loops written by hand.

All start from the same weights and see the same digits in the same order, batches of 20, one
thread. In turn, an epoch each:

- runner: `experiment=autoencoder_mnist` as `ibdrop train` does it, with validation, checkpoints,
  metrics and progress bar;
- fused: the shortest loop in plain torch, derivatives by hand, weights changed in place, nothing
  else done;
- naive: what one writes first, a DataLoader, autograd, an optimiser and `.item()` (the first few
  epochs only).

Figures are seconds per epoch, of wall time and of the processor (which other jobs on the machine
hardly change), and medians of the ratios of neighbouring epochs: of all that the runner does, and
of its training without the validation, which the other two do not do. The costs of all epochs must
agree.

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
from typing import Any, NamedTuple

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


class Times(NamedTuple):
    """Seconds of one epoch."""

    wall: float
    processor: float

    @staticmethod
    def now() -> Times:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return Times(time.perf_counter(), time.process_time())

    def since(self, before: Times) -> Times:
        return Times(self.wall - before.wall, self.processor - before.processor)


class InTurn(pl.Callback):
    """Times each epoch of the runner, and runs the others' in between."""

    def __init__(self, others: dict[str, Any], few: int) -> None:
        self.others, self.few = others, few
        self.times: dict[str, list[Times]] = {
            name: [] for name in ("runner", "runner_training", *others)
        }
        self.costs: dict[str, list[float]] = {name: [] for name in others}

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = Times.now()

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.times["runner_training"].append(Times.now().since(self.started))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.times["runner"].append(Times.now().since(self.started))
        for name, other in self.others.items():
            if name != "naive" or len(self.costs[name]) < self.few:
                started = Times.now()
                self.costs[name].append(other.epoch())
                self.times[name].append(Times.now().since(started))
        last = {name: round(times[-1].wall, 3) for name, times in self.times.items() if times}
        print(f"epoch {len(self.times['runner'])}: {last}", flush=True)

    def ratio(self, one: str, other: str, clock: str) -> float | None:
        """The median ratio of neighbouring epochs."""
        pairs = zip(self.times[one], self.times[other], strict=False)
        ratios = [getattr(a, clock) / getattr(b, clock) for a, b in pairs]
        return round(statistics.median(ratios), 3) if ratios else None


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
    fused, naive = turn.costs["fused"], turn.costs["naive"]
    clocks = Times._fields
    result = {
        "command": f"python benchmarks/autoencoder.py --root DIR --device {device.type}"
        f" --precision {arguments.precision} --epochs {arguments.epochs}",
        "device": device_name(device),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions(),
        "setting": "784-500-784, tied, 2,500 steps of 20 digits; the runner validates on 1,000",
        **{f"{clock}_seconds_per_epoch": _medians(turn.times, clock) for clock in clocks},
        "wall_seconds_in_all": {
            name: round(sum(each.wall for each in times), 2) for name, times in turn.times.items()
        },
        **{
            f"{one}_to_fused_{clock}": turn.ratio(one, "fused", clock)
            for one in ("runner", "runner_training", "naive")
            for clock in clocks
        },
        "costs": [round(cost, 4) for cost in costs],
        "greatest_difference_to_fused": _difference(costs, fused),
        "greatest_difference_of_naive_to_fused": _difference(naive, fused),
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def _medians(times: dict[str, list[Times]], clock: str) -> dict[str, float]:
    seconds = {name: [getattr(each, clock) for each in found] for name, found in times.items()}
    return {name: round(statistics.median(each), 3) for name, each in seconds.items() if each}


def _difference(one: list[float], other: list[float]) -> float:
    """Of the epochs that both have."""
    return max((abs(a - b) for a, b in zip(one, other, strict=False)), default=0.0)


if __name__ == "__main__":
    main()
