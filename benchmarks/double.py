"""Double MNIST's renderer against a data set that resizes and pastes item by item with PIL.

Both make the same canvases (96 px, two digits of 23 to 56 px) as float32 tensors in [0, 1] on one
thread, in turn; grey levels differ by the rounding and, for digits made smaller, by PIL's
antialiasing. PIL gets its places for free; the renderer draws them, and gives boxes and stroke
masks besides. The figure is the median of the ratios of neighbouring measurements, in CPU time.

    python benchmarks/double.py --root DIR --output benchmarks/results/double_cpu.json
    python benchmarks/double.py --root DIR --device cuda
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from functools import partial
from pathlib import Path
from typing import cast

import PIL
import torch
from clutter import BATCH, seconds
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import to_tensor

from ibdrop.data import sources
from ibdrop.data.double import double_mnist
from ibdrop.data.idx import read_idx
from ibdrop.data.pairs import PairedImages
from ibdrop.runs.provenance import device_name, versions


class PastedItems:
    """The usual way: each item resizes its digits and pastes them on a canvas."""

    def __init__(self, images: PairedImages, digits: Tensor, index: Tensor) -> None:
        layout = images.layout(index)
        first = images.sizes.first[layout.sizes[..., None], images.ink[layout.digits][..., :2]]
        self.digits, self.canvas = digits.numpy(), images.canvas
        self.numbers = layout.digits.tolist()
        self.sides = (layout.sizes + images.sizes.least).tolist()
        self.ink = torch.cat((first, first + layout.extents), 2).tolist()
        self.corners = layout.corners.tolist()

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, i: int) -> Tensor:
        canvas = Image.new("L", (self.canvas, self.canvas))
        things = zip(self.numbers[i], self.sides[i], self.ink[i], self.corners[i], strict=True)
        for number, side, (top, left, bottom, right), (y, x) in things:
            digit = Image.fromarray(self.digits[number])
            digit = digit.resize((side, side), Image.Resampling.BILINEAR)
            canvas.paste(digit.crop((left, top, right, bottom)), (x, y))
        return to_tensor(canvas)


def pasted(items: PastedItems) -> Tensor:
    """A batch, item by item."""
    return torch.stack([items[i] for i in range(len(items))])


def rendered(images: PairedImages, index: Tensor, epoch: int, size: int) -> Tensor:
    """Chunks of `size` images, cut into batches as in training; gives the last batch."""
    for part in index.split(size):
        for pixels in images.batch(part, epoch).images.split(BATCH):
            inputs = pixels.float().div_(255)
    return inputs


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=os.environ.get("IBDROP_DATA", "data"), metavar="DIR")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--rounds", type=int, default=15, help="pairs of measurements")
    parser.add_argument("--items", type=int, default=512, help="images that PIL pastes in a round")
    parser.add_argument("--images", type=int, default=8192, help="images rendered in a round")
    parser.add_argument("--chunk", type=int, default=256, help="images rendered at once")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    device, cpu = torch.device(arguments.device), torch.device("cpu")

    here = cast(PairedImages, double_mnist(0, root=arguments.root, redraw=True).train)
    (digits, _), _ = read_idx(sources.MNIST, arguments.root)
    few = torch.arange(arguments.items)
    items = PastedItems(here, digits, few)
    error = pasted(items).mul(255) - here.batch(few).images
    print(f"grey levels differ by {float(error.abs().mean()):.3f} on average", flush=True)

    images, figures = here.to(device), []
    for epoch in range(1, arguments.rounds + 2):
        index = torch.randperm(len(images))[: arguments.images]
        one = seconds(partial(pasted, items), cpu) / len(items)
        render = partial(rendered, images, index, epoch, arguments.chunk)
        other = seconds(render, device) / len(index)
        figures.append((1e6 * one, 1e6 * other))
        print("  ".join(f"{value:.2f} us" for value in figures[-1]), flush=True)
    report(arguments, device, figures[1:])


def report(
    arguments: argparse.Namespace, device: torch.device, figures: list[tuple[float, float]]
) -> None:
    """Prints the figures and writes them if asked."""
    pil, ours = (statistics.median(column) for column in zip(*figures, strict=True))
    ratios = [round(one / other, 1) for one, other in figures]
    flags = f"--device {device.type} --rounds {arguments.rounds} --chunk {arguments.chunk}"
    result = {
        "command": f"python benchmarks/double.py --root DIR {flags}",
        "device": device_name(device),
        "cpu": device_name(torch.device("cpu")),
        "threads": 1,
        "python": platform.python_version(),
        "versions": versions() | {"pillow": PIL.__version__},
        "setting": "96 px, two digits of 23 to 56 px, float32 out; medians of the time per image",
        "pil_us_per_image": round(pil, 2),
        "renderer_us_per_image": round(ours, 2),
        "renderer_images_per_second": round(1e6 / ours),
        "ratio_median": round(statistics.median(ratios), 1),
        "ratios": ratios,
    }
    text = json.dumps(result, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
