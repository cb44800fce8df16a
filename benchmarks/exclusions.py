"""Which classes to exclude, so that density tells least which of nine whole digits is the target.

For every set of two to four classes: the chance that the target is the densest of nine digits of
the same ink (the others drawn as `clutter=digits` draws them), and that it is the least dense,
where density is the largest value after a blur. If density tells nothing both are 1/9 = 0.111.
The blurs are those of the floors and a narrower one, in pixels on a canvas of 96. Sets are sorted
by the highest of all these chances; `canvases.ADVISED` is the first. Takes half a minute.

    python benchmarks/exclusions.py --root DIR --output benchmarks/results/clutter_exclusions.csv
"""

from __future__ import annotations

import argparse
import os
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.artifacts.quality import blur
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.digits import cluttered_digits
from ibdrop.data.ink import Matches, ink
from ibdrop.data.mnist import cluttered_mnist
from ibdrop.files import write_csv
from ibdrop.seeds import generator

BLURS = (1.5, 3.0, 4.0, 5.5, 7.0, 9.0)
MARGIN = 8
DISTRACTORS, ROUNDS = 8, 40


def spots(digits: Tensor, pixels: float) -> Tensor:
    """The largest value of each digit after each blur, with shape (N, blurs)."""
    framed = F.pad(digits.double(), (MARGIN,) * 4)
    return torch.stack(
        [
            torch.cat([blur(part, sigma * pixels).amax((1, 2)) for part in framed.split(500)])
            for sigma in BLURS
        ],
        1,
    )


def chances(amounts: Tensor, dense: Tensor, out: Tensor) -> Tensor:
    """How often the target is the densest and how often the least dense, with shape (2, blurs)."""
    matches = Matches.of(amounts[~out], amounts[out], 1)
    targets, others = dense[~out][:, None], dense[out]
    random = generator("exclusions")
    found = torch.zeros(2, len(BLURS), dtype=torch.float64)
    for _ in range(ROUNDS):
        shape = len(targets), 1 + DISTRACTORS
        choice = torch.randint(2 * matches.window, shape, generator=random)
        beside = others[matches.drawn(torch.arange(len(targets)), choice)]
        for number, extreme in enumerate((targets > beside, targets < beside)):
            found[number] += extreme.all(1).double().mean(0)
    return found / ROUNDS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=os.environ.get("IBDROP_DATA", "data"), metavar="DIR")
    parser.add_argument("--digits", type=int, default=6000, help="digits of MNIST")
    parser.add_argument("--output", type=Path, default=None, help="CSV file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sources = {
        "digits": (cluttered_digits(0).train, 54 / 96),
        "mnist": (cluttered_mnist(0, root=arguments.root).train, 1.0),
    }
    known = {}
    for name, (source, pixels) in sources.items():
        digits = cast(ClutteredImages, source).digits[: arguments.digits]
        labels = cast(ClutteredImages, source).labels[: arguments.digits]
        known[name] = labels, ink(digits), spots(digits, pixels)
    table = []
    for classes in (chosen for size in (2, 3, 4) for chosen in combinations(range(10), size)):
        row: dict[str, Any] = {"excluded": " ".join(map(str, classes)), "highest": 0.0}
        for name, (labels, amounts, dense) in known.items():
            found = chances(amounts, dense, torch.isin(labels, torch.tensor(classes)))
            row["highest"] = round(max(row["highest"], found.max().item()), 4)
            for extreme, figures in zip(("densest", "least"), found.tolist(), strict=True):
                for sigma, figure in zip(BLURS, figures, strict=True):
                    row[f"{name}_{extreme}_{sigma:g}"] = round(figure, 4)
        table.append(row)
    table.sort(key=lambda row: row["highest"])
    for row in table[:12]:
        print(f"{row['excluded']:8}", *list(row.values())[1:])
    if arguments.output:
        write_csv(arguments.output, table)


if __name__ == "__main__":
    main()
