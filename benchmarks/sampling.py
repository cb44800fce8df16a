"""What Monte Carlo sampling costs: the ways that everyone goes, and the engine's.

All sample the same network on the same images, in turn; figures are medians of the ratios to the
batch loop of the same round. Their errors are measured against many passes, so that it can be seen
that all compute the same thing.

    python benchmarks/sampling.py --case lenet --run RUN
    python benchmarks/sampling.py --case allcnn --images 96 --rounds 3
    python benchmarks/sampling.py --case lenet --run RUN --memory     peak memory over T
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop import initialisers
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.lenet import LeNet
from ibdrop.noise import baselines
from ibdrop.noise.baselines import BinaryNoise
from ibdrop.noise.information import InformationNoise
from ibdrop.runs.folder import Run
from ibdrop.runs.provenance import device_name, versions
from ibdrop.runs.reload import trained
from ibdrop.sampling.engine import MonteCarlo

REFERENCE = 2000
ENGINE = {
    "engine, a mask per image": {"mask_sharing": "row", "design": "independent"},
    "engine, a balanced mask per image": {"mask_sharing": "row", "design": "balanced"},
    "engine, shared masks": {"mask_sharing": "batch", "design": "independent"},
    "engine, shared balanced masks": {"mask_sharing": "batch", "design": "balanced"},
}


def network(
    case: str, run: Path | None, count: int, device: torch.device
) -> tuple[nn.Module, Tensor]:
    """A network and images: those of a run, or of the right shape."""
    if run is not None:
        found = trained(Run.open(run))
        model, data = found.model.to(device), found.data.to(device)
        return model, data.inputs(data.test.batch(torch.arange(count)).images)
    torch.manual_seed(0)
    if case == "lenet":
        model, size = LeNet(1, (28, 28), 10, BinaryNoise), 28
    else:
        model, size = AllCNN(1, (96, 96), 10, partial(InformationNoise, max_alpha=1.0)), 96
    initialisers.he_normal(model)
    model = model.eval().to(device, memory_format=torch.channels_last)
    return model, torch.rand(count, 1, size, size, device=device)


@contextmanager
def torch_dropout() -> Iterator[None]:
    """The hand-written loops use torch's dropout, not our faster one."""
    ours = baselines.dropout
    baselines.dropout = lambda f, rate, whole_channels=False: F.dropout(f, rate)
    try:
        yield
    finally:
        baselines.dropout = ours


@torch.no_grad()
def image_loop(model: nn.Module, images: Tensor, passes: int) -> Tensor:
    """One image at a time, one pass at a time: the Monte Carlo dropout post."""
    return torch.cat([batch_loop(model, image[None], passes, 1) for image in images])


@torch.no_grad()
def batch_loop(model: nn.Module, images: Tensor, passes: int, size: int = 500) -> Tensor:
    """The whole network for each pass over a batch."""
    means = []
    with torch_dropout():
        for batch in images.split(size):
            total: Any = 0
            for _ in range(passes):
                total = total + model(batch, sample=True).logits.double().softmax(1)
            means.append(total / passes)
    return torch.cat(means)


@torch.no_grad()
def repeated(model: nn.Module, images: Tensor, passes: int, size: int = 50) -> Tensor:
    """The input repeated T times, one call for each batch."""
    means = []
    with torch_dropout():
        for batch in images.split(size):
            logits = model(batch.repeat(passes, 1, 1, 1), sample=True).logits
            p = logits.double().softmax(1).view(passes, len(batch), -1)
            means.append(p.mean(0))
    return torch.cat(means)


def engine(model: nn.Module, images: Tensor, passes: int, seed: int = 0, **options: Any) -> Tensor:
    """Ours, every statistic included."""
    sampler = MonteCarlo(model, seed=seed, passes=passes, **options)
    found = sampler(images, torch.arange(len(images)))
    assert not sampler.notes, sampler.notes
    return found.mean


def ways(model: nn.Module, images: Tensor, passes: int) -> dict[str, Callable[[], Tensor]]:
    """What is compared, by name."""
    size = 500 if images.shape[-1] < 64 else 32
    found: dict[str, Callable[[], Tensor]] = {
        "batch loop": lambda: batch_loop(model, images, passes, size),
        "repeated input": lambda: repeated(model, images, passes, max(1, size // 10)),
    }
    for name, options in ENGINE.items():
        found[name] = partial(engine, model, images, passes, **options)
    return found


def clocked(call: Callable[[], Tensor]) -> tuple[float, Tensor]:
    """Seconds of a call and its result."""
    _wait()
    started = time.perf_counter()
    result = call()
    _wait()
    return time.perf_counter() - started, result


def compare(arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Times all ways in turn and measures their errors."""
    model, images = network(arguments.case, arguments.run, arguments.images, device)
    few = images[: arguments.checked]
    seconds: dict[str, list[float]] = {}
    squares: dict[str, list[float]] = {}
    options = ENGINE["engine, a mask per image"]
    truth = engine(model, few, REFERENCE, seed=1, **options) if len(few) else None
    for turn in range(arguments.rounds + 1):
        for name, call in ways(model, images, arguments.passes).items():
            spent, mean = clocked(call)
            if turn:
                seconds.setdefault(name, []).append(spent)
            if truth is not None:
                error = float((mean[: len(few)] - truth).square().mean())
                squares.setdefault(name, []).append(error)
            print(f"{name:36s} {spent:8.3f} s", flush=True)
    base = seconds["batch loop"]
    figures: dict[str, Any] = {
        name: {
            "seconds_median": statistics.median(spent),
            "ratio_to_batch_loop": statistics.median(
                a / b for a, b in zip(spent, base, strict=True)
            ),
            "ratios": [round(a / b, 4) for a, b in zip(spent, base, strict=True)],
            "rmse_of_mean_probability": statistics.mean(squares[name]) ** 0.5 if squares else None,
        }
        for name, spent in seconds.items()
    }
    if arguments.singles:
        spent, _ = clocked(
            lambda: image_loop(model, images[: arguments.singles], arguments.passes)
        )
        per_image = spent / arguments.singles
        figures["image loop"] = {
            "images": arguments.singles,
            "ratio_to_batch_loop": per_image * len(images) / statistics.median(base),
        }
    return figures


def memory(arguments: argparse.Namespace) -> dict[str, Any]:
    """Peak memory of sampling in processes of their own, over that of a single pass."""
    figures: dict[str, Any] = {}
    for name in ("engine, a mask per image", "engine, shared balanced masks"):
        peaks = {}
        for passes in (1, 50, 500):
            command = [sys.executable, __file__, "--case", arguments.case, "--peak", name]
            command += ["--passes", str(passes), "--images", str(arguments.images)]
            command += ["--run", str(arguments.run)] if arguments.run else []
            command += ["--device", arguments.device]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peaks[f"T={passes}"] = float(done.stdout.split()[-1])
            print(name, passes, peaks[f"T={passes}"], flush=True)
        figures[name] = {"peak_mib": peaks, "ratio_500_to_50": peaks["T=500"] / peaks["T=50"]}
    return figures


def peak(arguments: argparse.Namespace, device: torch.device) -> None:
    """Prints the peak memory of this process in MiB (on CUDA, that of the allocator)."""
    model, images = network(arguments.case, arguments.run, arguments.images, device)
    engine(model, images, arguments.passes, **ENGINE[arguments.peak])
    if device.type == "cuda":
        print(torch.cuda.max_memory_allocated() / (1 << 20))
    else:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", choices=("lenet", "allcnn"), default="lenet")
    parser.add_argument("--run", type=Path, default=None, help="a finished run of that model")
    parser.add_argument("--passes", type=int, default=50)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--checked", type=int, default=0, help="images whose errors are measured")
    parser.add_argument("--singles", type=int, default=0, help="images for the image loop")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--memory", action="store_true", help="measure peak memory instead")
    parser.add_argument("--peak", choices=ENGINE, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    device = torch.device(arguments.device)
    if arguments.peak:
        peak(arguments, device)
        return
    found = memory(arguments) if arguments.memory else compare(arguments, device)
    figures = {
        "command": "python " + " ".join(sys.argv),
        "case": arguments.case,
        "trained": arguments.run is not None,
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "versions": versions(),
        "images": arguments.images,
        "passes": arguments.passes,
        "figures": found,
    }
    print(json.dumps(figures, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
