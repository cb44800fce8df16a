"""Explaining many pictures of 96 px in one batch against one at a time.

The same masks by the same steps of `meaningful` (preset paper, without its disc, and without a
price of area, lest masks of networks that know nothing stay as they are), once for all pictures
together and once for one after the other, in turn. Four networks: the quarter-width
All-CNN whose heat maps are published, which is bound by arithmetic; the MLP of the Information
Dropout paper, bound by reading its 22 million weights; and a LeNet of 4 and 8 channels on pictures
of 96 and of 28 px, the latter bound by the overhead of single operations.
Times are per picture and step; on a CPU it is CPU time of one thread, which
other programs on the machine disturb less than wall time. The figure is the median of the ratios
of neighbouring measurements. How the masks differ is written beside it.

    python benchmarks/explain.py --output benchmarks/results/explain_cpu.json
    python benchmarks/explain.py --device cuda --steps 50 --output explain_cuda.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.data.base import UnitRange
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.presets import fill, meaningful
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.lenet import LeNet
from ibdrop.models.mlp import MLP
from ibdrop.noise.information import InformationNoise
from ibdrop.runs.provenance import device_name, git, versions

NETWORKS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "All-CNN, quarter width, 96 px": (
        96,
        lambda: AllCNN(1, (96, 96), 10, InformationNoise, width=0.25),
    ),
    "MLP, three layers of 1000 units, 96 px": (
        96,
        lambda: MLP(1, (96, 96), 10, InformationNoise),
    ),
    "LeNet, 4 and 8 channels, 96 px": (
        96,
        lambda: LeNet(1, (96, 96), 10, InformationNoise, channels=(4, 8), width=32),
    ),
    "LeNet, 4 and 8 channels, 28 px": (
        28,
        lambda: LeNet(1, (28, 28), 10, InformationNoise, channels=(4, 8), width=32),
    ),
}
Masks = Callable[[Tensor], Tensor]


def asked(network: nn.Module, side: int, images: int, steps: int, device: torch.device) -> Masks:
    """Gives masks of the pictures with the numbers that it is called with."""
    chance = torch.Generator().manual_seed(0)
    pixels = torch.rand(images, 1, side, side, generator=chance).to(device)
    explainer = Explainer(meaningful("paper", start="ones", l1=0.0, steps=steps), fill("blur"))

    def masks(index: Tensor) -> Tensor:
        classes = torch.zeros_like(index)
        return explainer(network, UnitRange(), pixels[index], index, classes).masks

    return masks


def one_by_one(masks: Masks, index: Tensor) -> Tensor:
    """Every picture by itself."""
    return torch.cat([masks(row) for row in index.split(1)])


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """CPU time of this process, or wall time until the device is done."""
    if device.type == "cpu":
        started = time.process_time()
        work()
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - started


def measured(name: str, arguments: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """The figures of one network."""
    side, made = NETWORKS[name]
    torch.manual_seed(0)
    # As the runner has its networks.
    network = made().to(device, memory_format=torch.channels_last).eval()
    masks = asked(network, side, arguments.images, arguments.steps, device)
    index = torch.arange(arguments.images, device=device)
    few = index[: arguments.alone]
    apart = float((masks(index)[: len(few)] - one_by_one(masks, few)).abs().max())
    pairs = []
    for _ in range(arguments.rounds):
        alone = seconds(partial(one_by_one, masks, few), device) / len(few)
        together = seconds(partial(masks, index), device) / len(index)
        pairs.append((1e3 * alone / arguments.steps, 1e3 * together / arguments.steps))
        print(f"{name}: {pairs[-1][0]:.3f} ms alone, {pairs[-1][1]:.3f} ms together", flush=True)
    ratios = [alone / together for alone, together in pairs]
    return {
        "network": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "alone_ms_per_image_and_step": round(statistics.median(a for a, _ in pairs), 4),
        "together_ms_per_image_and_step": round(statistics.median(t for _, t in pairs), 4),
        "ratio_median": round(statistics.median(ratios), 2),
        "ratios": [round(ratio, 2) for ratio in ratios],
        "masks_differ_by_at_most": apart,
    }


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=7, help="pairs of measurements")
    parser.add_argument("--images", type=int, default=64, help="pictures in a batch")
    parser.add_argument("--alone", type=int, default=8, help="pictures one at a time in a round")
    parser.add_argument("--steps", type=int, default=10, help="steps of the optimisation")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)
    names = ("device", "rounds", "images", "alone", "steps")
    flags = " ".join(f"--{name} {getattr(arguments, name)}" for name in names)
    result = {
        "command": f"python benchmarks/explain.py {flags}",
        "device": device_name(device),
        "cpu": device_name(torch.device("cpu")),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions(),
        "git": git(Path(__file__).parent),
        "setting": f"{arguments.images} pictures in one batch against one at a time, preset paper"
        " from a mask of ones, area free, fill blur",
        "networks": [measured(name, arguments, device) for name in NETWORKS],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
