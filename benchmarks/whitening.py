"""What whitening costs, and how well it whitens, on any set of small pictures.

Takes an NPZ with `images` (uint8, N x H x W x C), a `.pt` with the tensor `images` (uint8,
N x C x H x W), or a folder of JPEG or PNG pictures of one size. With `--paper`
it does what the code of the Information Dropout paper does as well, a singular value
decomposition in float32 (minutes), and measures what rounding makes of the constant vector.

    python benchmarks/whitening.py PICTURES --threads 2 --output FILE.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ibdrop.data.base import ImageSpec, StaticImages, Transform, UnitRange
from ibdrop.data.samples import samples
from ibdrop.data.transforms import per_channel
from ibdrop.data.whitening import EPSILON, Whitened, standardised, whitened, zca_matrix
from ibdrop.runs.provenance import device_name, versions

BATCH = 128
ENDINGS = (".jpg", ".jpeg", ".png")


def pictures(source: Path) -> Tensor:
    """Pixels as uint8, with shape (N, C, H, W)."""
    if source.suffix == ".pt":
        found: Tensor = torch.load(source, weights_only=True)["images"]
        return found
    if source.suffix == ".npz":
        with np.load(source, allow_pickle=False) as file:
            return torch.from_numpy(file["images"]).permute(0, 3, 1, 2).contiguous()
    files = sorted(file for file in source.rglob("*") if file.suffix.lower() in ENDINGS)
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def milliseconds(transform: Transform, batch: Tensor, rounds: int = 30) -> float:
    """The median time of a batch."""
    times = [timed(lambda: transform(batch)) for _ in range(rounds + 3)]
    return round(1000 * statistics.median(times[3:]), 3)


def covariance(images: StaticImages, transform: Callable[[Tensor], Tensor]) -> Tensor:
    """Of what the network reads, in float64."""
    total, products = torch.tensor(0.0), torch.tensor(0.0)
    for pixels in samples(images, len(images)):
        values = transform(pixels).flatten(1).double()
        total, products = total + values.sum(0), products + values.T @ values
    mean = total / len(images)
    return (products - len(images) * mean.outer(mean)) / (len(images) - 1)


def quality(images: StaticImages, transform: Whitened) -> dict[str, float]:
    """How far the whitened training images are from uncorrelated values of variance 1."""
    before = covariance(images, lambda pixels: standardised(pixels, torch.float64))
    variance, axes = torch.linalg.eigh(before)
    varies = variance > len(variance) * torch.finfo(torch.float64).eps * variance[-1]
    axes, spread = axes[:, varies], variance[varies].sqrt()
    after = covariance(images, transform)
    inside = axes.T @ after @ axes
    few = images.images[:5000]
    z = standardised(few, torch.float64) - transform.mean
    exact = z @ zca_matrix(before)
    return {
        "values_per_image": len(variance),
        "directions_that_vary": len(spread),
        "smallest_S": float(spread[0]),
        "largest_S": float(spread[-1]),
        "greatest_departure_from_I_among_them": float(
            (inside - torch.eye(len(spread))).abs().max()
        ),
        "of_which_the_formula_itself": float(1 - (spread[0] / (spread[0] + EPSILON)) ** 2),
        "greatest_error_of_float32": float((transform(few).flatten(1) - exact).abs().max()),
        "deviation_along_constant_vector": along_constant(after),
    }


def along_constant(covariance: Tensor) -> float:
    """The standard deviation along the constant vector of length 1."""
    return float(covariance.mean() * len(covariance)) ** 0.5


def in_float32(images: StaticImages) -> dict[str, float]:
    """The paper's formula, everything in float32, nothing left out."""
    rows = [
        (values - values.mean(1, keepdim=True)) / values.std(1, keepdim=True)
        for pixels in samples(images, len(images))
        for values in [pixels.flatten(1).float()]
    ]
    values = torch.cat(rows)
    mean = values.mean(0)
    started = time.perf_counter()
    centred = (values - mean) / (len(values) - 1) ** 0.5
    _, spread, axes = torch.linalg.svd(centred, full_matrices=False)
    seconds = time.perf_counter() - started
    matrix = axes.T @ torch.diag(1 / (spread + EPSILON)) @ axes
    out = torch.cat([((part - mean) @ matrix) for part in values.split(5000)]).double()
    along = out.sum(1) / out.shape[1] ** 0.5
    return {
        "seconds_of_the_decomposition": round(seconds, 1),
        "smallest_S": float(spread[-1]),
        "constant_vector_times_W": float(matrix.double().sum(0).norm() / len(matrix) ** 0.5),
        "deviation_along_constant_vector": float(along.std()),
        "mean_along_constant_vector": float(along.mean()),
    }


def main() -> None:
    """Measures and writes the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", type=Path)
    parser.add_argument("--name", default="", help="what the pictures are, for the file")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--paper", action="store_true", help="decompose in float32 as well")
    parser.add_argument("--output", type=Path, default=None, help="JSON file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    pixels = pictures(arguments.pictures)
    images = StaticImages(pixels, torch.zeros(len(pixels), dtype=torch.int64))
    spec = ImageSpec(*pixels.shape[1:], ())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["IBDROP_CACHE"] = folder
        computing, cached = (timed(lambda: whitened(images, spec)) for _ in range(2))
        transform = whitened(images, spec)
    channels = per_channel(images)
    batch = pixels[:BATCH]
    paper = f" --threads {arguments.threads}" + (" --paper" if arguments.paper else "")
    figures: dict[str, object] = {
        "command": f"python benchmarks/whitening.py PICTURES{paper}",
        "device": device_name(torch.device("cpu")),
        "threads": arguments.threads,
        "versions": versions(),
        "pictures": arguments.name or arguments.pictures.name,
        "shape": list(pixels.shape),
        "seconds_to_compute": round(computing, 2),
        "seconds_from_cache": round(cached, 2),
        "ms_per_batch_of_128": {
            "unit": milliseconds(UnitRange(), batch),
            "standard": milliseconds(channels, batch),
            "zca": milliseconds(transform, batch),
        },
        "channel_means": [round(value, 4) for value in channels.mean.tolist()],
        "channel_deviations": [round(value, 4) for value in channels.deviation.tolist()],
        "whitened_training_pictures": quality(images, transform),
    }
    if arguments.paper:
        figures["all_in_float32"] = in_float32(images)
    text = json.dumps(figures, indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
