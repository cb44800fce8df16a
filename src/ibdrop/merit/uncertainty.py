"""Scores of uncertainty, and how well they tell outliers from images of the known kind."""

from __future__ import annotations

from torch import Tensor

from ibdrop.sampling.predictive import Predictive

__all__ = ["detection", "scores"]


def scores(found: Predictive) -> dict[str, Tensor]:
    """Every uncertainty of every image, each with shape (N); higher is less sure."""
    raise NotImplementedError


def detection(inside: Tensor, outside: Tensor) -> dict[str, float]:
    """AUROC, AUPR (each side positive) and FPR at 95 % TPR; outliers should score higher."""
    raise NotImplementedError
