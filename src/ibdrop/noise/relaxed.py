"""The binary Concrete distribution, and Bernoulli divergences that keep their digits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ibdrop.noise.draws import standard_uniform

__all__ = ["bin_concrete", "check_relaxation", "kl_bernoulli", "logistic", "logit"]

SMALL = 0.1
"""Below this distance from the prior the divergence is taken from its series."""


def logit(p: float) -> float:
    r"""Gives :math:`\log p - \log(1 - p)` of a probability in (0, 1)."""
    return math.log(p) - math.log1p(-p)


def logistic(like: Tensor) -> Tensor:
    r"""Draws logistic noise :math:`L = \log u - \log(1 - u)`, :math:`u \sim U(0, 1)`.

    Arguments:
        like: Gives shape and layout; the draws are in float32 at least.
    """
    return torch.logit(standard_uniform(like))


def bin_concrete(logit: Tensor, noise: Tensor, temperature: float) -> Tensor:
    r"""Relaxes Bernoulli draws to values in [0, 1] that have a gradient.

    .. math:: b = \sigma\Big(\frac{\log \frac{q}{1 - q} + L}{\lambda}\Big)

    Everything happens on the logit, so no probability is ever clamped. At every temperature
    :math:`P(b > 1/2) = q` exactly, and :math:`P(b \le x) = \sigma(\lambda \, \mathrm{logit}(x) -
    \mathrm{logit}(q))`; the mean is :math:`q` only as :math:`\lambda \to 0`.

    Reference: Maddison, Mnih & Teh, The Concrete Distribution, arXiv 1611.00712, appendix B.

    Arguments:
        logit: The logit of :math:`q`, of any shape.
        noise: Logistic noise :math:`L` (`logistic`), broadcast against `logit`.
        temperature: The temperature :math:`\lambda > 0`.
    """
    return torch.sigmoid((logit + noise) / temperature)


def kl_bernoulli(excess: Tensor, prior: float) -> Tensor:
    r"""Divergence of one Bernoulli distribution from another that is never more certain.

    .. math:: \mathrm{KL} = \log \frac{q}{\pi} - (1 - q) \, \delta, \quad
        \mathrm{logit}(q) = \mathrm{logit}(\pi) + \delta, \quad \delta \ge 0

    This is :math:`q \log(q / \pi) + (1 - q) \log((1 - q) / (1 - \pi))`. It asks for the distance
    of the logits, because their difference has no digits left where the distance is small; there
    the series in :math:`\delta` stands, whose first term is :math:`\pi (1 - \pi) \delta^2 / 2`.
    For :math:`\delta < 0` exchange the outcomes: :math:`-\delta` and :math:`1 - \pi`.

    Arguments:
        excess: The distance :math:`\delta`, of any shape.
        prior: The probability :math:`\pi` in (0, 1).

    Returns:
        KL in nats, with the shape of `excess`; it rises from 0 to :math:`-\log \pi`.
    """
    closed = _mostly_kept(excess, prior)
    if prior < 0.5:
        few = logit(prior) + excess < 0
        closed = torch.where(few, _mostly_dropped(excess, prior), closed)
    return torch.where(excess < SMALL, _series(excess.clamp(max=SMALL), prior), closed)


def _mostly_kept(delta: Tensor, pi: float) -> Tensor:
    r""":math:`\log(q / \pi) - (1 - q) \delta`, which cancels where :math:`q` is small."""
    lost = torch.sigmoid(-logit(pi) - delta)
    above = (1 / pi - 1) * (lost - 1) * torch.expm1(-delta)
    return torch.log1p(above) - lost * delta


def _mostly_dropped(delta: Tensor, pi: float) -> Tensor:
    r"""The same as :math:`q \delta + \log((1 - q) / (1 - \pi))`, for :math:`q < 1/2` only."""
    q = torch.sigmoid(logit(pi) + delta).clamp(max=0.5)
    return q * delta + torch.log1p(q * torch.expm1(-delta))


def _series(delta: Tensor, pi: float) -> Tensor:
    r""":math:`\int_0^\delta s \, q(1 - q) \, ds` term by term; 1e-7 of it are left out at 0.1."""
    v, skew = pi * (1 - pi), 1 - 2 * pi
    square = delta * delta
    total = v / 2 + square * (
        v * (1 - 6 * v) / 8 + square * (v * (1 - 30 * v + 120 * v * v) / 144)
    )
    if skew != 0:
        total = total + delta * (v * skew / 3 + square * (v * skew * (1 - 12 * v) / 30))
    return square * total


def check_relaxation(temperature: float, evaluation: str) -> None:
    """Refuses options of a relaxed noise that have no meaning.

    Raises:
        ValueError: If `temperature` is not positive, or `evaluation` not `hard` or `soft`.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature={temperature}: must be a positive number.")
    if evaluation not in ("hard", "soft"):
        raise ValueError(f"evaluation={evaluation}: must be one of hard, soft.")
