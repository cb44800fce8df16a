"""Dropout whose keep probability is learned, per unit and image, against a Bernoulli prior."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.noise.base import Noise, Noisy, widen
from ibdrop.noise.draws import dropout
from ibdrop.noise.moments import mean_over_raw, relaxed_second_moment
from ibdrop.noise.relaxed import bin_concrete, check_relaxation, kl_bernoulli, logistic, logit

__all__ = ["InformationBinaryNoise"]

LINEAR = 50.0
"""From here on softplus is its argument: `log1p(exp(-50))` is below the last digit of float64."""


class InformationBinaryNoise(Noise):
    r"""Binary Information Dropout: :math:`z = f(x) \, m / q(x)`, a gate with a price.

    .. math:: m \sim \mathrm{Bernoulli}(q(x)), \quad q(x) = \pi + (1 - \pi) \, \sigma(a(x)), \quad
        \mathrm{KL} = q \log \frac{q}{\pi} + (1 - q) \log \frac{1 - q}{1 - \pi}

    The noise has mean one, so evaluation with :math:`\varepsilon = 1` is exact in the mean. What
    beta multiplies is the divergence of the gate from ordinary dropout at the rate
    :math:`1 - \pi`: where a unit tells nothing that is worth its price, it becomes that, for free.

    The gate is never less open than the prior. Otherwise a unit that is surely *off* would cost
    nats too, and a bright place in a heat map could mean either. So the price falls monotonically
    to zero at the prior, as that of Information Dropout does at the cap of its alpha.

    In training the gate is relaxed to the binary Concrete distribution; the price stays that of
    the hard gate. :math:`\mathrm{logit}(q) = \mathrm{logit}(\pi) + \mathrm{softplus}(a -
    \log \pi)`, from which gate and price keep their digits at both ends. `docs/
    information_binary.md` has the derivation. `alpha` is the drop probability :math:`1 - q(x)`.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        prior: The prior probability :math:`\pi` in (0, 1) that a unit is kept.
        temperature: The temperature of the relaxation, above 0; 2/3 is the best single value of
            Maddison et al., arXiv 1611.00712.
        evaluation: Whether noise drawn in evaluation mode is `hard`, 0 or :math:`1 / q`, or
            `soft`, as in training.

    Raises:
        ValueError: If an argument is out of its range.
    """

    maps: ClassVar[int] = 1
    has_kl = True

    def __init__(
        self,
        channels: int,
        *,
        prior: float = 0.5,
        temperature: float = 2 / 3,
        evaluation: Literal["hard", "soft"] = "hard",
    ) -> None:
        super().__init__(channels)
        if not 0 < prior < 1:
            raise ValueError(f"prior={prior}: the probability to keep a unit must be in (0, 1).")
        check_relaxation(temperature, evaluation)
        self.prior = prior
        self.temperature = temperature
        self.evaluation = evaluation
        self.cap = 1 - prior

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        assert a is not None, "the layer computes as many maps as the noise asks for"
        a = widen(a)
        drop = self.cap * torch.sigmoid(-a)
        excess = F.softplus(a - math.log(self.prior), threshold=LINEAR)
        z = self._gated(f, drop, excess) if sample else f
        return Noisy(z, kl_bernoulli(excess, self.prior), drop, self.cap)

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mathrm{E}_a[m^2 / q^2]` of the relaxed gate; a hard one has :math:`1 / q`."""

        def moment(a: Tensor) -> Tensor:
            keep = (1 - self.cap * torch.sigmoid(-a)).tolist()
            moments = [relaxed_second_moment(q, self.temperature) / q**2 for q in keep]
            return a.new_tensor(moments)

        return mean_over_raw(moment, raw_sd)

    def _gated(self, f: Tensor, drop: Tensor, excess: Tensor) -> Tensor:
        if not self.training and self.evaluation == "hard":
            return dropout(f, drop).to(f.dtype)
        m = bin_concrete(logit(self.prior) + excess, logistic(drop), self.temperature)
        return f * (m / (1 - drop)).to(f.dtype)

    def extra_repr(self) -> str:
        return (
            f"prior={self.prior}, temperature={self.temperature:.4g}, evaluation={self.evaluation}"
        )
