"""Shift and flip of training images against torchvision's transforms.

All make batches of 128 float32 images in [0, 1] from resident uint8 images of 3 x 32 x 32 pixels
on one thread, in turn. torchvision (v2: `RandomCrop` with a padding of 4, `RandomHorizontalFlip`)
once image by image, as in a data set's `__getitem__`, and once batch by batch, which gives one
shift and one flip to all 128 images; ours draws both for each image, and the same again for the
same seed, epoch and number. That the pictures are those of torchvision, for the shifts drawn, is
checked first. The figures are medians of the CPU time per image, and of the ratios of
neighbouring measurements.

    python benchmarks/augment.py --output benchmarks/results/augment_cpu.json
    python benchmarks/augment.py --device cuda
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
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as V

from ibdrop.data.augment import Augmentation, Augmented
from ibdrop.data.base import StaticImages
from ibdrop.runs.provenance import device_name, versions

BATCH, SIDE, SHIFT = 128, 32, 4
USUAL = v2.Compose([v2.RandomCrop(SIDE, padding=SHIFT), v2.RandomHorizontalFlip()])
OTHERS: dict[str, dict[str, Any]] = {
    "reflected shift, flip": {"shift": SHIFT, "flip": True, "padding": "reflect"},
    "crop": {"crop": 0.75},
    "noise": {"noise": 0.02},
    "cutout": {"cutout": 16},
    "all of these": {
        "shift": SHIFT,
        "padding": "reflect",
        "flip": True,
        "crop": 0.75,
        "noise": 0.02,
        "cutout": 16,
    },
}


def varied(images: StaticImages, **options: Any) -> Augmented:
    """The images with these options."""
    return Augmented(images, (SIDE, SIDE), Augmentation(**options), 0)


def one_by_one(images: Tensor, index: Tensor) -> None:
    """The usual way: each image by itself, then stacked."""
    for part in index.split(BATCH):
        torch.stack([USUAL(images[i]) for i in part.tolist()]).float().div_(255)


def together(images: Tensor, index: Tensor) -> None:
    """All images of a batch alike."""
    for part in index.split(BATCH):
        USUAL(images[part]).float().div_(255)


def ours(images: Augmented, index: Tensor, epoch: int, chunk: int) -> None:
    """Chunks of images, cut into batches as in training."""
    for part in index.split(chunk):
        for pixels in images.batch(part, epoch).images.split(BATCH):
            pixels.float().div_(255)


def compare(images: StaticImages) -> int:
    """Makes some pictures with torchvision, by the shifts that were drawn."""
    index = torch.arange(1000)
    found = varied(images, shift=SHIFT, flip=True)
    upright, across = found.frames(index, 1)
    for i, picture in enumerate(found.batch(index, 1).images):
        plain = images.images[i]
        plain = V.horizontal_flip(plain) if across.mirrored[i] else plain
        top, left = SHIFT - int(upright.shift[i]), SHIFT - int(across.shift[i])
        assert torch.equal(picture, V.crop(V.pad(plain, [SHIFT]), top, left, SIDE, SIDE))
    return len(index)


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


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=15, help="rounds of measurements")
    parser.add_argument("--items", type=int, default=1024, help="images done one by one")
    parser.add_argument("--images", type=int, default=16384, help="images done in batches")
    parser.add_argument("--chunk", type=int, default=1024, help="images varied at once")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)

    device = torch.device(arguments.device)
    pixels = torch.randint(0, 256, (arguments.images, 3, SIDE, SIDE), dtype=torch.uint8)
    images = StaticImages(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    print(f"{compare(images)} pictures are equal bit for bit", flush=True)
    figures = [measure(arguments, images, device, epoch) for epoch in range(arguments.rounds + 1)]
    report(arguments, device, figures[1:])


def measure(
    arguments: argparse.Namespace, images: StaticImages, device: torch.device, epoch: int
) -> dict[str, float]:
    """Seconds per image of each way, one after the other."""
    index, there = torch.randperm(len(images)), images.to(device)
    few = index[: arguments.items]
    usual = {"ours": {"shift": SHIFT, "flip": True}}
    work: dict[str, tuple[Callable[[], object], int]] = {
        "item": (partial(one_by_one, images.images, few), len(few)),
        "batch": (partial(together, there.images, index.to(device)), len(index)),
    }
    for name, options in (usual | OTHERS).items():
        found = varied(there, **options)
        work[name] = partial(ours, found, index, epoch, arguments.chunk), len(index)
    taken = {
        name: seconds(run, torch.device("cpu") if name == "item" else device) / count
        for name, (run, count) in work.items()
    }
    print("  ".join(f"{name} {1e6 * value:.2f} us" for name, value in taken.items()), flush=True)
    return taken


def report(
    arguments: argparse.Namespace, device: torch.device, figures: list[dict[str, float]]
) -> None:
    """Prints the figures and writes them if asked."""
    median = {name: 1e6 * statistics.median(row[name] for row in figures) for name in figures[0]}
    ratios = [row["item"] / row["ours"] for row in figures]
    flags = f"--device {device.type} --rounds {arguments.rounds} --chunk {arguments.chunk}"
    result = {
        "command": f"python benchmarks/augment.py {flags}",
        "device": device_name(device),
        "cpu": device_name(torch.device("cpu")),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions(),
        "setting": "3 x 32 x 32 px, shift by up to 4 px and flip, batches of 128, float32 out",
        "torchvision_by_item_us_per_image": round(median["item"], 2),
        "torchvision_by_batch_us_per_image": round(median["batch"], 2),
        "torchvision_by_batch_means": "one shift and one flip for all images of a batch",
        "ours_us_per_image": round(median["ours"], 2),
        "ours_images_per_second": round(1e6 / median["ours"]),
        "ratio_to_item_median": round(statistics.median(ratios), 1),
        "ratio_to_batch_median": round(
            statistics.median(row["batch"] / row["ours"] for row in figures), 2
        ),
        "others_us_per_image": {name: round(median[name], 2) for name in OTHERS},
        "ratios_to_item": [round(ratio, 1) for ratio in ratios],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
