"""What the quality of explanations is measured on: how many images, of which, and how."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.heatmap import CANVAS, PADDING
from ibdrop.artifacts.quality import Target
from ibdrop.data.base import Batch
from ibdrop.explain.score import ClassScore
from ibdrop.runs.explanation_images import part_of
from ibdrop.runs.explanation_maps import Maker, parted

__all__ = ["COUNTS", "Plan"]

COUNTS: dict[str, int] = {"meaningful": 200, "extremal": 64, "occlusion": 256}
"""The most images of what is dear; the others take all."""

TOGETHER = 64


@dataclass
class Plan:
    """What is measured on which images.

    Attributes:
        trained: The network and its data.
        chosen: The images.
        counts: The most images of a method, by its name.
        controls: The share of a method's images for each of the two broken networks.
        curves: Images for curves of deletion and insertion.
        fill: What masks delete into.
        second: Fills on which masks are judged that were not sought with them.
        seed: Keys every draw.
        changes: Arguments of a mask's class instead of its defaults, by method.
    """

    trained: Trained
    chosen: Batch
    counts: Mapping[str, int]
    controls: float
    curves: int
    fill: str
    second: tuple[str, ...]
    seed: int
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images in pixels."""
        return self.chosen.images.shape[2], self.chosen.images.shape[3]

    @property
    def padding(self) -> int:
        """Pixels by which the padded box is wider on every side, 6 per 96."""
        return round(PADDING * min(self.size) / CANVAS)

    def count(self, name: str, network: str) -> int:
        """The number of images for a method on a network."""
        word = parted(name)[0]
        most = self.counts.get(name, self.counts.get(word, len(self.chosen.labels)))
        most = min(most, len(self.chosen.labels))
        return most if network == "trained" else math.ceil(self.controls * most)

    def batches(self, count: int) -> Iterator[tuple[slice, Batch]]:
        """The first images in batches, with their places among all."""
        for start in range(0, count, TOGETHER):
            place = slice(start, min(start + TOGETHER, count))
            yield place, part_of(self.chosen, place)

    def target(self, batch: Batch) -> Target:
        """Where the targets of a batch are."""
        assert batch.boxes is not None
        return Target.of(batch.boxes, batch.masks, self.size, self.padding)

    def maker(self, name: str) -> Maker:
        """What makes the maps of a method."""
        word, fill = parted(name, self.fill)
        changes = self.changes.get(name, self.changes.get(word))
        return Maker(self.trained.data, name, fill, self.seed, changes)

    def score(self, batch: Batch) -> ClassScore:
        """Asks the trained network for the labels of a batch."""
        trained = self.trained
        return ClassScore(trained.model, trained.data.transform, batch.labels, batch.index)

    def notes(self) -> tuple[str, ...]:
        """Sentences that say how it was done."""
        height, width = self.size
        strokes = "not known" if self.chosen.masks is None else "those of the target"
        return (
            f"{len(self.chosen.labels)} test images of {height} x {width} px that the network"
            " names correctly, noise off; n is how many of them a row is of, always the first"
            f" (seed {self.seed}).",
            "Means over images with 95 % bootstrap intervals; floor and ceiling of a skill are"
            " taken on the very images of its row.",
            "Coarse maps are spread over the pixels of their cells, totals conserved; negative"
            " parts are cut; pointing is without tolerance and splits ties.",
            f"Strokes are {strokes}; padded is {self.padding} px on every side.",
            "Gradient, integrated gradients (from black, 32 points), occlusion (black squares of"
            " 32 px of 224, half overlapping) and Grad-CAM explain the logit of the class;"
            f" masks delete into {_word(self.fill)} and explain what their presets do.",
            "Shuffled weights: the entries of every parameter permuted, all layers at once, batch"
            " norm estimated anew; untrained: fresh weights.",
            f"Torch {torch.__version__} on {self.trained.device.type}.",
        )


def _word(fill: str) -> str:
    return "black" if fill == "constant" else fill
