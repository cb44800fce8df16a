"""The clutter renderer against a data set that paints image by image with PIL.

Both make canvases of MNIST of 96 px as float32 tensors in [0, 1] on one thread, in turn: with the
paper's 21 distractors of 8 px, or with eight whole or scrambled digits beside the target. The
pictures are checked to be equal bit for bit first. PIL gets its places for free; the renderer
draws them, and gives boxes and stroke masks besides. The figure is the median of the ratios of
neighbouring measurements, in CPU time, which other programs on the machine disturb less than wall
time. To paste nine whole digits is little work for PIL; a third of the renderer's time is then the
conversion to float32.

    python benchmarks/clutter.py --root DIR --output benchmarks/results/clutter_cpu.json
    python benchmarks/clutter.py --root DIR --clutter scrambled
    python benchmarks/clutter.py --root DIR --device cuda --chunk 8192 --images 50000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import PIL
import torch
from painting import PaintedCrowds, PaintedFragments
from torch import Tensor

from ibdrop.data.canvases import ADVISED
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.matched import MatchedImages
from ibdrop.data.mnist import cluttered_mnist
from ibdrop.runs.provenance import device_name, git, versions

BATCH = 128
SETTINGS: dict[str, dict[str, Any]] = {
    "fragments": {},
    "digits": {"clutter": "digits", "excluded": ADVISED, "distractors": 8},
    "scrambled": {"clutter": "scrambled", "distractors": 8},
}
WORDS = {
    "fragments": "96 px, 21 distractors of 8 px",
    "digits": "96 px, 8 whole digits beside the target",
    "scrambled": "96 px, 8 scrambled digits beside the target",
}
Images = ClutteredImages | MatchedImages
Painted = PaintedFragments | PaintedCrowds


def made(clutter: str, root: str) -> tuple[Images, Images]:
    """The canvases of a kind, and those of the paper with the digits that they are made of."""
    data = cluttered_mnist(0, root=root, redraw=True, **SETTINGS[clutter])
    plain = cluttered_mnist(0, root=root)
    assert isinstance(data.train, ClutteredImages | MatchedImages)
    assert isinstance(plain.train, ClutteredImages)
    return data.train, plain.train


def painted(items: Painted) -> Tensor:
    """A batch, item by item."""
    return torch.stack([items[i] for i in range(len(items))])


def rendered(images: Images, index: Tensor, epoch: int, size: int) -> Tensor:
    """Chunks of `size` images, cut into batches as in training; gives the last batch."""
    for part in index.split(size):
        for pixels in images.batch(part, epoch).images.split(BATCH):
            inputs = pixels.float().div_(255)
    return inputs


def drawn(images: Images, index: Tensor, epoch: int, size: int) -> None:
    """The integers alone."""
    for part in index.split(size):
        images.layout(part, epoch)


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
    parser.add_argument("--root", default=os.environ.get("IBDROP_DATA", "data"), metavar="DIR")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--clutter", default="fragments", choices=tuple(SETTINGS))
    parser.add_argument("--rounds", type=int, default=15, help="pairs of measurements")
    parser.add_argument("--items", type=int, default=256, help="images that PIL paints in a round")
    parser.add_argument("--images", type=int, default=8192, help="images rendered in a round")
    parser.add_argument("--chunk", type=int, default=256, help="images rendered at once")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(arguments.device)

    images, plain = made(arguments.clutter, arguments.root)
    few = torch.arange(arguments.items)
    items: Painted
    if isinstance(images, MatchedImages):
        items = PaintedCrowds(images, few, arguments.clutter == "scrambled", plain)
    else:
        items = PaintedFragments(images, few)
    images = images.to(device)
    assert torch.equal(painted(items), images.batch(few).images.cpu().float().div(255))
    print(f"{len(items)} pictures are equal bit for bit", flush=True)

    cpu, figures = torch.device("cpu"), []
    for epoch in range(1, arguments.rounds + 2):
        index = torch.randperm(len(images))[: arguments.images]
        one = seconds(partial(painted, items), cpu) / len(items)
        render = partial(rendered, images, index, epoch, arguments.chunk)
        other = seconds(render, device) / len(index)
        draw = partial(drawn, images, index, epoch, arguments.chunk)
        figures.append((one, other, seconds(draw, device) / len(index)))
        print("  ".join(f"{1e6 * value:.2f} us" for value in figures[-1]), flush=True)
    report(arguments, device, figures[1:])


def report(
    arguments: argparse.Namespace, device: torch.device, figures: list[tuple[float, float, float]]
) -> None:
    """Prints the figures and writes them if asked."""
    pil, ours, drawing = (statistics.median(column) for column in zip(*figures, strict=True))
    names = ("device", "clutter", "rounds", "images", "chunk")
    flags = " ".join(f"--{name} {getattr(arguments, name)}" for name in names)
    result = {
        "command": f"python benchmarks/clutter.py --root DIR {flags}",
        "device": device_name(device),
        "cpu": device_name(torch.device("cpu")),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions() | {"pillow": PIL.__version__},
        "git": git(Path(__file__).parent),
        "setting": f"{WORDS[arguments.clutter]}, float32 out; medians of the time per image",
        "pil_us_per_image": round(1e6 * pil, 2),
        "renderer_us_per_image": round(1e6 * ours, 2),
        "of_which_drawing_us": round(1e6 * drawing, 2),
        "renderer_images_per_second": round(1 / ours),
        "ratio_median": round(statistics.median(one / other for one, other, _ in figures), 1),
        "ratios": [round(one / other, 1) for one, other, _ in figures],
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
