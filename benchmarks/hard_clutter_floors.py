"""What maps without a network score on each kind of clutter, beside what chance would give.

For 1,000 test canvases of each kind, on embedded digits and on MNIST: every floor of
`ibdrop.artifacts.floors`, measured on the target; and, where things do not overlap, the same maps
measured on each distractor as if it were the target (`neighbours`). A map that tells the target
from nothing scores the same on both. Two rows give the levels to compare with:

- `area share`: what a map gets that does not even follow the ink (the flat map);
- `ink share`: how much of the ink is the target's. A map that follows the ink has all of its
  energy on strokes, with D distractors 1 / (1 + D) of it on those of the target: for
  `mass_strokes`, `rank_strokes`, `energy_box`, `rank_box` and `pointing_box` that is chance, since
  strokes and tight boxes leave out the black between things, which the area counts. For
  `energy_padded` area and ink nearly agree, as padded boxes cover the canvas nearly evenly.

`best` rows are the largest figure of each measure over a group. Standard errors are those of the
mean over canvases. Takes two minutes.

    python benchmarks/hard_clutter_floors.py --root DIR \
        --output benchmarks/results/clutter_floors.csv
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ibdrop.artifacts.floors import floors
from ibdrop.artifacts.quality import Target
from ibdrop.data.base import ImageData, ImageSet
from ibdrop.data.canvases import ADVISED
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.digits import cluttered_digits
from ibdrop.data.ink import tight_boxes
from ibdrop.data.matched import MatchedImages
from ibdrop.data.mnist import cluttered_mnist
from ibdrop.files import write_csv

MEASURES = (
    "energy_padded",
    "energy_box",
    "mass_strokes",
    "rank_strokes",
    "rank_box",
    "pointing_box",
)
PADDING, CANVAS, BATCH = 6, 96, 250
GROUPS = ("blurred", "sharpened")


def settings(root: str) -> Iterator[tuple[str, str, ImageData]]:
    """The recommended settings of each kind; for fragments those of the config."""
    digits: dict[str, dict[str, Any]] = {
        "fragments": {},
        "digits": {"clutter": "digits", "excluded": ADVISED, "canvas": 54},
        "scrambled": {"clutter": "scrambled", "canvas": 54},
    }
    for kind, options in digits.items():
        yield "embedded digits", kind, cluttered_digits(0, **options)
    for kind, options in digits.items():
        hard = {} if kind == "fragments" else {**options, "canvas": 96, "distractors": 8}
        yield "MNIST", kind, cluttered_mnist(0, root=root, **hard)


Scores = dict[str, dict[str, Tensor]]


def measured(images: Tensor, boxes: Tensor, masks: Tensor) -> Scores:
    """The scores of every floor and of the ink, with shape (B)."""
    size = cast(tuple[int, int], tuple(images.shape[2:]))
    target = Target.of(boxes, masks, size, round(PADDING * min(size) / CANVAS))
    return {
        name: {key: scores[key] for key in MEASURES} for name, scores in floors(images, target)
    }


def neighbours(data: MatchedImages, index: Tensor) -> Iterator[Scores]:
    """The scores of the same maps as if one distractor after the other were the target."""
    crowd, side = data.layout(index), data.grid.side
    corners = data.grid.corners(*crowd[1:])
    images = data.batch(index).images
    things = data.shelf[1:-1, -side:, -side:] > data.stroke
    for number in range(1, crowd.tile.shape[1]):
        strokes, corner = things[crowd.tile[:, number]], corners[:, number]
        masks = torch.zeros(images.shape[0], *images.shape[2:], dtype=torch.bool)
        for mask, stroke, (top, left) in zip(masks, strokes, corner.tolist(), strict=True):
            mask[top : top + side, left : left + side] = stroke
        yield measured(images, tight_boxes(strokes) + corner.repeat(1, 2), masks)


def on_targets(data: MatchedImages | ClutteredImages, count: int) -> tuple[Scores, Tensor]:
    """The scores of every floor on the targets of the first canvases, and their shares of ink."""
    parts, shares = [], []
    alone = copy(data)
    alone.view = "alone"
    for index in torch.arange(count).split(BATCH):
        batch = data.batch(index)
        assert batch.boxes is not None
        assert batch.masks is not None
        parts.append(measured(batch.images, batch.boxes, batch.masks))
        shares.append(amount(alone.batch(index).images) / amount(batch.images))
    return joined(parts), torch.cat(shares)


def amount(images: Tensor) -> Tensor:
    """The ink of each canvas."""
    return images.double().sum((1, 2, 3))


def joined(parts: list[Scores]) -> Scores:
    return {
        name: {key: torch.cat([part[name][key] for part in parts]) for key in MEASURES}
        for name in parts[0]
    }


def rows(data: ImageSet, count: int, some: int) -> list[dict[str, Any]]:
    assert isinstance(data, MatchedImages | ClutteredImages)
    scores, ink = on_targets(data, count)
    table = [row(name, "target", values) for name, values in scores.items()]
    table[0]["source"] = "area share"
    table.insert(1, row("ink share", "target", dict.fromkeys(MEASURES, ink)))
    table += best(table)
    if isinstance(data, MatchedImages):
        index = torch.arange(some)
        others = joined(list(neighbours(data, index)))
        other = [row(name, "neighbours", values) for name, values in others.items()]
        other[0]["source"] = "area share"
        table += other
        table += best(other)
    return table


def row(source: str, measured_on: str, values: dict[str, Tensor]) -> dict[str, Any]:
    found: dict[str, Any] = {"source": source, "measured_on": measured_on}
    found["cases"] = len(values[MEASURES[0]])
    for key, score in values.items():
        known = score[~score.isnan()]
        found[key] = round(known.mean().item(), 4)
        found[f"{key}_error"] = round(known.std().item() / len(known) ** 0.5, 4)
    return found


def best(table: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The largest figures of the blurred and of the sharpened maps, and of all."""
    found = []
    for group in (*GROUPS, ""):
        members = [line for line in table if group in line["source"]]
        members = [line for line in members if not line["source"].endswith("share")]
        line = {"source": f"best {group or 'floor'}", "measured_on": table[0]["measured_on"]}
        line["cases"] = table[0]["cases"]
        for key in MEASURES:
            top = max(members, key=lambda member: member[key])
            line |= {key: top[key], f"{key}_error": top[f"{key}_error"]}
        found.append(line)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", default=os.environ.get("IBDROP_DATA", "data"), metavar="DIR")
    parser.add_argument("--images", type=int, default=1000, help="canvases of each kind")
    parser.add_argument("--neighbours", type=int, default=250, help="of these for the neighbours")
    parser.add_argument("--output", type=Path, default=None, help="CSV file to write")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = []
    for digits, kind, data in settings(arguments.root):
        where = {"digits": digits, "clutter": kind, "canvas": data.spec.height}
        found = rows(data.test, arguments.images, arguments.neighbours)
        table += [where | line for line in found]
        for line in found:
            if line["source"].split()[0] in ("area", "ink", "centre", "brightness", "best"):
                figures = "  ".join(f"{line[key]:.3f}" for key in MEASURES)
                print(f"{digits:16}{kind:11}{line['measured_on']:11}{line['source']:16}{figures}")
    if arguments.output:
        write_csv(arguments.output, table)


if __name__ == "__main__":
    main()
