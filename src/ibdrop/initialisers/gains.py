r"""Gains: by how much weights must grow to make up for what an activation takes away.

With zero biases and weights of variance :math:`g^2 / \mathrm{fan_{in}}`, the pre-activations of a
wide layer are :math:`\mathcal{N}(0, q)` over the draws of the weights, whatever the mean of the
activation (Poole et al., arXiv 1606.05340), and

.. math:: q_{l+1} = g^2 \, \mathrm{E}[\phi(\sqrt{q_l} \, n)^2], \quad n \sim \mathcal{N}(0, 1)

so :math:`q = 1` is a fixed point where :math:`g^2 = 1 / \mathrm{E}[\phi(n)^2]`. For ReLU this is
He's 2, for a slope :math:`s` below zero :math:`2 / (1 + s^2)`, and every :math:`q` is fixed. For
others only :math:`q = 1` is, which attracts where the slope of the map there is below 1, and
repels where it is above. The gradient has its own factor per layer,
:math:`\chi = g^2 \, \mathrm{E}[\phi'(n)^2]` (Schoenholz et al., arXiv 1611.01232), which is
also the factor by which a small difference of two images grows. Only where both are 1 does a deep
net keep everything; softplus and sigmoid cannot.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["ACTIVATIONS", "AUTO", "GAINS", "FixedPoint", "check_gain", "fixed_point", "gain_of"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "elu": F.elu,
}
"""Those that are integrated numerically."""

RECTIFIERS = ("relu", "leaky")
AUTO = "auto"
GAINS = (*RECTIFIERS, "linear", *ACTIVATIONS)

REACH, NODES = 14.0, 28001
"""The integrals are sums over this many points within 14 standard deviations."""


class FixedPoint(NamedTuple):
    r"""What a gain does to a wide net without biases at :math:`q = 1`.

    Attributes:
        gain: :math:`g`, the factor of the standard deviation of the weights.
        slope: The derivative of the map :math:`q_l \to q_{l+1}` at 1; above 1 the net runs away.
        gradient: :math:`\chi`, the factor of the gradient's mean square per layer.
    """

    gain: float
    slope: float
    gradient: float


@cache
def fixed_point(name: str, slope: float = 0.0) -> FixedPoint:
    r"""The gain of an activation, and how steady the net then is.

    With Stein's lemma the derivative of the map is
    :math:`g^2 \, \mathrm{E}[n \, \phi(n) \, \phi'(n)]`.

    Arguments:
        name: One of `GAINS`.
        slope: The slope below zero, of `relu` and `leaky` only.

    Raises:
        ValueError: If there is no such activation, or a slope where there is none.
    """
    check_gain(name, slope)
    if name in RECTIFIERS:
        return FixedPoint(math.sqrt(2 / (1 + slope**2)), 1.0, 1.0)
    if name == "linear":
        return FixedPoint(1.0, 1.0, 1.0)
    n, phi, steep = _sampled(ACTIVATIONS[name])
    square = 1 / _mean(n, phi.square())
    return FixedPoint(
        math.sqrt(square), square * _mean(n, n * phi * steep), square * _mean(n, steep.square())
    )


def gain_of(gain: str | float, slope: float = 0.0) -> float:
    """The gain that is meant by a name or a number.

    Arguments:
        gain: One of `GAINS`, or the gain itself, above 0.
        slope: The slope below zero, of `relu` and `leaky` only.

    Raises:
        ValueError: As `check_gain`.
    """
    check_gain(gain, slope)
    return fixed_point(gain, slope).gain if isinstance(gain, str) else float(gain)


def check_gain(gain: str | float, slope: float = 0.0, *, auto: bool = False) -> None:
    """Refuses a gain that has no meaning.

    Arguments:
        gain: A name, or a number above 0.
        slope: A slope below zero that goes with it.
        auto: Whether `auto` is a name too.

    Raises:
        ValueError: The gain is unknown or not above 0, or its activation has no slope.
    """
    names = (*GAINS, AUTO) if auto else GAINS
    if isinstance(gain, str) and gain not in names:
        raise ValueError(f"gain={gain}: must be a number above 0, or one of {', '.join(names)}.")
    if not isinstance(gain, str) and not 0 < gain < math.inf:
        raise ValueError(f"gain={gain}: must be a number above 0, or one of {', '.join(names)}.")
    if not math.isfinite(slope) or (slope != 0 and gain not in RECTIFIERS):
        raise ValueError(f"slope={slope}: only gain=relu and gain=leaky have a finite slope.")


def _sampled(activation: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Equally spaced points, and the activation and its slope there."""
    with torch.inference_mode(False), torch.enable_grad():
        n = torch.linspace(-REACH, REACH, NODES, dtype=torch.float64, requires_grad=True)
        phi = activation(n)
        (steep,) = torch.autograd.grad(phi.sum(), n)
    return n.detach(), phi.detach(), steep


def _mean(n: Tensor, values: Tensor) -> float:
    """The mean over a standard normal of a function given at equally spaced points."""
    density = torch.exp(-n.square() / 2)
    return float((density * values).sum() / density.sum())
