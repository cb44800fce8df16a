from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tiny networks gain nothing from threads and lose much where the machine is busy. Before torch
# is imported, and inherited by the commands that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def checkout() -> Path:
    """The root of the checkout."""
    return ROOT
