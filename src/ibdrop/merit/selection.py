"""How well an uncertainty finds the mistakes."""

from __future__ import annotations

from torch import Tensor

__all__ = [
    "aurc",
    "auroc",
    "auroc_of_error",
    "error_of_most_uncertain",
    "excess_aurc",
    "risk_coverage",
]


def risk_coverage(score: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    """Coverage and the error of the images kept, each (N), the least uncertain image first."""
    raise NotImplementedError


def aurc(score: Tensor, wrong: Tensor) -> Tensor:
    """Area under the risk-coverage curve."""
    raise NotImplementedError


def excess_aurc(score: Tensor, wrong: Tensor) -> Tensor:
    """AURC less that of an oracle."""
    raise NotImplementedError


def auroc(negative: Tensor, positive: Tensor) -> Tensor:
    """The chance that a positive scores higher than a negative."""
    raise NotImplementedError


def auroc_of_error(score: Tensor, wrong: Tensor) -> float:
    """The chance that a mistake scores higher than a success; NaN unless there are both."""
    raise NotImplementedError


def error_of_most_uncertain(score: Tensor, wrong: Tensor, count: int) -> Tensor:
    """The share of mistakes among the `count` highest scores."""
    raise NotImplementedError
