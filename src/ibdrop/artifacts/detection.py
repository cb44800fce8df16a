"""Detection of outliers by uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ibdrop.sampling.predictive import Predictive

__all__ = ["write_detection"]


def write_detection(
    folder: Path, inside: Predictive, outside: Mapping[str, Predictive]
) -> list[Path]:
    """Writes ood.png, ood.csv, ood_scores.npz; the predictives must have the same groups."""
    raise NotImplementedError
