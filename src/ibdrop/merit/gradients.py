r"""The law of the gradient that gets through a relaxed discrete unit, exactly.

A binary unit :math:`z = \sigma((a + L)/\lambda)` with logistic :math:`L` passes the gradient

.. math:: g = \frac{\partial z}{\partial a} = \frac{\sigma'(y)}{\lambda}, \quad
    y = \frac{a + L}{\lambda}, \quad \sigma' = \sigma (1 - \sigma).

:math:`L` has the density :math:`\sigma'(L)`, so with :math:`L = \lambda y - a`

.. math:: E\, g^k = \lambda^{1 - k} \int \sigma'(y)^k \, \sigma'(\lambda y - a) \, dy.

As :math:`\lambda \to 0` the second factor tends to :math:`\sigma'(a)` and is at most 1/4, so the
limit goes under the integral; substituting :math:`z = \sigma(y)`, the rest is a beta function:

.. math:: \lambda^{k - 1} E\, g^k \to \sigma'(a) \int_0^1 [z (1 - z)]^{k - 1} dz
    = \sigma'(a) \, B(k, k).

:math:`B(1, 1) = 1`: the **mean** tends to :math:`\sigma'(a)`, the derivative of :math:`P(z = 1)`,
which is the gradient of the discrete unit itself. :math:`B(2, 2) = 1/6`: the **second moment**
grows as :math:`\sigma'(a) / (6 \lambda)`, and signal to noise falls as
:math:`\sqrt{6 \lambda \sigma'(a)}`. Both are even in :math:`\lambda` beyond that: the first
correction is :math:`\lambda^2 \sigma'''(a)` times :math:`\pi^2 / 6` for the mean and
:math:`(\pi^2 - 6) / 36` for :math:`\lambda E\, g^2`.

:math:`g` falls with :math:`|a + L|`, so its **median** is :math:`\sigma'(m / \lambda) / \lambda`
at the median :math:`m` of :math:`|a + L|`. :math:`P(|a + L| \le m) = \sigma(m - a) -
\sigma(-m - a) = 1/2` is quadratic in :math:`e^m`:

.. math:: m = \log\big(\cosh a + \sqrt{\cosh^2 a + 3}\big),

log 3 at :math:`a = 0`. So the median goes as :math:`e^{-m / \lambda} / \lambda`: what is left of
the mean comes from ever fewer draws with :math:`|a + L|` of the order of :math:`\lambda`.

In float32 there are true **zeros** besides. :math:`z (1 - z)`, which is how a sigmoid is
differentiated, is 0 once :math:`1 + e^{-y}` rounds to 1, at :math:`y > 24 \log 2`, or
:math:`e^{-y}` overflows, at :math:`y < -128 \log 2`.

The relaxation is that of Maddison, Mnih & Teh, arXiv 1611.00712, which does not ask for this law.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.seeds import generator

__all__ = ["GradientLaw", "JacobianLaw", "jacobian_law", "limits", "scalar_law", "slope"]

SMALL = 1e-6
"""A gradient below this moves nothing."""

STEP = 1 / 16
REACH = 60.0
"""Beyond this the integrand is less than 1e-24 of its peak."""

ROUNDS_TO_ONE = 24 * math.log(2)
OVERFLOWS = 128 * math.log(2)


class GradientLaw(NamedTuple):
    """The distribution of a gradient over the noise.

    Attributes:
        mean: Its mean.
        median: Its median.
        second: Its mean square.
        deviation: Its standard deviation.
        snr: Signal to noise, the mean over the deviation; NaN where both underflow.
        below: The probability that it is less than the threshold.
        zeros: The probability that float32 makes it exactly 0.
    """

    mean: float
    median: float
    second: float
    deviation: float
    snr: float
    below: float
    zeros: float


class JacobianLaw(NamedTuple):
    r"""The distribution of each entry of a Jacobian, with shapes :math:`(n, n)`, in float64.

    Attributes:
        mean: The mean.
        median: The median of the absolute value.
        second: The mean square.
        below: The share of draws whose absolute value is less than the threshold.
        zeros: The share that float32 makes exactly 0.
    """

    mean: Tensor
    median: Tensor
    second: Tensor
    below: Tensor
    zeros: Tensor


def scalar_law(a: float, temperature: float, small: float = SMALL) -> GradientLaw:
    r"""Gives the law of :math:`g = \sigma'((a + L) / \lambda) / \lambda`.

    The moments are quadratures in float64, the rest is in closed form.

    Arguments:
        a: The logit of the unit.
        temperature: The temperature :math:`\lambda > 0`.
        small: The threshold of `below`.

    Raises:
        ValueError: The temperature or the threshold is not above 0.
    """
    _check(temperature, small)
    mean, second, deviation = _moments(a, temperature)
    return GradientLaw(
        mean=mean,
        median=slope(_middle(a) / temperature) / temperature,
        second=second,
        deviation=deviation,
        snr=mean / deviation if deviation else math.nan,
        below=_below(a, temperature, small),
        zeros=_tails(a, temperature * ROUNDS_TO_ONE, temperature * OVERFLOWS),
    )


def limits(a: float, temperature: float) -> tuple[float, float]:
    r"""Gives what mean and second moment tend to as :math:`\lambda \to 0`.

    .. math:: E\, g \to \sigma'(a), \qquad E\, g^2 \to \frac{\sigma'(a)}{6 \lambda}

    Arguments:
        a: The logit of the unit.
        temperature: The temperature :math:`\lambda > 0`.
    """
    _check(temperature)
    return slope(a), slope(a) / (6 * temperature)


def jacobian_law(
    logits: Tensor, temperature: float, draws: int, seed: int, small: float = SMALL
) -> JacobianLaw:
    r"""Draws the Jacobian of a relaxed unit with n states, and gives the law of each entry.

    .. math:: z = \mathrm{softmax}\Big(\frac{\log \alpha + G}{\lambda}\Big), \quad
        J = \frac{\partial z}{\partial \log \alpha} = \frac{\mathrm{diag}\, z - z z^T}{\lambda}

    with Gumbel :math:`G`. Its small-:math:`\lambda` limits are those of the binary unit, entry by
    entry: with :math:`p = \mathrm{softmax}(\log \alpha)`

    .. math:: E\, J \to \mathrm{diag}\, p - p p^T, \qquad
        \lambda E\, J_{kl}^2 \to \frac{p_k p_l}{6}, \qquad
        \lambda E\, J_{kk}^2 \to \frac{p_k (1 - p_k)}{6}.

    Only draws in which two states all but tie for the first place have a gradient. With
    :math:`t = e^{-x}` and :math:`\sum_i \alpha_i = 1` the density of :math:`k` and :math:`l`
    tied there is :math:`\int \alpha_k \alpha_l t e^{-t} dt = p_k p_l`; near such a tie
    :math:`z_k z_l = \sigma'(\Delta / \lambda)` of the distance :math:`\Delta`, which integrates
    as in the binary case, and :math:`J_{kk}` is the sum over :math:`l` of draws that exclude each
    other.

    Arguments:
        logits: The :math:`\log \alpha`, up to a constant, with shape :math:`(n)`.
        temperature: The temperature :math:`\lambda > 0`.
        draws: How many to draw.
        seed: Keys the draws.
        small: The threshold of `below`.

    Raises:
        ValueError: The temperature is not above 0.
    """
    _check(temperature, small)
    n = len(logits)
    u = torch.rand(draws, n, generator=generator(seed, "jacobian"), dtype=torch.float64)
    y = (logits.double() - (-u.clamp_min(2**-54).log()).log()) / temperature
    z, rounded = torch.softmax(y, -1), torch.softmax(y.float(), -1)
    law = JacobianLaw(*(torch.empty(n, n, dtype=torch.float64) for _ in JacobianLaw._fields))
    for k in range(n):
        for i in range(n):
            entry = z[:, k] * (_others(z, k) if i == k else -z[:, i]) / temperature
            law.mean[k, i] = entry.mean()
            law.median[k, i] = entry.abs().median()
            law.second[k, i] = entry.square().mean()
            law.below[k, i] = (entry.abs() < small).double().mean()
            in_float32 = rounded[:, k] * (float(i == k) - rounded[:, i])
            law.zeros[k, i] = (in_float32 == 0).double().mean()
    return law


def slope(y: float) -> float:
    r"""The derivative of the sigmoid, :math:`\sigma'(y) = e^{-|y|} / (1 + e^{-|y|})^2`.

    Unlike :math:`z (1 - z)` it keeps all its digits far out.
    """
    left = math.exp(-abs(y))
    return left / (1 + left) ** 2


def _moments(a: float, temperature: float) -> tuple[float, float, float]:
    """Mean, mean square and deviation by the trapezoidal rule.

    The integrands are analytic within pi of the real line, so its error is exp(-2 pi^2 / step).
    """
    reach = REACH + abs(a)
    x = torch.linspace(-reach, reach, 2 * math.ceil(reach / STEP) + 1, dtype=torch.float64)
    step = float(x[1] - x[0])
    if temperature > 1:  # over L, as the unit's slope is the broader factor
        g, p = _slopes((a + x) / temperature) / temperature, _slopes(x) * step
        mean = float(p @ g)
        return mean, float(p @ g.square()), math.sqrt(p @ (g - mean).square())
    g, p = _slopes(x) / temperature, _slopes(temperature * x - a) * temperature * step
    mean, second = float(p @ g), float(p @ g.square())
    return mean, second, math.sqrt(second - mean * mean)


def _slopes(y: Tensor) -> Tensor:
    return torch.sigmoid(y) * torch.sigmoid(-y)


def _middle(a: float) -> float:
    """The median of the distance of a + L from 0, without overflow."""
    a = abs(a)
    left = math.exp(-2 * a)
    cosh = (1 + left) / 2
    return a + math.log(cosh + math.sqrt(cosh * cosh + 3 * left))


def _below(a: float, temperature: float, small: float) -> float:
    """The probability of g < small, from the two places where they are equal."""
    share = small * temperature
    if share >= 0.25:
        return 1.0
    place = 2 * temperature * math.acosh(0.5 / math.sqrt(share))
    return _tails(a, place, place)


def _tails(a: float, above: float, below: float) -> float:
    """The probability that a + L exceeds `above` or falls short of -`below`."""
    y = torch.tensor([a - above, -a - below], dtype=torch.float64)
    return float(torch.sigmoid(y).sum())


def _others(z: Tensor, k: int) -> Tensor:
    """1 - z_k without cancellation."""
    return torch.cat([z[:, :k], z[:, k + 1 :]], 1).sum(1)


def _check(temperature: float, small: float = SMALL) -> None:
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature={temperature}: must be a positive number.")
    if not 0 < small < math.inf:
        raise ValueError(f"small={small}: must be a positive number.")
