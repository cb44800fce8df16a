"""How probable a generative model finds the test images, from below, by importance sampling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import BLUE, INK, WIDTH, save, styled
from ibdrop.data.base import Batch
from ibdrop.files import read_csv, write_csv
from ibdrop.merit.bounds import Bounds, elbo_and_nll
from ibdrop.models.generative import Autoencoder, Reconstruction
from ibdrop.seeds import key

__all__ = ["LikelihoodBounds", "draw"]


class LikelihoodBounds(Artifact):
    r"""The ELBO at beta = 1 and :math:`L_m` of test images, whatever beta was trained with.

    Discrete codes are discrete here, as they are in use. Nothing is written for a network whose
    prior is no probability distribution, as there is no bound then.

    Arguments:
        samples: The numbers of codes :math:`m` drawn for each image.
        images: The number of test images, from the first on.

    Raises:
        ValueError: A number is below 1, or there is none.
    """

    task = "reconstruction"

    def __init__(self, samples: Sequence[int] = (1, 10, 100), images: int = 1000) -> None:
        if not samples or min(samples) < 1:
            raise ValueError(
                f"samples is {list(samples)}; at least one number from 1 on is needed"
            )
        if images < 1:
            raise ValueError(f"images is {images}; at least 1 is needed")
        self.samples = sorted(set(samples))
        self.images = images

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.rows: list[dict[str, Any]] = []
        self.left = self.images
        self.seed = key("bounds")

    def update(self, batch: Batch, prediction: Reconstruction) -> None:
        model, data = self.trained.model, self.trained.data
        if self.left == 0 or not isinstance(model, Autoencoder) or not model.is_bound:
            return
        kept = min(self.left, len(batch.labels))
        x, index = data.inputs(batch.images[:kept]), batch.index[:kept]
        found = [elbo_and_nll(model, x, index, self.seed, m) for m in self.samples]
        some = [bounds for bounds in found if bounds is not None]
        if len(some) == len(self.samples):
            self.left -= kept
            self.rows += self._table(index, some)

    def write(self, folder: Path) -> list[Path]:
        if not self.rows:
            return []
        table = write_csv(folder / "bounds.csv", self.rows)
        summary = write_csv(folder / "bounds_summary.csv", [self._mean(m) for m in self.samples])
        return [save(draw(summary), folder / "bounds.png"), table, summary]

    def _table(self, index: Tensor, found: Sequence[Bounds]) -> list[dict[str, Any]]:
        columns: dict[str, list[float]] = {
            "index": index.tolist(),
            "elbo": found[-1].elbo.tolist(),
        }
        for m, bounds in zip(self.samples, found, strict=True):
            columns[f"bound_{m}"] = bounds.bound.tolist()
            columns[f"effective_{m}"] = bounds.effective.tolist()
        names = list(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _mean(self, m: int) -> dict[str, Any]:
        values = torch.tensor([row[f"bound_{m}"] for row in self.rows], dtype=torch.float64)
        elbo = torch.tensor([row["elbo"] for row in self.rows], dtype=torch.float64)
        draws = torch.tensor([row[f"effective_{m}"] for row in self.rows], dtype=torch.float64)
        count = len(values)
        return {
            "samples": m,
            "images": count,
            "elbo": elbo.mean().item(),
            "bound": values.mean().item(),
            "nll": -values.mean().item(),
            "nll_se": (values.std() / count**0.5).item() if count > 1 else float("nan"),
            "effective": draws.mean().item(),
        }


@styled
def draw(summary: Path) -> Figure:
    """Draws the negative bound against the number of codes, and the negative ELBO.

    Arguments:
        summary: `bounds_summary.csv`.
    """
    rows = [
        {name: float(value or "nan") for name, value in row.items()} for row in read_csv(summary)
    ]
    figure = Figure(figsize=(WIDTH, 3.6))
    axes = figure.subplots()
    m, nll = [row["samples"] for row in rows], [row["nll"] for row in rows]
    spread = f" ± {rows[-1]['nll_se']:.2f} over images"
    axes.plot(
        m, nll, color=BLUE, marker="o", label=f"$-L_m$, at {m[-1]:,.0f}: {nll[-1]:.2f}{spread}"
    )
    elbo = -rows[-1]["elbo"]
    axes.axhline(
        elbo, color=INK, linestyle="--", linewidth=1.2, label=f"−ELBO at beta = 1: {elbo:.2f}"
    )
    axes.set_xscale("log")
    axes.set_xticks(m, [f"{value:,.0f}" for value in m])
    axes.minorticks_off()
    axes.set(xlabel="codes drawn for each image, m", ylabel="nats per image")
    axes.set_title(f"Upper bounds of the negative log-likelihood, {rows[0]['images']:,.0f} images")
    axes.legend()
    return figure
