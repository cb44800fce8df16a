"""Variational dropout: Gaussian noise whose variance is learned against a log-uniform prior."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ibdrop.noise.base import Noise, Noisy, widen
from ibdrop.noise.draws import standard_normal
from ibdrop.noise.gaussian_kl import kl_cubic, kl_exact
from ibdrop.noise.information import squareplus_rate
from ibdrop.noise.moments import mean_over_raw
from ibdrop.noise.weights import perturbed

__all__ = ["VariationalNoise"]

KLS: dict[str, Callable[[Tensor], Tensor]] = {"approximate": kl_cubic, "exact": kl_exact}


class VariationalNoise(Noise):
    r"""Multiplies by :math:`\varepsilon \sim \mathcal{N}(1, \alpha)` with a learned variance.

    .. math:: \alpha = e^{-g(a)} < 1, \quad
        \mathrm{KL}(\alpha) = C - \tfrac{1}{2} \log \alpha + \mathrm{E} \log |\varepsilon|

    with the squareplus :math:`g` of `ibdrop.noise.information`, whose slope falls off only like
    :math:`1 / a^2` towards the cap: such a unit can return. The bound :math:`\alpha \le 1` is the
    paper's; beyond it gradients are too noisy, and the cubic is not valid. The prior is improper:
    :math:`C` makes KL vanish for infinite alpha, so a unit at the cap still costs 0.427 nats
    (0.410 by the cubic), for :math:`\mathcal{N}(1, 1)` does not wipe out :math:`f(x)`.
    `Noisy.alpha` is the standard deviation :math:`\sqrt{\alpha}` of the noise, and its cap is 1.

    What `beta` multiplies:

    - `at="activation"`, alpha per layer or unit: KL summed over the units of a layer. In a
      linear layer a unit's noise is common to all weights that read it, the paper's correlated
      weight noise (section 3.2). Each unit is paid once for all training images: `beta=1` with
      `beta_units=paper` is the bound. A convolution has one unit per position.
    - `at="weights"`: KL summed over the weights, whose noise is independent (section 3.1), drawn
      by local reparametrisation (`ibdrop.noise.weights`). The bound is at the same beta. It
      costs as many times more as a unit has weights, and averages out over them.
    - `per="input"`: :math:`\alpha(x)` belongs to the image, as in Information Dropout, and is
      paid for each. `beta=1` with `beta_units=nats` is the bound of a model with latent `z`.
      Information Dropout has log-normal noise, never changes a sign, and costs zero at its cap.

    A unit with :math:`f(x) = 0` is charged like any other.

    Reference: Kingma, Salimans & Welling, Variational Dropout and the Local Reparameterization
    Trick, arXiv 1506.02557.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        per: What has an alpha of its own: `layer`, `unit` (channel), or `input`, where each unit
            of each image has one, computed from the input of the layer.
        at: Whether the noise is on the `activation` or in the `weights` of the layer.
        kl: `approximate`, the published cubic, or `exact`, see `ibdrop.noise.gaussian_kl`.
        initial_alpha: The variance of the noise where the raw map is zero, in (0, 1).

    Raises:
        ValueError: If an argument is out of its range, or the weights were to know the input.
    """

    has_kl = True

    def __init__(
        self,
        channels: int,
        *,
        per: str = "unit",
        at: str = "activation",
        kl: str = "approximate",
        initial_alpha: float = 0.5,
    ) -> None:
        super().__init__(channels)
        for name, value, choices in (
            ("per", per, ("layer", "unit", "input")),
            ("at", at, ("activation", "weights")),
            ("kl", kl, tuple(KLS)),
        ):
            if value not in choices:
                raise ValueError(f"{name}={value}: must be one of {', '.join(choices)}.")
        if per == "input" and at == "weights":
            raise ValueError("per=input needs at=activation: weights do not know the input.")
        if not 0 < initial_alpha < 1:
            raise ValueError(
                f"initial_alpha={initial_alpha}: the variance of eps must be in (0, 1)."
            )
        self.per, self.at, self.kl, self.initial_alpha = per, at, kl, initial_alpha
        self.start = _inverse_squareplus(-math.log(initial_alpha))
        self.maps = 1 if per == "input" else 0  # type: ignore[misc]
        if per != "input":
            self.raw = nn.Parameter(torch.zeros(channels if per == "unit" else 1))

    def affine(self, x: Tensor, affine: nn.Conv2d | nn.Linear, sample: bool) -> Tensor:
        if self.at == "activation" or not sample:
            return super().affine(x, affine, sample)
        alpha = torch.exp(self._log_alpha(self.raw))
        squares = affine.weight.square().transpose(0, -1)
        return perturbed(x, affine, (alpha * squares).transpose(0, -1))

    def price(self, affine: nn.Conv2d | nn.Linear) -> Tensor | None:
        if self.at == "activation":
            return None
        each = KLS[self.kl](self._log_alpha(self.raw))
        return each.expand(self.channels) * affine.weight[0].numel()

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        if a is None:
            log_alpha = self._log_alpha(self.raw)
            sd = _over_channels(torch.exp(log_alpha / 2), f)
        else:
            log_alpha = self._log_alpha(widen(a))
            sd = torch.exp(log_alpha / 2)
        if self.at == "weights":
            return Noisy(f, None, sd, 1.0)
        kl = KLS[self.kl](log_alpha)
        if a is None:
            kl = _over_channels(kl, f)
        if not sample:
            return Noisy(f, kl, sd, 1.0)
        return Noisy(f * (1 + sd * standard_normal(f)).to(f.dtype), kl, sd, 1.0)

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`1 + \alpha`, averaged over units and raw maps.

        The same for noise in the weights: it adds as much to the mean square of :math:`W x`.
        """
        if self.per == "input":
            return mean_over_raw(lambda a: 1 + torch.exp(self._log_alpha(a)), raw_sd)
        return 1 + float(torch.exp(self._log_alpha(self.raw.detach())).mean())

    def extra_repr(self) -> str:
        return f"per={self.per}, at={self.at}, kl={self.kl}, initial_alpha={self.initial_alpha:g}"

    def _log_alpha(self, a: Tensor) -> Tensor:
        return -squareplus_rate(a + self.start)


def _inverse_squareplus(rate: float) -> float:
    """The raw value at which `squareplus_rate` is `rate`."""
    return rate - math.log(2) ** 2 / rate


def _over_channels(values: Tensor, like: Tensor) -> Tensor:
    """Gives each position of `like`, with shape (B, C, *), the value of its channel."""
    return values.expand_as(like.transpose(1, -1)).transpose(1, -1)
