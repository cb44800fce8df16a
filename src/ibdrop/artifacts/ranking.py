"""Test images ordered by how unsure the network is of them, from many noisy passes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.ranking_curves import draw_convergence, draw_histogram
from ibdrop.artifacts.ranking_numbers import (
    agreement,
    convergence_rows,
    image_rows,
    order_scores,
    stability_figures,
    stability_rows,
)
from ibdrop.artifacts.ranking_panels import SCORES, UNCERTAIN, draw_side_by_side, draw_uncertain
from ibdrop.artifacts.ranking_pictures import (
    draw_class,
    draw_classes,
    draw_mistakes,
    draw_overall,
)
from ibdrop.artifacts.ranking_sheet import Ranking
from ibdrop.artifacts.selective import write_selective
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes, write_csv
from ibdrop.merit import figures
from ibdrop.models.base import Prediction
from ibdrop.sampling.engine import MonteCarlo, NoNoiseError
from ibdrop.sampling.predictive import Predictive, pool
from ibdrop.seeds import key

__all__ = ["EntropyRanking", "file_names"]

MaskSharing = Literal["batch", "row"]
Design = Literal["balanced", "antithetic", "independent"]

MOST_IMAGES = 500
MOST_GALLERIES = 20
LONGEST_NAME = 60
NO_LAYER = "the network has no noise layer: deterministic only"
NO_DRAWS = "the network draws no noise: one pass, equal to the deterministic one"


class EntropyRanking(Artifact):
    r"""Every test image with its predictive distribution, ordered by entropy.

    .. math:: \bar p = \frac{1}{T} \sum_t \mathrm{softmax}(\mathrm{logits}_t), \quad
        H = -\sum_k \bar p_k \log \bar p_k

    over :math:`T` passes with the noise on (`ibdrop.sampling.engine.MonteCarlo`; the other
    quantities are those of `ibdrop.sampling.predictive.Predictive`). The row of the deterministic
    network always stands beside, for sampling need not be better. The images are sampled in the
    order of their numbers, so the results depend neither on the batches nor on the order of the
    evaluation.

    Arguments:
        passes: The number of passes :math:`T`.
        images: The number of images shown at each end, overall and of each class; at most 500.
        galleries: Whether to draw a picture of each class, for up to 20 classes.
        mask_sharing: Whether all images see the same masks, `batch`, or each its own, `row`.
        design: How the masks of a group of passes are drawn.
        groups: Independent groups of passes, from which come the standard errors.
        needs_noise: Whether a network without a noise layer is an error; otherwise its
            deterministic ranking is written.

    Attributes:
        block: Images fetched together; the sampling itself cuts to its memory budget.
    """

    block = 1000
    rounds = 1

    def __init__(
        self,
        passes: int = 50,
        images: int = 30,
        galleries: bool = True,
        mask_sharing: MaskSharing = "batch",
        design: Design = "balanced",
        groups: int = 10,
        needs_noise: bool = False,
    ) -> None:
        for name, value in (("passes", passes), ("images", images), ("groups", groups)):
            if value < 1:
                raise ValueError(f"{name} is {value}; at least 1 is needed")
        if images > MOST_IMAGES:
            raise ValueError(f"images is {images}; at most {MOST_IMAGES} fit into a picture")
        _check_choice("mask_sharing", mask_sharing, MaskSharing)
        _check_choice("design", design, Design)
        self.passes = passes
        self.images = images
        self.galleries = galleries
        self.mask_sharing: MaskSharing = mask_sharing
        self.design: Design = design
        self.groups = groups
        self.needs_noise = needs_noise

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.seen: list[tuple[Tensor, Tensor]] = []
        if self.needs_noise:
            self._sample(torch.zeros(1, dtype=torch.int64))

    def update(self, batch: Batch, prediction: Prediction) -> None:
        self.seen.append((batch.index.cpu(), batch.labels.cpu()))

    @torch.no_grad()
    def write(self, folder: Path) -> list[Path]:
        if not self.seen:
            return []
        index, labels = (torch.cat(part) for part in zip(*self.seen, strict=True))
        order = index.argsort(stable=True)
        index, labels = index[order], labels[order]
        found, note = self._sample(index)
        files = self._numbers(folder, found, index, labels, note)
        return [*self._draw(folder), *write_selective(folder, found, labels), *files]

    def _sample(self, index: Tensor) -> tuple[Predictive, str]:
        """What the passes say of the images with these numbers, and what is to be said of it.

        Raises:
            NoNoiseError: The network has no noise layer, and needs one.
        """
        try:
            sampler = MonteCarlo(
                self.trained.model,
                seed=key(self.trained.seed, "ranking"),
                passes=self.passes,
                mask_sharing=self.mask_sharing,
                design=self.design,
                groups=min(self.groups, self.passes),
            )
            found = pool([self._part(sampler, part) for part in index.split(self.block)])
        except NoNoiseError:
            if self.needs_noise:
                raise
            return self._deterministic(index), NO_LAYER
        notes = list(dict.fromkeys(sampler.notes))
        if found.passes < self.passes:
            notes = [NO_DRAWS, *notes]
        return found, "; ".join(notes)

    def _part(self, sampler: MonteCarlo, index: Tensor) -> Predictive:
        found = sampler(self._inputs(index), index).cpu()
        self.on_images(len(index))
        return found

    def _deterministic(self, index: Tensor) -> Predictive:
        parts = index.split(self.block)
        logits = [self.trained.model(self._inputs(part), sample=False).logits for part in parts]
        return Predictive.of_logits(torch.cat(logits)[None]).cpu()

    def _inputs(self, index: Tensor) -> Tensor:
        data = self.trained.data
        found: Tensor = data.inputs(data.test.batch(index).images)
        return found

    def _numbers(
        self, folder: Path, found: Predictive, index: Tensor, labels: Tensor, note: str
    ) -> list[Path]:
        """Writes all that the pictures are drawn from."""
        classes, scores = self.trained.data.spec.classes, order_scores(found)
        names = self.trained.data.test.names
        summary = self._summary(found, labels, note)
        stability = stability_rows(found, labels, classes, self.images)
        files = [
            write_csv(folder / "ranking.csv", image_rows(found, index, labels, classes, names)),
            write_csv(folder / "ranking_summary.csv", summary),
            write_csv(folder / "ranking_stability.csv", stability),
            write_csv(folder / "ranking_agreement.csv", agreement(scores, self.images)),
        ]
        if len(found.sizes) > 1:
            table = convergence_rows(found, labels)
            files.append(write_csv(folder / "ranking_convergence.csv", table))
        places = self._shown(found, scores, labels)
        archive = self._archive(found.deterministic, index, places)
        return [*files, write_bytes(folder / "ranking_images.npz", archive)]

    def _summary(self, found: Predictive, labels: Tensor, note: str) -> list[dict[str, Any]]:
        plain, sampled = figures(found, labels)
        if note == NO_LAYER:
            return [{**plain, "note": note}]
        sampled |= stability_figures(found, labels, self.trained.data.spec.classes)
        sampled |= {"mask_sharing": self.mask_sharing, "design": self.design}
        sampled |= {"groups": len(found.sizes), "note": note}
        return [plain, sampled]

    def _shown(self, found: Predictive, scores: dict[str, Tensor], labels: Tensor) -> Tensor:
        """The places of all images that occur in some picture."""
        most = max(self.images, UNCERTAIN)
        h = scores["entropy"].argsort(descending=True, stable=True)
        groups = [h, h[found.mean.argmax(1)[h] != labels[h]]]
        if self._few_classes():
            groups += [h[labels[h] == k] for k in labels.unique()]
        ends = [torch.cat([group[:most], group[-most:]]) for group in groups]
        tops = [scores[name].argsort(descending=True, stable=True)[:most] for name in SCORES]
        places: Tensor = torch.cat([*ends, *tops]).unique()
        return places

    def _archive(self, plain: Tensor, index: Tensor, places: Tensor) -> bytes:
        """The images at these places with their deterministic distributions, as an NPZ archive."""
        parts = index[places].split(self.block)
        images = torch.cat([self.trained.data.test.batch(part).images.cpu() for part in parts])
        content = io.BytesIO()
        np.savez_compressed(
            content,
            index=index[places].numpy(),
            images=images.numpy(),
            deterministic=plain[places].numpy(),
        )
        return content.getvalue()

    def _draw(self, folder: Path) -> list[Path]:
        ranking, count = Ranking.read(folder), self.images
        pictures = {"ranking_overall": draw_overall(ranking, count)}
        if any(row["correct"] != "True" for row in ranking.rows):
            pictures["ranking_mistakes"] = draw_mistakes(ranking, count)
        pictures["ranking_uncertain"] = draw_uncertain(ranking)
        pictures["ranking_entropy"] = draw_histogram(ranking)
        if ranking.sampled:
            pictures["ranking_side_by_side"] = draw_side_by_side(ranking, count)
            table = folder / "ranking_convergence.csv"
            pictures["ranking_convergence"] = draw_convergence(table)
        if self._few_classes():
            pictures["ranking_classes"] = draw_classes(ranking)
        files = [save(figure, folder / f"{name}.png") for name, figure in pictures.items()]
        if not self.galleries or not self._few_classes():
            return files
        place = folder / "ranking"
        place.mkdir(exist_ok=True)
        for name, file in zip(ranking.present, file_names(ranking.present), strict=True):
            files.append(save(draw_class(ranking, name, count), place / f"class_{file}.png"))
        return files

    def _few_classes(self) -> bool:
        return len(self.trained.data.spec.classes) <= MOST_GALLERIES


def _check_choice(name: str, value: str, choices: Any) -> None:
    if value not in get_args(choices):
        known = ", ".join(get_args(choices))
        raise ValueError(f"{name} is {value!r}; it must be one of {known}")


def file_names(names: Sequence[str]) -> list[str]:
    """Class names as parts of file names, no two alike.

    Example:
        >>> file_names(["T-shirt/top", "T-shirt_top"])
        ['T-shirt_top', 'T-shirt_top_1']
    """
    found: dict[str, None] = {}
    for place, name in enumerate(names):
        safe = "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
        safe = safe[:LONGEST_NAME]
        known = {other.lower() for other in found}
        found[f"{safe}_{place}" if safe.lower() in known else safe] = None
    return list(found)
