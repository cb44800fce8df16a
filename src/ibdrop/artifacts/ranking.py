"""Test images ordered by how unsure the network is of them, from many noisy passes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.classification import binary_auroc

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.calibration import brier_score, expected_calibration_error
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.ranking_pictures import (
    UNCERTAIN,
    draw_class,
    draw_classes,
    draw_histogram,
    draw_overall,
    draw_uncertain,
)
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes, write_csv
from ibdrop.models.base import Prediction
from ibdrop.sampling.plain import Predictive, Sampler, combine, entropy, monte_carlo

__all__ = ["EntropyRanking", "auroc_of_error", "slug"]

BLOCK = 256
"""Images sampled together; the draws depend on it, and so not on the batches of evaluation."""

MOST_GALLERIES = 20
LEAST_UNCERTAIN = 20
STABILITY_TOP = 30


class EntropyRanking(Artifact):
    r"""Every test image with its predictive distribution, ordered by entropy.

    .. math:: \bar p = \frac{1}{T} \sum_t \mathrm{softmax}(\mathrm{logits}_t), \quad
        H = -\sum_k \bar p_k \log \bar p_k

    over :math:`T` passes with the noise on (`ibdrop.sampling.monte_carlo`; for the variance see
    `ibdrop.sampling.Predictive`). The row of the deterministic network always stands beside, for
    sampling need not be better. Without noise there is one pass and no mutual information.

    Arguments:
        passes: The number of passes :math:`T`.
        images: The number of images shown at each end, overall and of each class.
        galleries: Whether to draw a picture of each class.
        sampler: What draws the samples; `None` takes the plain batched sampler.
    """

    def __init__(
        self,
        passes: int = 50,
        images: int = 30,
        galleries: bool = True,
        sampler: Sampler | None = None,
    ) -> None:
        if passes < 1:
            raise ValueError(f"passes is {passes}; at least 1 is needed")
        if images < 1:
            raise ValueError(f"images is {images}; at least 1 is needed")
        self.passes = passes
        self.images = images
        self.galleries = galleries
        self.sampler: Sampler = sampler or monte_carlo

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.waiting: list[tuple[Tensor, ...]] = []
        self.blocks: list[dict[str, Tensor]] = []
        self.distinct = 0

    def update(self, batch: Batch, prediction: Prediction) -> None:
        arrived = batch.index, batch.images, batch.labels, prediction.logits.double().softmax(1)
        self.waiting.append(arrived)
        while sum(len(part[0]) for part in self.waiting) >= BLOCK:
            self._sample(BLOCK)

    def _sample(self, count: int) -> None:
        """Samples the first `count` waiting images, in two independent halves."""
        parts = [torch.cat(part) for part in zip(*self.waiting, strict=True)]
        index, images, labels, p = (part[:count] for part in parts)
        self.waiting = [tuple(part[count:] for part in parts)] if len(parts[0]) > count else []
        inputs = self.trained.data.inputs(images)
        halves = [
            self.sampler(self.trained.model, inputs, passes, *self._key(index, half))
            for half, passes in enumerate(self._split())
        ]
        found = halves[0] if len(halves) == 1 else combine(*halves)
        self.distinct = found.passes if found.passes == self.passes else 1
        self.blocks.append(_block(index, labels, p, found, [half.entropy for half in halves]))

    def _key(self, index: Tensor, half: int) -> tuple[int | str, ...]:
        return self.trained.seed, "ranking", int(index[0]), half

    def _split(self) -> list[int]:
        if self.passes == 1:
            return [1]
        return [self.passes // 2, self.passes - self.passes // 2]

    def write(self, folder: Path) -> list[Path]:
        if self.waiting:
            self._sample(sum(len(part[0]) for part in self.waiting))
        if not self.blocks:
            return []
        data = {name: torch.cat([b[name] for b in self.blocks]) for name in self.blocks[0]}
        order = data["entropy"].argsort(descending=True, stable=True)
        data = {name: values[order] for name, values in data.items()}
        classes = self.trained.data.spec.classes
        table = write_csv(folder / "ranking.csv", _rows(data, classes))
        summary = write_csv(folder / "ranking_summary.csv", self._summary(data))
        archive = write_bytes(folder / "ranking_images.npz", self._shown(data))
        return [*self._draw(folder, table, archive, data), table, summary, archive]

    def _draw(
        self, folder: Path, table: Path, archive: Path, data: dict[str, Tensor]
    ) -> list[Path]:
        files = [
            save(draw_overall(table, archive, self.images), folder / "ranking_overall.png"),
            save(draw_uncertain(table, archive), folder / "ranking_uncertain.png"),
            save(draw_histogram(table), folder / "ranking_entropy.png"),
        ]
        classes = self.trained.data.spec.classes
        present = [classes[k] for k in data["labels"].unique().tolist()]
        if len(classes) > MOST_GALLERIES:
            return files
        files.append(save(draw_classes(table, archive), folder / "ranking_classes.png"))
        if self.galleries:
            place = folder / "ranking"
            place.mkdir(exist_ok=True)
            for name in present:
                figure = draw_class(table, archive, name, self.images)
                files.append(save(figure, place / f"class_{slug(name)}.png"))
        return files

    def _shown(self, data: dict[str, Tensor]) -> bytes:
        """The images of both ends, overall and of each class, as an NPZ archive."""
        places = [torch.arange(len(data["labels"]))]
        if len(self.trained.data.spec.classes) <= MOST_GALLERIES:
            places += [(data["labels"] == k).nonzero()[:, 0] for k in data["labels"].unique()]
        most = max(self.images, UNCERTAIN)
        ends = [torch.cat([place[:most], place[-most:]]) for place in places]
        index = data["index"][torch.cat(ends).unique()].sort().values
        images = [self.trained.data.test.batch(part).images.cpu() for part in index.split(BLOCK)]
        content = io.BytesIO()
        np.savez_compressed(content, index=index.numpy(), images=torch.cat(images).numpy())
        return content.getvalue()

    def _summary(self, data: dict[str, Tensor]) -> list[dict[str, Any]]:
        labels = data["labels"]
        noise_off = _figures(data["deterministic"], labels)
        noise_on = _figures(data["mean"], labels)
        noise_on["mean_expected_entropy"] = data["expected_entropy"].mean().item()
        noise_on["mean_mutual_information"] = data["mutual_information"].mean().item()
        for name in ("mutual_information", "variance"):
            noise_on[f"auroc_of_error_by_{name}"] = auroc_of_error(
                data[name], data["mean"].argmax(1) != labels
            )
        noise_on["stability_top_30"] = _stability(data)
        first = {"prediction": "deterministic", "passes": 1}
        second = {"prediction": "monte carlo", "passes": self.distinct}
        note = ""
        if self.distinct == 1 and self.passes > 1:
            note = "the network draws no noise: one pass, equal to the deterministic one"
        return [{**first, **noise_off, "note": ""}, {**second, **noise_on, "note": note}]


def _block(
    index: Tensor, labels: Tensor, p: Tensor, found: Predictive, halves: Sequence[Tensor]
) -> dict[str, Tensor]:
    values = {
        "index": index,
        "labels": labels,
        "deterministic": p,
        "mean": found.mean,
        "entropy": found.entropy,
        "expected_entropy": found.expected_entropy,
        "mutual_information": found.mutual_information,
        "variance": found.variance,
        "first_half": halves[0],
        "second_half": halves[-1],
    }
    return {name: value.cpu() for name, value in values.items()}


def _rows(data: dict[str, Tensor], classes: Sequence[str]) -> list[dict[str, Any]]:
    """One row per image, in the order of the data."""
    predicted, plain = data["mean"].argmax(1).tolist(), data["deterministic"].argmax(1).tolist()
    measures = ("entropy", "expected_entropy", "mutual_information", "variance")
    columns = {name: data[name].tolist() for name in measures}
    columns["deterministic_entropy"] = entropy(data["deterministic"]).tolist()
    rows = []
    for i, (index, label) in enumerate(
        zip(data["index"].tolist(), data["labels"].tolist(), strict=True)
    ):
        named = {
            "index": index,
            "label": classes[label],
            "predicted": classes[predicted[i]],
            "predicted_deterministic": classes[plain[i]],
            "correct": predicted[i] == label,
        }
        numbers = {name: f"{values[i]:.9g}" for name, values in columns.items()}
        p = data["mean"][i].tolist()
        shares = {f"p_{name}": f"{p[k]:.9g}" for k, name in enumerate(classes)}
        rows.append({**named, **numbers, **shares})
    return rows


def _figures(p: Tensor, labels: Tensor) -> dict[str, Any]:
    """Accuracy, NLL, Brier, calibration, entropy, and how entropy finds the mistakes."""
    unsure, wrong = entropy(p), p.argmax(1) != labels
    count = max(min(LEAST_UNCERTAIN, len(p)), round(0.01 * len(p)))
    most = unsure.argsort(descending=True, stable=True)[:count]
    return {
        "images": len(p),
        "accuracy": 1 - wrong.double().mean().item(),
        "error": wrong.double().mean().item(),
        "nll": F.nll_loss(p.clamp_min(1e-300).log(), labels).item(),
        "brier": brier_score(p, labels).item(),
        "ece": expected_calibration_error(p, labels).item(),
        "mean_entropy": unsure.mean().item(),
        "auroc_of_error_by_entropy": auroc_of_error(unsure, wrong),
        "most_uncertain": count,
        "error_of_most_uncertain": wrong[most].double().mean().item(),
    }


def auroc_of_error(score: Tensor, wrong: Tensor) -> float:
    """The chance that a mistake scores higher than a success; NaN unless there are both.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.
    """
    if not wrong.any() or wrong.all():
        return float("nan")
    # By ranks: torchmetrics would squash scores above 1 by a sigmoid, and make ties of them.
    _, ranks = score.unique(return_inverse=True)
    return float(binary_auroc(ranks / max(1, int(ranks.max())), wrong.long()))


def _stability(data: dict[str, Tensor]) -> float:
    """The share of the 30 most uncertain images that two runs of half the passes agree on."""
    count = min(STABILITY_TOP, len(data["index"]))
    tops = [
        data[half].argsort(descending=True, stable=True)[:count]
        for half in ("first_half", "second_half")
    ]
    return torch.isin(*tops).double().mean().item()


def slug(name: str) -> str:
    """A class name as part of a file name.

    Example:
        >>> slug("T-shirt/top")
        'T-shirt_top'
    """
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in name)
