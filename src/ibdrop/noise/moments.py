"""Second moments of noise, by quadrature."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ibdrop.noise.relaxed import logit

__all__ = ["mean_over_raw", "relaxed_second_moment"]

NODES = 101
REACH, POINTS = 60.0, 12001


def mean_over_raw(value: Callable[[Tensor], Tensor], raw_sd: float) -> float:
    r"""The mean of a function of a raw map :math:`a \sim \mathcal{N}(0, s^2)`.

    Arguments:
        value: The function, of a tensor of any shape in float64.
        raw_sd: :math:`s`; at 0 the value at :math:`a = 0`.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    a = torch.from_numpy(nodes) * raw_sd
    return float((value(a) * torch.from_numpy(weights)).sum() / math.sqrt(2 * math.pi))


def relaxed_second_moment(q: float, temperature: float) -> float:
    r""":math:`\mathrm{E}[m^2]` of the binary Concrete distribution.

    .. math:: \mathrm{E}[m^2] = \int_0^1 2 m \, P(M > m) \, dm, \quad
        P(M > m) = \sigma(\mathrm{logit}(q) - \lambda \, \mathrm{logit}(m))

    by the trapezoid rule in :math:`\mathrm{logit}(m)`, where the integrand is smooth and dies off
    at both ends.

    Arguments:
        q: The probability :math:`q` in (0, 1] of one; at 1 the moment is 1.
        temperature: The temperature :math:`\lambda`.
    """
    if q >= 1:
        return 1.0
    t = torch.linspace(-REACH, REACH, POINTS, dtype=torch.float64)
    m = torch.sigmoid(t)
    above = torch.sigmoid(logit(q) - temperature * t)
    return float(torch.trapezoid(2 * m * m * torch.sigmoid(-t) * above, t))
