"""Learning to name what is in an image, at a price for information."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.data.base import Batch, ImageData
from ibdrop.learning.objective import objective
from ibdrop.learning.task import Examination, Learnt, Task, nats
from ibdrop.merit import plain_figures
from ibdrop.models.base import Prediction

__all__ = ["Classification", "test_figures"]

FIGURES = ("images", "accuracy", "error", "nll", "brier", "ece", "adaptive_ece", "aurc")


class Classification(Task):
    """Cross-entropy plus the price of information."""

    name = "classification"
    kept = ("val_accuracy", "val_ce")

    def learn(
        self, network: Callable[..., Any], x: Tensor, labels: Tensor, b: float, progress: float
    ) -> Learnt:
        prediction: Prediction = network(x)
        terms = objective(prediction, labels, b)
        accuracy = (prediction.logits.detach().argmax(1) == labels).float().mean()
        figures = {"ce": terms.cross_entropy, "kl": terms.kl, "accuracy": accuracy}
        return Learnt(terms.loss, figures, terms.layers)

    def judge(
        self, model: nn.Module, x: Tensor, batch: Batch
    ) -> tuple[dict[str, Tensor], Prediction]:
        prediction: Prediction = model(x)
        terms = objective(prediction, batch.labels, 0.0)
        size = len(batch.labels)
        correct = (prediction.logits.argmax(1) == batch.labels).sum()
        sums = {
            "ce": terms.cross_entropy.double() * size,
            "kl": terms.kl.double() * size,
            "accuracy": correct.double(),
        }
        return sums, prediction

    def merit(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """Fewest validation errors, then the lower cross-entropy."""
        return (row["val_accuracy"], -row["val_ce"])

    def error(self, row: Mapping[str, Any]) -> float:
        return 1 - float(row["val_accuracy"])

    def examination(self, model: nn.Module, data: ImageData) -> _Answers:
        return _Answers()

    def score(self, figures: Mapping[str, object]) -> float:
        return float(str(figures["test_error"]))

    def verdict(self, figures: Mapping[str, object]) -> str:
        return f"test error {100 * self.score(figures):.2f} %"

    def words(self, row: Mapping[str, float]) -> list[str]:
        words = [f"train CE {row['train_ce']:.4f}"]
        if "val_ce" in row:
            words.append(f"val CE {row['val_ce']:.4f}")
            words.append(f"val error {100 * (1 - row['val_accuracy']):.2f} %")
            if any(name.startswith("kl/") for name in row):
                words.append(f"KL {nats(row['val_kl'])}")
        return words


class _Answers(Examination):
    """What a classifier said of each image."""

    def __init__(self) -> None:
        self.probabilities: list[Tensor] = []
        self.labels: list[Tensor] = []

    def add(self, batch: Batch, x: Tensor, made: Prediction) -> None:
        self.probabilities.append(made.logits.double().softmax(1).cpu())
        self.labels.append(batch.labels.cpu())

    def figures(self) -> dict[str, object]:
        return test_figures(torch.cat(self.probabilities), torch.cat(self.labels))


def test_figures(probabilities: Tensor, labels: Tensor) -> dict[str, object]:
    """Accuracy, error, NLL in nats, Brier score, calibration errors (15 bins), AURC by entropy.

    Arguments:
        probabilities: Predictive distributions, with shape :math:`(N, K)`.
        labels: The true classes, with shape :math:`(N)`.
    """
    found = plain_figures(probabilities, labels)
    return {f"test_{name}": found[name] for name in FIGURES}
