"""What the codes of the test images are: where they lie, how active and how noisy they are."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.latent_pictures import ALPHA, draw_histograms, draw_scatter
from ibdrop.artifacts.plotting import save
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes, write_csv
from ibdrop.models.generative import Reconstruction

__all__ = ["Latents", "principal"]

Array = np.ndarray[Any, Any]
BINS = 80
DECADES, PER_DECADE = (-8, 4), 20


class Latents(Artifact):
    r"""The codes of test images, without noise: a map of them, and histograms.

    Codes of two units are drawn as they are; of longer codes the two principal components, with
    the share of the variance that they hold. Where both units are positive, as with Information
    Dropout, logarithmic axes stand beside: multiplicative noise knows ratios only. Histograms are
    drawn of the activities and, where a layer has one, of its noise strength :math:`\alpha`.
    `latent_units.csv` has one row for each unit of the code: its moments, the share of images for
    which it is exactly 0, and what it costs in nats where it has a price of its own.

    Arguments:
        images: The number of test images, the first ones, whose codes are drawn.
    """

    task: ClassVar[str | None] = "reconstruction"

    def __init__(self, images: int = 5000) -> None:
        if images < 2:
            raise ValueError(f"images={images}: at least 2 are needed.")
        self.images = images

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.codes: list[Tensor] = []
        self.labels: list[Tensor] = []
        self.kls: dict[str, Tensor] = {}
        self.alphas: dict[str, Tensor] = {}
        self.caps: dict[str, float] = {}
        self.seen = 0

    @torch.no_grad()
    def update(self, batch: Batch, prediction: Reconstruction) -> None:
        wanted = max(0, self.images - self.seen)
        self.codes.append(prediction.code[:wanted].detach().float().cpu())
        self.labels.append(batch.labels[:wanted].cpu())
        self.seen += len(batch.labels)
        for name, kl in prediction.kls.items():
            total = kl.double().flatten(1).sum(0).cpu()
            self.kls[name] = self.kls.get(name, torch.zeros_like(total)) + total
        for name, layer in prediction.layers.items():
            if layer.alpha is not None:
                found = _decades(layer.alpha.expand_as(layer.z))
                self.alphas[name] = self.alphas.get(name, torch.zeros_like(found)) + found
                if layer.cap is not None:
                    self.caps[name] = layer.cap

    def write(self, folder: Path) -> list[Path]:
        codes = torch.cat(self.codes).double()
        units = write_csv(folder / "latent_units.csv", self._units(codes))
        bins = write_csv(folder / "latent_histograms.csv", self._histograms(codes))
        files = [save(draw_histograms(bins, units), folder / "latent_histograms.png")]
        if codes.shape[1] < 2 or len(codes) < 2:
            return [*files, units, bins]
        content = io.BytesIO()
        np.savez_compressed(content, **self._points(codes))  # type: ignore[arg-type]
        archive = write_bytes(folder / "latent_codes.npz", content.getvalue())
        scatter = save(draw_scatter(archive), folder / "latent_scatter.png")
        return [scatter, *files, units, bins, archive]

    def _points(self, codes: Tensor) -> dict[str, Array]:
        points, shares = principal(codes)
        return {
            "points": points.float().numpy(),
            "labels": torch.cat(self.labels).numpy(),
            "classes": np.array(self.trained.data.spec.classes),
            "units": np.array(codes.shape[1]),
            "shares": shares.numpy(),
        }

    def _units(self, codes: Tensor) -> list[dict[str, Any]]:
        columns = {
            "mean": codes.mean(0),
            "deviation": codes.std(0, correction=0),
            "smallest": codes.amin(0),
            "largest": codes.amax(0),
            "share_zero": (codes == 0).double().mean(0),
        }
        for name, total in self.kls.items():
            if len(total) == codes.shape[1]:
                columns[f"kl_{name}"] = total / self.seen
        return [
            {"unit": unit, **{name: float(value[unit]) for name, value in columns.items()}}
            for unit in range(codes.shape[1])
        ]

    def _histograms(self, codes: Tensor) -> list[dict[str, Any]]:
        low, high = float(codes.min()), float(codes.max())
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts, _ = np.histogram(codes.numpy(), edges)
        rows = _bins("activity", counts, edges)
        for name, found in self.alphas.items():
            edges = np.logspace(*DECADES, len(found) + 1)
            made = _bins(f"{ALPHA}{name}", found.numpy(), edges)
            rows += [row | {"cap": self.caps.get(name, "")} for row in made]
        return rows


def principal(codes: Tensor) -> tuple[Tensor, Tensor]:
    """Two coordinates of each code, and the share of the variance in each.

    Codes of two units stay as they are. The sign of a component is such that its largest
    coefficient is positive.

    Arguments:
        codes: With shape :math:`(N, H)`.
    """
    apart = codes - codes.mean(0)
    covariance = apart.T @ apart / len(codes)
    total = covariance.trace().clamp(min=torch.finfo(codes.dtype).tiny)
    if codes.shape[1] == 2:
        return codes, covariance.diagonal() / total
    values, vectors = torch.linalg.eigh(covariance)
    axes = vectors[:, -2:].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    return apart @ axes, values[-2:].flip(0) / total


def _decades(alpha: Tensor) -> Tensor:
    """Counts values in bins that are equally wide in their logarithm."""
    bins = (DECADES[1] - DECADES[0]) * PER_DECADE
    place = ((alpha.double().log10() - DECADES[0]) * PER_DECADE).floor()
    place = place.nan_to_num(nan=0.0, neginf=0.0, posinf=bins - 1.0).clamp(0, bins - 1)
    return torch.bincount(place.long().flatten().cpu(), minlength=bins)


def _bins(quantity: str, counts: Array, edges: Array) -> list[dict[str, Any]]:
    """The bins of a histogram, without the empty ones at either end."""
    filled = np.flatnonzero(counts)
    return [
        {"quantity": quantity, "low": edges[i], "high": edges[i + 1], "count": int(counts[i])}
        for i in range(filled[0], filled[-1] + 1)
    ]
