"""Selective prediction: how right the network is on the images it is surest of."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ibdrop.sampling.predictive import Predictive

__all__ = ["write_selective"]


def write_selective(folder: Path, found: Predictive, labels: Tensor) -> list[Path]:
    """Writes selective.png, selective.csv, selective_summary.csv."""
    raise NotImplementedError
