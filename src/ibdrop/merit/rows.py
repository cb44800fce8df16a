"""The two rows of every table: the deterministic network and its Monte Carlo average."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ibdrop.sampling.predictive import Predictive

__all__ = ["figures", "most_uncertain", "plain_figures"]


def most_uncertain(images: int) -> int:
    """How many images are the most uncertain ones: 1 %, at least 20, at most all."""
    return max(min(20, images), round(0.01 * images))


def figures(found: Predictive, labels: Tensor) -> list[dict[str, Any]]:
    """All figures of merit, as the rows "deterministic" and "monte carlo"."""
    raise NotImplementedError


def plain_figures(p: Tensor, labels: Tensor) -> dict[str, Any]:
    """The figures that need nothing but predictive distributions."""
    raise NotImplementedError
