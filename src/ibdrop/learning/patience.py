"""When to stop: as long as something better comes, wait for more."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Patience"]


@dataclass
class Patience:
    r"""Stops after a number of epochs that grows with every clear improvement.

    An error below :math:`(1 - \tau)` times the least one before, seen in epoch :math:`e`, makes
    at least :math:`\kappa e` epochs of the patience; training stops once it has had them. Smaller
    improvements lower the bar without earning epochs. What is known is what `update` was told, so
    that a resumed run is brought here by its rows, one after the other.

    Reference: Deep Learning Tutorials, early stopping: 10 epochs, doubled, on 0.5 %.

    Attributes:
        epochs: The epochs that training has in any case, and then those it has earned.
        factor: :math:`\kappa`.
        threshold: The relative improvement :math:`\tau` that counts.
        least: The least error so far.

    Raises:
        ValueError: A value is out of its range.
    """

    epochs: float = 10
    factor: float = 2.0
    threshold: float = 0.005
    least: float = math.inf

    def __post_init__(self) -> None:
        if not self.epochs >= 1:
            raise ValueError(f"patience={self.epochs}: must be at least 1 epoch, or null.")
        if not 1 <= self.factor < math.inf:
            raise ValueError(f"factor={self.factor}: must be a number of at least 1.")
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold={self.threshold}: must be at least 0 and below 1.")

    def update(self, epoch: int, error: float) -> bool:
        """Takes in an epoch and tells whether it was the last.

        Arguments:
            epoch: Its number, from 1.
            error: What validation gave, at least 0; the smaller the better.
        """
        if error < (1 - self.threshold) * self.least:
            self.epochs = max(self.epochs, self.factor * epoch)
        # NaN is never less: it earns nothing.
        self.least = error if error < self.least else self.least
        return epoch >= self.epochs
