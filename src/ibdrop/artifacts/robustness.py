"""What corruption does to error and uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

__all__ = ["write_contact_sheet", "write_robustness"]


def write_robustness(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Writes corruptions.png, corruptions.csv.

    Arguments:
        folder: Where to write.
        rows: `{"corruption": name, "severity": s, **row}` for each row of `ibdrop.merit.figures`;
            the clean images as corruption "clean", severity 0.
    """
    raise NotImplementedError


def write_contact_sheet(
    folder: Path, images: Tensor, index: Tensor, seed: int, names: Sequence[str] | None = None
) -> list[Path]:
    """Writes corruption_sheet.png: these images (uint8) under every corruption and severity."""
    raise NotImplementedError
