"""Whether one convolution for f(x) and a(x) is faster than two, forward and backward.

The stride-2 layers of All-CNN, separate and merged in turn, on one thread; the figures are median,
least and largest ratio of time separate to time merged, so that above one merging is faster.
`NoisyLayer` decides by them.

    python benchmarks/merge.py --output benchmarks/results/merge_cpu.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from ibdrop.models.base import NoisyLayer
from ibdrop.noise.information import InformationNoise
from ibdrop.runs.provenance import device_name, versions

CASES = {"40 px": ((16, 40), (32, 20), (48, 10), (96, 5)), "96 px": ((32, 96), (64, 48), (96, 24))}


def seconds(layers: list[NoisyLayer], inputs: list[Tensor]) -> float:
    started = time.perf_counter()
    for layer, x in zip(layers, inputs, strict=True):
        noisy = layer(x, sample=True)
        assert noisy.kl is not None
        (noisy.z.sum() + noisy.kl.sum()).backward()
    return time.perf_counter() - started


def ratios(case: str, layout: torch.memory_format, batch: int, rounds: int) -> list[float]:
    made: dict[bool, list[NoisyLayer]] = {}
    for merge in (False, True):
        made[merge] = [
            NoisyLayer(
                nn.Conv2d(c, c, 3, 2, 1, bias=False),
                nn.BatchNorm2d(c),
                "relu",
                InformationNoise(c),
                merge,
            ).to(memory_format=layout)
            for c, _ in CASES[case]
        ]
    inputs = [
        torch.rand(batch, c, side, side).to(memory_format=layout).requires_grad_()
        for c, side in CASES[case]
    ]
    pairs = [
        (seconds(made[False], inputs), seconds(made[True], inputs)) for _ in range(rounds + 2)
    ]
    return [separate / merged for separate, merged in pairs[2:]]


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    figures: dict[str, object] = {
        "command": f"python benchmarks/merge.py --rounds {arguments.rounds}",
        "device": device_name(torch.device("cpu")),
        "versions": versions(),
    }
    layouts = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
    for case, batch in (("40 px", 32), ("96 px", 8)):
        for name, layout in layouts.items():
            found = ratios(case, layout, batch, arguments.rounds)
            low, high = min(found), max(found)
            figures[f"{case}, {name}"] = [
                round(value, 3) for value in (statistics.median(found), low, high)
            ]
    print(json.dumps(figures, indent=2))
    if arguments.output:
        arguments.output.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
