r"""The binary Concrete distribution in logit space.

torch has it as `LogitRelaxedBernoulli`, which is not sound where it matters, so it is written
out here:

- its `rsample` goes through clamped probabilities: for logits beyond +-15.94 (float32) the
  gradient is exactly 0 and the samples are those of 15.94, while `log_prob` uses the true logit;
- its `log_prob` has :math:`\log(1 + \exp(\cdot))` without the safe form: at :math:`y = -200`,
  :math:`\lambda = 0.5` it is minus infinity where the truth is -100.69;
- it draws from torch's generator alone, so a draw cannot belong to an image.

`RelaxedBernoulli`, on (0, 1), is clipped to the ends besides: 28 % of its samples at
:math:`\lambda = 0.1`, with a wrong density and no gradient there.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.models.discrete.units import Units, check_temperature, full
from ibdrop.noise.relaxed import logistic

__all__ = ["BinConcrete"]


class BinConcrete(Units):
    r"""Units that are 0 or 1, and their relaxation.

    .. math:: Y = \frac{\log \alpha + L}{\lambda}, \quad L = \log u - \log(1 - u), \quad
        X = \sigma(Y)

    with the odds :math:`\alpha = p / (1 - p)`, not the probability: logits are
    :math:`\log \alpha`. :math:`P(X > 1/2) = p` at every temperature, but :math:`E X` is
    :math:`p` only as :math:`\lambda \to 0`. The code is :math:`2 X - 1`.

    Reference: Maddison, Mnih & Teh, The Concrete Distribution, arXiv 1611.00712, appendix B.
    """

    states = 2
    axes = 0
    logits = 1
    outputs = 1

    def relax(self, logits: Tensor, temperature: float) -> Tensor:
        check_temperature(temperature)
        return (full(logits) + logistic(logits)) / temperature

    def log_density(self, y: Tensor, logits: Tensor, temperature: float) -> Tensor:
        r"""The log-density of :math:`Y`, finite wherever its arguments are.

        .. math:: \log g(y) = \log \lambda - \lambda y + \log \alpha
            - 2 \, \mathrm{softplus}(\log \alpha - \lambda y)
        """
        above = full(logits) - temperature * y
        # torch's softplus is linear beyond 20, which costs 2e-9; its logsigmoid is exact.
        return math.log(temperature) + above + 2 * F.logsigmoid(-above)

    def soft(self, y: Tensor) -> Tensor:
        return torch.sigmoid(y)

    def hard(self, y: Tensor) -> Tensor:
        return (y > 0).to(y.dtype)

    def draw(self, logits: Tensor) -> Tensor:
        return self.hard(full(logits).detach() + logistic(logits))

    def probabilities(self, logits: Tensor) -> Tensor:
        return torch.sigmoid(full(logits))

    def log_mass(self, state: Tensor, logits: Tensor) -> Tensor:
        a = full(logits)
        return state * F.logsigmoid(a) + (1 - state) * F.logsigmoid(-a)

    def kl(self, logits: Tensor, prior: Tensor) -> Tensor:
        """The divergence of two Bernoulli distributions.

        torch's own is infinite once the prior's probability underflows, at a logit of -104.
        """
        a, b = full(logits), full(prior)
        one = torch.sigmoid(a) * (F.logsigmoid(a) - F.logsigmoid(b))
        return one + torch.sigmoid(-a) * (F.logsigmoid(-a) - F.logsigmoid(-b))

    def embed(self, state: Tensor) -> Tensor:
        return 2 * state - 1
