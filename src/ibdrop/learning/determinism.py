"""Reproducible kernels, and a note of what has none."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

__all__ = ["reproducible"]

MISSING = re.compile(r"(\w+) does not have a deterministic implementation")


@contextmanager
def reproducible(wanted: bool) -> Iterator[list[str]]:
    """Asks torch for deterministic algorithms while the block runs.

    Arguments:
        wanted: Whether to ask at all.

    Yields:
        The names of operations that could not be made deterministic, filled as they occur.
    """
    names: list[str] = []
    before, show = torch.are_deterministic_algorithms_enabled(), warnings.showwarning

    def note(message: Warning | str, *rest: Any, **named: Any) -> None:
        found = MISSING.search(str(message))
        if found is None:
            show(message, *rest, **named)
        elif found[1] not in names:
            names.append(found[1])

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(wanted, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    warnings.showwarning = note
    try:
        yield names
    finally:
        warnings.showwarning = show
        torch.use_deterministic_algorithms(before, warn_only=True)
