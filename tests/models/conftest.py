from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest
from torch import Tensor

from ibdrop.data.idx import read_idx
from ibdrop.data.sources import MNIST


class Digits(NamedTuple):
    """Pixels as byte/256 with shape (N, 1, 28, 28), and classes, as the old tutorials had them."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor


@pytest.fixture(scope="session")
def mnist_root(checkout: Path) -> str:
    """A folder with MNIST in it, where this machine has one."""
    named = os.environ.get("IBDROP_DATA")
    for root in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(root):
            return str(root)
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")


@pytest.fixture(scope="session")
def theano_mnist(mnist_root: str) -> Digits:
    """The first 50,000 digits for training, and the test."""
    train, test = read_idx(MNIST, mnist_root)
    pixels = [part.images[:, None].float() / 256 for part in (train, test)]
    return Digits(pixels[0][:50_000], train.labels[:50_000], pixels[1], test.labels)
