"""How a discrete unit is drawn in training, so that a gradient gets through it."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

from torch import Tensor

from ibdrop.models.discrete.units import Units

__all__ = ["ESTIMATORS", "Draw", "Estimator", "estimate"]

Estimator = Literal["concrete", "gumbel_softmax", "st_gumbel_softmax", "straight_through"]
ESTIMATORS: tuple[str, ...] = get_args(Estimator)


class Draw(NamedTuple):
    """A layer of units as drawn.

    Attributes:
        logits: What it was drawn from.
        state: What goes on through the network, with the shape of the logits.
        y: The relaxed draw in log space; `None` where nothing was relaxed.
    """

    logits: Tensor
    state: Tensor
    y: Tensor | None = None


def estimate(units: Units, logits: Tensor, temperature: float, estimator: str) -> Draw:
    r"""Draws a layer for training.

    - `concrete`, `gumbel_softmax`: the relaxed state, forwards and backwards. They are one thing
      by two names; what differs is the objective that goes with each.
    - `st_gumbel_softmax`: forwards the discrete state next to the relaxed one, backwards as if it
      were the relaxed one (arXiv 1611.01144, section 2.2).
    - `straight_through`: forwards a discrete draw, backwards as if it were its mean (Bengio,
      Léonard & Courville, arXiv 1308.3432).

    Arguments:
        units: What the units are.
        logits: Their logits.
        temperature: The temperature :math:`\lambda > 0`; `straight_through` has none.
        estimator: One of `ESTIMATORS`.
    """
    if estimator == "straight_through":
        return Draw(logits, _through(units.draw(logits), units.probabilities(logits)))
    y = units.relax(logits, temperature)
    soft = units.soft(y)
    return Draw(logits, _through(units.hard(y), soft) if estimator[:2] == "st" else soft, y)


def _through(hard: Tensor, soft: Tensor) -> Tensor:
    """The value of `hard`, to the last bit, with the gradient of `soft`."""
    return hard.detach() + (soft - soft.detach())
