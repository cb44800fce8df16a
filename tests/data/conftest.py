from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.data.sources import MNIST


@pytest.fixture(scope="session")
def mnist_root(checkout: Path) -> str:
    """A folder with MNIST in it, where this machine has one."""
    named = os.environ.get("IBDROP_DATA")
    for root in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(root):
            return str(root)
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")


@pytest.fixture
def digits() -> tuple[Tensor, Tensor]:
    """Thirteen random digits of 12 px with dark edges, and their labels."""
    random = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (13, 12, 12), generator=random, dtype=torch.uint8)
    images *= torch.rand(13, 12, 12, generator=random) < 0.4
    images[:, :2] = 0
    images[:, :, 10:] = 0
    return images, torch.arange(13) % 10
