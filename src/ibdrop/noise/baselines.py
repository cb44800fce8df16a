"""Noise without an information term: what Information Dropout is compared with."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ibdrop.noise.base import Noise, Noisy
from ibdrop.noise.draws import dropout, standard_normal

__all__ = ["BinaryNoise", "ConstantLogNormalNoise", "GaussianNoise", "NoNoise"]


class NoNoise(Noise):
    """Leaves the activation as it is, :math:`z = f(x)`."""

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        return Noisy(f)


class BinaryNoise(Noise):
    r"""Switches units off, each for itself: inverted dropout.

    .. math:: \varepsilon \sim \mathrm{Bernoulli}(1 - p) / (1 - p)

    Reference: Srivastava et al., Dropout, JMLR 15, 2014.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        rate: The probability :math:`p` that a unit is switched off, in [0, 1).
        whole_channels: Whether convolutions lose whole channels and not single units (spatial
            dropout; Tompson et al., arXiv 1411.4280, sec. 3.2). Linear layers do not notice.

    Raises:
        ValueError: If `rate` is outside its range.
    """

    def __init__(self, channels: int, *, rate: float = 0.5, whole_channels: bool = False) -> None:
        super().__init__(channels)
        if not 0 <= rate < 1:
            raise ValueError(f"rate={rate}: the share of units switched off must be in [0, 1).")
        self.rate = rate
        self.whole_channels = whole_channels

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        return Noisy(dropout(f, self.rate, self.whole_channels) if sample else f)

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mu_2 = 1 / (1 - p)`."""
        return 1 / (1 - self.rate)

    def extra_repr(self) -> str:
        return f"rate={self.rate}, whole_channels={self.whole_channels}"


class GaussianNoise(Noise):
    r"""Multiplies by :math:`\varepsilon \sim \mathcal{N}(1, s^2)`.

    The default has the variance of binary dropout at a rate of one half,
    :math:`p / (1 - p) = 1`. Reference: Srivastava et al., section 10.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        sd: The standard deviation :math:`s` of the noise, at least 0.

    Raises:
        ValueError: If `sd` is negative.
    """

    def __init__(self, channels: int, *, sd: float = 1.0) -> None:
        super().__init__(channels)
        if not sd >= 0:
            raise ValueError(f"sd={sd}: a standard deviation cannot be negative.")
        self.sd = sd

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        if not sample:
            return Noisy(f)
        return Noisy(f * (1 + self.sd * standard_normal(f)).to(f.dtype))

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mu_2 = 1 + s^2`."""
        return 1 + self.sd**2

    def extra_repr(self) -> str:
        return f"sd={self.sd}"


class ConstantLogNormalNoise(Noise):
    r"""Log-normal noise of the same strength everywhere, the control of 1611.01353, figure 3a.

    .. math:: \log \varepsilon \sim \mathcal{N}(0, \alpha^2)

    Information Dropout with its :math:`\alpha(x)` stuck at the cap; a gain over this noise is
    due to learning where to put it.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        alpha: The standard deviation of :math:`\log \varepsilon`, at least 0. At 0.7 the
            variance of the noise is 1.03, close to that of binary dropout at one half.
        unit_mean: Whether the location is :math:`-\alpha^2 / 2`, so that
            :math:`\mathrm{E}[\varepsilon] = 1` and not :math:`e^{\alpha^2 / 2}`.

    Raises:
        ValueError: If `alpha` is negative.
    """

    def __init__(self, channels: int, *, alpha: float = 0.7, unit_mean: bool = False) -> None:
        super().__init__(channels)
        if not alpha >= 0:
            raise ValueError(f"alpha={alpha}: a standard deviation cannot be negative.")
        self.alpha = alpha
        self.unit_mean = unit_mean

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        if not sample:
            return Noisy(f)
        location = -(self.alpha**2) / 2 if self.unit_mean else 0.0
        return Noisy(f * torch.exp(self.alpha * standard_normal(f) + location).to(f.dtype))

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mu_2 = e^{2 \alpha^2}`, or :math:`e^{\alpha^2}` with `unit_mean`."""
        return math.exp((1 if self.unit_mean else 2) * self.alpha**2)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, unit_mean={self.unit_mean}"
