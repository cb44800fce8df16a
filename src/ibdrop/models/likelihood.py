"""What a decoder's output says of pixels, and what it costs where it is wrong."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["LIKELIHOODS", "Likelihood", "check_likelihood", "floor", "means", "nll"]

Likelihood = Literal["bernoulli", "gaussian"]
LIKELIHOODS: tuple[str, ...] = get_args(Likelihood)


def nll(output: Tensor, x: Tensor, likelihood: str, deviation: float = 1.0) -> Tensor:
    r"""Gives what the pixels cost under the decoder, in nats per image.

    .. math:: -\sum_k [x_k \log p_k + (1 - x_k) \log(1 - p_k)] \quad\text{(bernoulli)}, \qquad
        \sum_k \Big[\frac{(x_k - p_k)^2}{2 \sigma^2} + \log(\sigma \sqrt{2 \pi})\Big]
        \quad\text{(gaussian)}

    with :math:`p = \mathrm{sigmoid}(o)`. The first is computed from :math:`o`, without logarithms
    of rounded probabilities; for pixels between 0 and 1 it is a cross-entropy, not the negative
    logarithm of a density, and cannot fall below `floor`.

    Arguments:
        output: The decoder's output :math:`o`, with shape :math:`(B, *)`.
        x: The pixels in [0, 1], with the same shape.
        likelihood: `bernoulli` or `gaussian`.
        deviation: The standard deviation :math:`\sigma` of a pixel; of `gaussian` only.

    Returns:
        Nats, with shape :math:`(B)`.
    """
    if likelihood == "bernoulli":
        each = F.binary_cross_entropy_with_logits(output, x, reduction="none")
        return each.flatten(1).sum(1)
    miss = (torch.sigmoid(output) - x).square() / (2 * deviation**2)
    return miss.flatten(1).sum(1) + x[0].numel() * math.log(deviation * math.sqrt(2 * math.pi))


def means(output: Tensor) -> Tensor:
    """The expected pixels in [0, 1], with the shape of `output`."""
    return torch.sigmoid(output)


def floor(x: Tensor, likelihood: str, deviation: float = 1.0) -> Tensor:
    r"""Gives the least that `nll` can be for these pixels, in nats per image.

    With `bernoulli` that is the entropy of the pixels themselves,
    :math:`-\sum_k [x_k \log x_k + (1 - x_k) \log(1 - x_k)]`, which is 0 for black and white alone.

    Arguments:
        x: The pixels in [0, 1], with shape :math:`(B, *)`.
        likelihood: `bernoulli` or `gaussian`.
        deviation: The standard deviation of a pixel; of `gaussian` only.
    """
    if likelihood == "bernoulli":
        return -(torch.xlogy(x, x) + torch.xlogy(1 - x, 1 - x)).flatten(1).sum(1)
    least = x[0].numel() * math.log(deviation * math.sqrt(2 * math.pi))
    return torch.full((len(x),), least, dtype=x.dtype, device=x.device)


def check_likelihood(likelihood: str, deviation: float) -> None:
    """Refuses what is no likelihood.

    Raises:
        ValueError: The name is unknown, or the deviation not above 0.
    """
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"likelihood={likelihood}: must be one of {', '.join(LIKELIHOODS)}.")
    if not 0 < deviation < math.inf:
        raise ValueError(f"deviation={deviation}: must be a positive number.")
