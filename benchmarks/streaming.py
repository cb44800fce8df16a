"""Pictures streamed from disk against pictures in memory, and against torch's DataLoader.

All take the same pictures of a folder of class folders in the same random order and make batches
of 128 float32 images in [0, 1], in turn. The DataLoader is the usual one: torchvision's
`ImageFolder` and `ToTensor` in worker processes that stay alive. Ours decodes with threads of its
own process, each batch announced while the one before is used, as in training. That all three
give the same values is checked first. The figures are medians of the wall time per image, and of
the ratios of neighbouring measurements; the files are in the system's cache.

With `--work` the consumer sleeps that many milliseconds after each batch, as it does while a
device is busy: what is left of the time is what learning waits for pictures, announced or not.

    python benchmarks/streaming.py FOLDER --work 40 --output benchmarks/results/streaming_cpu.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import zip_longest
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor

from ibdrop.data.base import ImageSet, UnitRange
from ibdrop.data.holding import hold
from ibdrop.data.pictures import glance
from ibdrop.data.survey import Picture, Reader
from ibdrop.data.tree import File
from ibdrop.runs.provenance import device_name, versions

BATCH = 128
RESIDENT, STREAMED = 1024.0, 0.0
"""GiB of memory that pictures may take."""


class Order:
    """A sampler with an order that can be changed between epochs."""

    def __init__(self, order: Tensor) -> None:
        self.order = order

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    def __len__(self) -> int:
        return len(self.order)


def held(folder: ImageFolder, memory: float, workers: int) -> ImageSet:
    """The pictures as `image_folder` holds them."""
    reader = Reader(None, "colour", "crop")
    pictures = [Picture(File(path, label, path), glance(path)) for path, label in folder.samples]

    def read(i: int) -> Tensor:
        return reader.read(pictures[i])

    labels, shape = torch.tensor(folder.targets), reader.shape(pictures[0].look)
    return hold(read, labels, shape, resident=memory, workers=workers, what="reading")


def ours(images: ImageSet, order: Order, *, announced: bool = True) -> Iterator[Tensor]:
    """Batches in the way that training takes them."""
    parts, transform = order.order.split(BATCH), UnitRange()
    for index, upcoming in zip_longest(parts, parts[1:]):
        pixels = images.batch(index).images
        if announced and upcoming is not None:
            images.prefetch(upcoming)
        yield transform(pixels)


def usual(folder: ImageFolder, order: Order, workers: int) -> Iterable[tuple[Tensor, Tensor]]:
    """Torch's loader with as many processes; its batches are tensors and labels."""
    return DataLoader(
        folder, BATCH, sampler=order, num_workers=workers, persistent_workers=workers > 0
    )


def compare(ways: dict[str, Callable[[], Iterator[Tensor]]]) -> None:
    """Makes sure that all ways give the same values."""
    several = zip(*(way() for way in ways.values()), strict=True)
    for first, *others in several:
        assert all(torch.equal(first, other) for other in others)


def seconds(batches: Iterator[Tensor], work: float) -> float:
    """The wall time of going through all batches, less that of the pretended work."""
    started, worked = time.perf_counter(), 0.0
    for _ in batches:
        if work:
            before = time.perf_counter()
            time.sleep(work / 1000)
            worked += time.perf_counter() - before
    return time.perf_counter() - started - worked


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a folder with a folder of pictures per class")
    parser.add_argument("--workers", type=int, default=2, help="threads, and processes")
    parser.add_argument("--rounds", type=int, default=11, help="rounds of measurements")
    parser.add_argument("--images", type=int, default=4096, help="images per measurement")
    parser.add_argument("--work", type=float, default=0, help="ms of pretended work per batch")
    parser.add_argument("--name", default="", help="what the pictures are, for the file")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    folder = ImageFolder(arguments.folder, ToTensor())
    order = Order(torch.randperm(len(folder))[: arguments.images])
    streamed = held(folder, STREAMED, arguments.workers)
    resident = held(folder, RESIDENT, arguments.workers)
    loader = usual(folder, order, arguments.workers)
    ways: dict[str, Callable[[], Iterator[Tensor]]] = {
        "resident": partial(ours, resident, order),
        "streamed": partial(ours, streamed, order),
        "unannounced": partial(ours, streamed, order, announced=False),
        "loader": lambda: (batch for batch, _ in loader),
    }
    compare(ways)
    print("all ways give the same values", flush=True)
    plain, busy = [], []
    for _ in range(arguments.rounds + 1):
        order.order = torch.randperm(len(folder))[: arguments.images]
        plain.append(measure(ways, arguments.images, 0.0))
        if arguments.work:
            busy.append(measure(ways, arguments.images, arguments.work))
    report(arguments, len(folder), plain[1:], busy[1:])


def measure(
    ways: dict[str, Callable[[], Iterator[Tensor]]], count: int, work: float
) -> dict[str, float]:
    """Microseconds per image of each way, one after the other."""
    taken = {name: 1e6 * seconds(way(), work) / count for name, way in ways.items()}
    print("  ".join(f"{name} {value:.1f} us" for name, value in taken.items()), flush=True)
    return taken


def report(
    arguments: argparse.Namespace,
    count: int,
    plain: list[dict[str, float]],
    busy: list[dict[str, float]],
) -> None:
    """Prints the figures and writes them if asked."""
    median = medians(plain)
    names = ("workers", "rounds", "images", "work")
    flags = " ".join(f"--{name} {getattr(arguments, name):g}" for name in names)
    ratios = [row["loader"] / row["streamed"] for row in plain]
    result: dict[str, object] = {
        "command": f"python benchmarks/streaming.py FOLDER {flags}",
        "device": device_name(torch.device("cpu")),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions(),
        "pictures": arguments.name or arguments.folder.name,
        "pictures_in_the_folder": count,
        "setting": f"batches of {BATCH}, float32 out; {arguments.workers} threads, or processes",
        "images_per_second": {name: round(1e6 / value) for name, value in median.items()},
        "us_per_image": {name: round(value, 1) for name, value in median.items()},
        "streamed_to_loader_median": round(statistics.median(ratios), 2),
        "streamed_to_resident_median": round(
            statistics.median(row["resident"] / row["streamed"] for row in plain), 4
        ),
        "streamed_to_loader": [round(ratio, 2) for ratio in ratios],
    }
    if busy:
        waits = {name: value * BATCH / 1000 for name, value in medians(busy).items()}
        result["ms_of_work_per_batch"] = arguments.work
        result["ms_of_waiting_per_batch"] = {name: round(ms, 2) for name, ms in waits.items()}
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


def medians(rows: list[dict[str, float]]) -> dict[str, float]:
    """The median of each column."""
    return {name: statistics.median(row[name] for row in rows) for name in rows[0]}


if __name__ == "__main__":
    main()
