"""Divergences, entropies and moments that noise layers and figures share, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = [
    "WINDOW",
    "entropy",
    "kl_log_normal",
    "kl_log_normal_of_logs",
    "kl_log_uniform",
    "kl_log_uniform_of_logs",
    "log_normal_mean",
    "log_normal_variance",
]

WINDOW = math.sqrt(2 * math.pi * math.e)
r""":math:`\sqrt{2 \pi e} = 4.132731`: the log-uniform window, in units of the largest alpha.

The entropy of :math:`\log z` at the largest alpha equals that of a uniform density of width
:math:`\alpha_{max} \sqrt{2 \pi e}`, so the constant :math:`c = 1 / (\alpha_{max} \sqrt{2 \pi e})`
of the prior :math:`c / z` makes the divergence vanish there.
"""


def kl_log_uniform(alpha: Tensor, cap: float) -> Tensor:
    r"""Divergence of log-normal noise from the log-uniform prior (1611.01353, proposition 2).

    .. math:: \mathrm{KL} = \log(\alpha_{max} / \alpha)

    The paper's constant is chosen such that nothing is transmitted at the cap; its `+ log c`
    is a slip for `- log c`. The location of the noise does not enter.

    Arguments:
        alpha: The standard deviation of the log noise, of any shape.
        cap: The largest alpha :math:`\alpha_{max}`.

    Returns:
        KL in nats, with the shape of `alpha`.
    """
    return kl_log_uniform_of_logs(alpha.log(), math.log(cap))


def kl_log_uniform_of_logs(log_alpha: Tensor, log_cap: float) -> Tensor:
    """`kl_log_uniform` for an alpha so small that only its logarithm is at hand."""
    return log_cap - log_alpha


def kl_log_normal(
    log_f: Tensor, alpha: Tensor, mu: Tensor | float, sigma: Tensor | float
) -> Tensor:
    r"""Divergence of log-normal noise from a log-normal prior (1611.01353, equation 5).

    .. math:: \mathrm{KL} = \frac{\alpha^2 + (\log f - \mu)^2}{2 \sigma^2}
        - \log \frac{\alpha}{\sigma} - \frac{1}{2}

    The paper prints :math:`\mu^2` where the squared distance stands here.

    Arguments:
        log_f: The location of :math:`\log z`.
        alpha: The standard deviation of :math:`\log z`.
        mu: The prior's location.
        sigma: The prior's scale.

    Returns:
        KL in nats, with the common shape of the arguments.
    """
    log_sigma = torch.as_tensor(sigma, dtype=alpha.dtype, device=alpha.device).log()
    return kl_log_normal_of_logs(log_f, alpha.log(), mu, log_sigma)


def kl_log_normal_of_logs(
    log_f: Tensor, log_alpha: Tensor, mu: Tensor | float, log_sigma: Tensor
) -> Tensor:
    """`kl_log_normal` with both scales given by their logarithms."""
    distance = (log_f - mu) * torch.exp(-log_sigma)
    ratio = log_alpha - log_sigma
    return (torch.exp(2 * ratio) + distance.square()) / 2 - ratio - 0.5


def entropy(p: Tensor, dim: int = -1) -> Tensor:
    r"""Entropy :math:`H = -\sum_k p_k \log p_k` in nats, with :math:`0 \log 0 = 0`.

    Arguments:
        p: Probabilities that sum to one along `dim`.
        dim: The dimension of the classes, which the result lacks.
    """
    terms: Tensor = torch.special.entr(p)
    return terms.sum(dim)


def log_normal_mean(alpha: Tensor, unit_mean: bool = False) -> Tensor:
    r"""Mean of the noise, :math:`e^{\alpha^2 / 2}`, or one if the location is shifted to that."""
    return torch.ones_like(alpha) if unit_mean else torch.exp(alpha.square() / 2)


def log_normal_variance(alpha: Tensor, unit_mean: bool = False) -> Tensor:
    r"""Variance of the noise, :math:`(e^{\alpha^2} - 1) \, \mathrm{E}[\varepsilon]^2`."""
    return torch.expm1(alpha.square()) * log_normal_mean(alpha, unit_mean).square()
