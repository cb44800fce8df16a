"""Learning to give back what was shown, through a code that may be random."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.data.base import Batch, ImageData
from ibdrop.learning.task import Examination, Learnt, Task, nats
from ibdrop.merit.reconstruction import compared, references, target_of
from ibdrop.models.generative import Autoencoder, Costs, Reconstruction
from ibdrop.sampling.keyed import keyed

__all__ = ["Reconstructing"]

SEED = 0
"""Keys the codes that are drawn to judge: the same for every seed of a run."""


class Reconstructing(Task):
    """The cost of an autoencoder, in nats per image.

    Random codes are drawn in validation and test too, as the cost of a random code is an
    expectation; they are keyed by image, and the same in every epoch.
    """

    name = "reconstruction"
    kept = ("val_cost", "val_ce")

    def learn(
        self, network: Callable[..., Any], x: Tensor, labels: Tensor, b: float, progress: float
    ) -> Learnt:
        costs: Costs = network(x, b, progress)
        figures = {name: value.detach() for name, value in costs.figures.items()}
        return Learnt(costs.loss, {"loss": costs.loss.detach(), **figures}, figures)

    def judge(
        self, model: nn.Module, x: Tensor, batch: Batch
    ) -> tuple[dict[str, Tensor], Reconstruction | None]:
        assert isinstance(model, Autoencoder)
        with keyed(SEED, "judge", batch.index, x.device):
            found = model.judge(x)
        made = model(x, sample=False) if _has_layers(model, x) else None
        return {name: each.sum(dtype=torch.float64) for name, each in found.items()}, made

    def merit(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """The least cost."""
        return (-row["val_cost"], 0.0)

    def error(self, row: Mapping[str, Any]) -> float:
        return float(row["val_cost"])

    def examination(self, model: nn.Module, data: ImageData) -> _Costs:
        assert isinstance(model, Autoencoder)
        return _Costs(model, data)

    def score(self, figures: Mapping[str, object]) -> float:
        return float(str(figures["test_cost"]))

    def verdict(self, figures: Mapping[str, object]) -> str:
        cost, ce, floor = (
            float(str(figures[f"test_{name}"])) for name in ("cost", "ce", "ce_floor")
        )
        return (
            f"test cost {cost:.3f} nats per image; its cross-entropy {ce:.3f} is"
            f" {ce - floor:.3f} above the least there can be"
        )

    def words(self, row: Mapping[str, float]) -> list[str]:
        words = [f"train CE {row['train_ce']:.4f}"]
        if "train_kl" in row:
            words.append(f"KL {nats(row['train_kl'])}")
        if "val_cost" in row:
            words.append(f"val cost {row['val_cost']:.4f}")
        return words


class _Costs(Examination):
    """What each image costs, and what it would cost those who know little."""

    def __init__(self, model: Autoencoder, data: ImageData) -> None:
        self.model, self.data = model, data
        self.sums: dict[str, Tensor] = {}
        self.images = 0
        self.width = 0

    @torch.no_grad()
    def add(self, batch: Batch, x: Tensor, made: Reconstruction) -> None:
        with keyed(SEED, "judge", batch.index, x.device):
            found = self.model.judge(x)
        with keyed(SEED, "target", batch.index, x.device):
            found["mse"] = compared(self.model, made.output, x)["mse"]
        for name, each in found.items():
            total = each.sum(dtype=torch.float64)
            self.sums[name] = self.sums[name] + total if name in self.sums else total
        self.images += len(x)
        self.width = made.code.shape[1]

    def figures(self) -> dict[str, object]:
        means = {f"test_{name}": float(total) / self.images for name, total in self.sums.items()}
        known = references(
            self.data,
            self.width,
            self.model.likelihood,
            self.model.deviation,
            self.images,
            target_of(self.model),
        )
        others = {f"test_{name}": value for name, value in known.items()}
        return {"test_images": self.images, **means, **others}


def _has_layers(model: Autoencoder, x: Tensor) -> bool:
    return bool(model(x[:1], sample=False).layers)
