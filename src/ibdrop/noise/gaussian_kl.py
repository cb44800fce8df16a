r"""What Gaussian multiplicative noise costs against the log-uniform prior, in nats.

For :math:`w = \theta \varepsilon`, :math:`\varepsilon \sim \mathcal{N}(1, \alpha)` and the prior
:math:`p(\log |w|) \propto 1`,

.. math:: \mathrm{KL}(\alpha) = C - \tfrac{1}{2} \log \alpha
    + \mathrm{E} \log |1 + \sqrt{\alpha} n|, \quad n \sim \mathcal{N}(0, 1)

The prior is improper, so :math:`C` is ours to choose. Here :math:`\mathrm{KL} \to 0` as
:math:`\alpha \to \infty`, where nothing of :math:`\theta` is left: that is
:math:`C = (\gamma + \log 2) / 2 = 0.635181`. At :math:`\alpha = 1` a unit still costs 0.426686.

References:
    Kingma, Salimans & Welling, arXiv 1506.02557, section 3.3.
    Molchanov, Ashukha & Vetrov, arXiv 1701.05369, section 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.noise.draws import leaf

__all__ = ["CONSTANT", "dawson", "kl_cubic", "kl_exact", "kl_sigmoid"]

CONSTANT = 0.6351814227307391
r""":math:`(\gamma + \log 2) / 2`, with Euler's :math:`\gamma`."""

CUBIC_CONSTANT = 0.655352
"""Makes the largest error of the cubic over (0, 1] as small as it can be; the paper has none."""

STEP = 1 / 32
EDGE = -math.log(288)
"""Below this log alpha, where s is 12, eight terms of the series are exact in float64."""


def kl_cubic(log_alpha: Tensor) -> Tensor:
    r"""The cubic of Kingma et al. (section 3.3), for :math:`\alpha \le 1`, within 0.0202 nats.

    .. math:: \mathrm{KL} \approx 0.655352 - \tfrac{1}{2} \log \alpha
        - 1.16145124 \alpha + 1.50204118 \alpha^2 - 0.58629921 \alpha^3

    Arguments:
        log_alpha: :math:`\log \alpha`, of any shape, at most 0.
    """
    alpha = torch.exp(log_alpha)
    cubic = alpha * (1.16145124 + alpha * (-1.50204118 + alpha * 0.58629921))
    return CUBIC_CONSTANT - log_alpha / 2 - cubic


def kl_sigmoid(log_alpha: Tensor) -> Tensor:
    r"""The approximation of Molchanov et al. (section 4), within 0.0094 nats for every alpha.

    .. math:: \mathrm{KL} \approx k_1 \sigma(-k_2 - k_3 \log \alpha)
        + \tfrac{1}{2} \log(1 + \alpha^{-1})

    with :math:`k = (0.63576, 1.87320, 1.48695)`; zero in the limit of large alpha.

    Arguments:
        log_alpha: :math:`\log \alpha`, of any shape.
    """
    return 0.63576 * torch.sigmoid(-1.87320 - 1.48695 * log_alpha) + F.softplus(-log_alpha) / 2


@leaf
def kl_exact(log_alpha: Tensor) -> Tensor:
    r"""The divergence itself, to rounding error, with its exact gradient.

    .. math:: \mathrm{KL} = 2 \int_0^s D(t) \, dt, \quad
        \frac{d \mathrm{KL}}{d \log \alpha} = -s D(s), \quad s = \frac{1}{\sqrt{2 \alpha}}

    with Dawson's function :math:`D`. It follows from :math:`(1 / \sqrt{\alpha} + n)^2` being
    noncentral :math:`\chi^2`, a Poisson mixture whose expected logarithms are digammas of
    half-integers. Beyond :math:`s = 12` the series
    :math:`C - \frac{1}{2} \log \alpha - \sum_{k \ge 1} \frac{(2k - 1)!!}{2k} \alpha^k` takes over.

    Arguments:
        log_alpha: :math:`\log \alpha`, of any shape.
    """
    apply = cast(Callable[[Tensor], Tensor], _Exact.apply)
    return apply(log_alpha)


def dawson(s: Tensor) -> Tensor:
    r"""Dawson's function :math:`D(s) = e^{-s^2} \int_0^s e^{t^2} dt` for :math:`0 \le s \le 12`.

    A Taylor expansion about the nearest of 385 nodes; its coefficients follow from
    :math:`D' = 1 - 2 s D`.

    Arguments:
        s: Of any shape.
    """
    return _expand(s)[1]


class _Exact(torch.autograd.Function):
    """Keeps nothing but its argument for the gradient, and can be differentiated twice."""

    @staticmethod
    def forward(ctx: Any, log_alpha: Tensor) -> Tensor:
        ctx.save_for_backward(log_alpha)
        near = _expand(_s(log_alpha))[0]
        log_small = log_alpha.clamp(max=EDGE)
        far = CONSTANT - log_small / 2 - _series(log_small.exp(), lambda k: 1 / (2 * k))
        return torch.where(log_alpha < EDGE, far, near)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (log_alpha,) = ctx.saved_tensors
        s = _s(log_alpha)
        far = 0.5 + _series(log_alpha.clamp(max=EDGE).exp(), lambda k: 0.5)
        return -gradients[0] * torch.where(log_alpha < EDGE, far, s * dawson(s))


def _s(log_alpha: Tensor) -> Tensor:
    return torch.exp(-log_alpha.clamp(min=EDGE) / 2) * math.sqrt(0.5)


def _series(alpha: Tensor, weight: Callable[[int], float]) -> Tensor:
    """Eight terms of the sum of (2k - 1)!! alpha^k times a weight, by Horner's rule."""
    total = torch.zeros_like(alpha)
    for k in range(8, 0, -1):
        total = alpha * (math.prod(range(1, 2 * k, 2)) * weight(k) + total)
    return total


def _expand(s: Tensor) -> tuple[Tensor, Tensor]:
    """Twice the integral of Dawson's function from 0 to s, and the function itself."""
    node = (s.detach() / STEP).round()
    integrals, values = (table.to(s.dtype)[node.long()] for table in _tables(s.device))
    at, distance = node * STEP, s - node * STEP
    before, now = values, 1 - 2 * at * values
    integral, value, power = integrals + 2 * values * distance, values, distance
    for n in range(1, 8 if s.dtype == torch.float64 else 4):
        value = value + now * power
        power = power * distance
        integral = integral + now * power * (2 / (n + 1))
        before, now = now, (at * now + before) * (-2 / (n + 1))
    return integral, value


def _tables(device: torch.device) -> tuple[Tensor, Tensor]:
    r"""The two functions at the nodes, by Rybicki's sum, exact to :math:`e^{-(\pi / 2 h)^2}`.

    .. math:: D(s) = \frac{1}{\sqrt{\pi}} \sum_{n \text{ odd}} \frac{e^{-(s - n h)^2}}{n}

    Reference: Rybicki, Dawson's integral and the sampling theorem, Computers in Physics 3, 1989.
    """
    s = torch.arange(385, device=device, dtype=torch.float64)[:, None] * STEP
    n = torch.arange(1, 75, 2, device=device, dtype=torch.float64)
    nh = n / 4
    values = (torch.exp(-(s - nh).square()) - torch.exp(-(s + nh).square())) / n
    integrals = (2 * torch.erf(nh) - torch.erf(nh - s) - torch.erf(nh + s)) / n
    return integrals.sum(1), values.sum(1) / math.sqrt(math.pi)
