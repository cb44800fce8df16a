"""What every kind of discrete unit and its relaxation have in common."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

__all__ = ["Units", "check_temperature", "full"]


class Units(ABC):
    r"""A layer of :math:`H` independent units with :math:`n` states each.

    A unit is known by its logits, may be drawn (hard) or relaxed, and is always relaxed in log
    space: :math:`y` is what has the density, `soft(y)` what the network reads. A KL is the same
    for both, because the step between them is one to one.

    The axes before those of the unit, :math:`*`, are free; the first must be that of the images.
    Logits and states have shape :math:`(*, H)` for two states and :math:`(*, H, n)` for more.

    Attributes:
        states: The number of states :math:`n` of a unit.
        axes: How many axes a unit has of its own: 0 for two states, 1 for more.
        logits: How many logits a unit has.
        outputs: How many numbers stand for a unit in the code.
    """

    states: int
    axes: int
    logits: int
    outputs: int

    @abstractmethod
    def relax(self, logits: Tensor, temperature: float) -> Tensor:
        """Draws :math:`y` in log space, differentiable in the logits.

        Raises:
            ValueError: The temperature is not above 0.
        """

    @abstractmethod
    def log_density(self, y: Tensor, logits: Tensor, temperature: float) -> Tensor:
        """The logarithm of the density of :math:`y` in nats per unit, with shape (*, H).

        It may well be above 0: it is a density, not a probability.
        """

    @abstractmethod
    def soft(self, y: Tensor) -> Tensor:
        """The relaxed state of :math:`y`, between the discrete ones."""

    @abstractmethod
    def hard(self, y: Tensor) -> Tensor:
        """The discrete state next to :math:`y`, or the most probable one of logits."""

    @abstractmethod
    def draw(self, logits: Tensor) -> Tensor:
        """Draws a discrete state, as 0 and 1; without a gradient."""

    @abstractmethod
    def probabilities(self, logits: Tensor) -> Tensor:
        """The mean of the discrete state."""

    @abstractmethod
    def log_mass(self, state: Tensor, logits: Tensor) -> Tensor:
        r"""The log-mass :math:`\sum_i d_i \log P(d_i)`, in nats per unit, with shape (*, H).

        Between the discrete states this interpolates, as objective (21) does.
        """

    @abstractmethod
    def kl(self, logits: Tensor, prior: Tensor) -> Tensor:
        """The divergence of the discrete distributions in nats per unit, with shape (*, H)."""

    @abstractmethod
    def embed(self, state: Tensor) -> Tensor:
        """What the next layer reads, in [-1, 1], with shape (*, H x outputs)."""

    def split(self, logits: Tensor) -> Tensor:
        """Gives the last axis of a linear map the shape of logits."""
        return logits.unflatten(-1, (-1, self.logits)) if self.axes else logits


def full(x: Tensor) -> Tensor:
    """The same in float32 at least: half precision has no digits for logits."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def check_temperature(temperature: float, name: str = "temperature") -> None:
    """Refuses a temperature at which nothing is relaxed, or nothing left.

    Raises:
        ValueError: If it is not a positive number.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(
            f"{name}={temperature}: must be a positive number; "
            "0 is the discrete graph, which has no gradient."
        )
