"""Information Dropout: noise whose strength is learned, per unit and image, against a prior."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import ClassVar

import torch
from torch import Tensor, nn

from ibdrop.information import kl_log_normal_of_logs
from ibdrop.noise.base import Noise, Noisy, widen
from ibdrop.noise.draws import standard_normal
from ibdrop.noise.moments import mean_over_raw

__all__ = ["FLOOR", "InformationNoise", "sigmoid_rate", "squareplus_rate"]

FLOOR = 0.001
"""The smallest alpha of the paper's parametrisation, and what its cap lies above `max_alpha`."""

SMALLEST_F = 1e-20
"""Below this, `log f` is taken as constant, so that its gradient stays finite in float32."""


def sigmoid_rate(a: Tensor, max_alpha: float) -> Tensor:
    r"""The paper's :math:`\log(\mathrm{cap} / \alpha)` in nats, exact to the last digit near 0.

    .. math:: \alpha = 0.001 + \alpha_{max} \, \sigma(a), \quad \mathrm{cap} = \alpha_{max} + 0.001

    Written as :math:`\log(1 + (\mathrm{cap} - \alpha) / \alpha)`, because the difference of two
    logarithms loses what little a collapsed unit still carries. Both ends saturate: the gradient
    falls off like :math:`e^{-|a|}`.

    Arguments:
        a: The raw map, of any shape.
        max_alpha: :math:`\alpha_{max}`.
    """
    alpha = FLOOR + max_alpha * torch.sigmoid(a)
    return torch.log1p(max_alpha * torch.sigmoid(-a) / alpha)


def squareplus_rate(a: Tensor) -> Tensor:
    r"""Our :math:`\log(\mathrm{cap} / \alpha)` in nats, from which a collapsed unit can return.

    .. math:: g(a) = \frac{a + \sqrt{a^2 + b}}{2}, \quad b = 4 \log^2 2, \quad g(0) = \log 2

    Its slope falls off only like :math:`1 / a^2` towards the cap, and is one at the other end:
    there is no lower floor of alpha.

    Arguments:
        a: The raw map, of any shape.
    """
    b = 4 * math.log(2) ** 2
    root = torch.sqrt(a.square() + b)
    # The same number twice; each form cancels where the other is exact.
    collapsed = (b / 2) / (root - a.clamp(max=0))
    return torch.where(a < 0, collapsed, (a + root) / 2)


class InformationNoise(Noise):
    r"""Information Dropout: :math:`z = e^{\alpha(x) n} f(x)`, :math:`n \sim \mathcal{N}(0, 1)`.

    Reference: Achille & Soatto, Information Dropout, arXiv 1611.01353 v3. The price of a unit is

    - with the prior :math:`q(z) = q_0 \delta(z) + c / z` (`log_uniform`, for ReLU),
      :math:`\log(\mathrm{cap} / \alpha)`, and :math:`-\log q_0` where :math:`f(x) = 0`. For
      positive :math:`f` this sets :math:`c = 1 / (\mathrm{cap} \sqrt{2 \pi e})`. A proper prior
      also has :math:`q_0 + c \log(z_{max} / z_{min}) = 1`, which fixes the width of its window:
      1.45 nats for a cap of 0.701 and :math:`q_0 = 1/2`. Nothing outside is punished;
    - with the prior :math:`\log \mathcal{N}(\mu, \sigma^2)` (`log_normal`, for softplus), the
      divergence `ibdrop.information.kl_log_normal`, with one learned pair per layer. There
      :math:`\log f` is constant below 1e-20.

    Alpha is the standard deviation of the *log* noise; cap = `max_alpha` + 0.001.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        prior: `log_uniform` or `log_normal`.
        max_alpha: :math:`\alpha_{max}` in (0, 2]; 0.7 on CIFAR-10, 1.0 on cluttered digits.
        parametrisation: `sigmoid`, the paper's, or `squareplus`, ours, which does not saturate.
        atom: `paper` charges a unit with :math:`f(x) = 0` for its alpha, as the paper did;
            `exact` charges :math:`-\log q_0`, without a gradient.
        q0: The prior probability :math:`q_0` in (0, 1] of a zero; read by `atom="exact"` only.
        unit_mean: Whether the noise is shifted by :math:`e^{-\alpha^2 / 2}` to mean one. The
            log-uniform price does not notice, the log-normal one moves with the location.

    Raises:
        ValueError: If an argument is out of its range, or the prior has no atom.
    """

    maps: ClassVar[int] = 1
    has_kl = True

    def __init__(
        self,
        channels: int,
        *,
        prior: str = "log_uniform",
        max_alpha: float = 0.7,
        parametrisation: str = "sigmoid",
        atom: str = "paper",
        q0: float = 0.5,
        unit_mean: bool = False,
    ) -> None:
        super().__init__(channels)
        _check_choice("prior", prior, ("log_uniform", "log_normal"))
        _check_choice("parametrisation", parametrisation, ("sigmoid", "squareplus"))
        _check_choice("atom", atom, ("paper", "exact"))
        if not 0 < max_alpha <= 2:
            raise ValueError(f"max_alpha={max_alpha}: must be above 0 and at most 2.")
        if not 0 < q0 <= 1:
            raise ValueError(f"q0={q0}: the prior probability of a zero must be in (0, 1].")
        if atom == "exact" and prior == "log_normal":
            raise ValueError(
                "atom=exact needs prior=log_uniform: a log-normal prior has no atom at zero."
            )
        self.prior = prior
        self.max_alpha = max_alpha
        self.parametrisation = parametrisation
        self.atom = atom
        self.q0 = q0
        self.unit_mean = unit_mean
        self.positive = prior == "log_normal"
        self.cap = max_alpha + FLOOR
        if self.positive:
            self.mu = nn.Parameter(torch.zeros(()))
            self.log_sigma = nn.Parameter(torch.zeros(()))

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        assert a is not None, "the layer computes as many maps as the noise asks for"
        raw = widen(a)
        rate = self._rate(raw)
        alpha = self._alpha(raw, rate)
        shift = -alpha.square() / 2 if self.unit_mean else None
        kl = self._kl(f, rate, shift)
        if not sample:
            return Noisy(f, kl, alpha, self.cap)
        log_noise = alpha * standard_normal(alpha)
        if shift is not None:
            log_noise = log_noise + shift
        return Noisy(f * log_noise.exp().to(f.dtype), kl, alpha, self.cap)

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mathrm{E}_a[e^{2 \alpha(a)^2}]`, or of :math:`e^{\alpha^2}` with `unit_mean`.

        At :math:`a = 0` alpha is half of `max_alpha` (up to 0.001), hence 1.279 at 0.7.
        """
        power = 1 if self.unit_mean else 2

        def moment(a: Tensor) -> Tensor:
            return torch.exp(power * self._alpha(a, self._rate(a)).square())

        return mean_over_raw(moment, raw_sd)

    def extra_repr(self) -> str:
        return (
            f"prior={self.prior}, max_alpha={self.max_alpha}, "
            f"parametrisation={self.parametrisation}, atom={self.atom}, q0={self.q0}, "
            f"unit_mean={self.unit_mean}"
        )

    def _rate(self, a: Tensor) -> Tensor:
        if self.parametrisation == "squareplus":
            return squareplus_rate(a)
        return sigmoid_rate(a, self.max_alpha)

    def _alpha(self, a: Tensor, rate: Tensor) -> Tensor:
        """From the raw map where that is shorter: a sampled network then needs no rate."""
        if self.parametrisation == "squareplus":
            return self.cap * torch.exp(-rate)
        return FLOOR + self.max_alpha * torch.sigmoid(a)

    def _kl(self, f: Tensor, rate: Tensor, shift: Tensor | None) -> Tensor:
        if self.prior == "log_normal":
            location = widen(f).clamp(min=SMALLEST_F).log()
            if shift is not None:
                location = location + shift
            log_alpha = math.log(self.cap) - rate
            return kl_log_normal_of_logs(location, log_alpha, self.mu, self.log_sigma)
        if self.atom == "exact":
            return torch.where(f == 0, -math.log(self.q0), rate)
        return rate


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value}: must be one of {', '.join(choices)}.")
