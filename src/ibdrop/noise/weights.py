"""Gaussian noise in the weights, drawn where the weights are used."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.noise.base import widen
from ibdrop.noise.draws import standard_normal

__all__ = ["perturbed"]

TINY = 1e-12
"""The smallest variance of an output; the slope of the root stays finite there."""


def perturbed(x: Tensor, affine: nn.Conv2d | nn.Linear, variance: Tensor) -> Tensor:
    r"""Draws :math:`W x` for independent :math:`W \sim \mathcal{N}(\theta, v)`, without W.

    .. math:: y = \theta x + \sqrt{v (x \circ x)} \, n, \quad n \sim \mathcal{N}(0, 1)

    The local reparametrisation (Kingma, Salimans & Welling, arXiv 1506.02557, section 2.3): for
    a linear layer the very distribution of :math:`W x`, drawn afresh for each sample. For a
    convolution mean and variance are right at every position, but the noise of two positions is
    independent, as if each had weights of its own. The bias has no noise.

    Arguments:
        x: The input of the layer.
        affine: The affine map of the means :math:`\theta`.
        variance: The variances :math:`v`, in the shape of the weights.
    """
    mean = affine(x)
    spread = widen(_linear_part(x.square(), affine, variance))
    # Kernels that transform their input first can return a variance just below zero.
    noise = spread.clamp(min=TINY).sqrt() * standard_normal(mean)
    y: Tensor = mean + noise.to(mean.dtype)
    return y


def _linear_part(x: Tensor, affine: nn.Conv2d | nn.Linear, weight: Tensor) -> Tensor:
    """What `affine` would give with these weights and no bias."""
    if isinstance(affine, nn.Linear):
        return F.linear(x, weight)
    return torch.conv2d(
        x,
        weight,
        stride=affine.stride,
        padding=affine.padding,
        dilation=affine.dilation,
        groups=affine.groups,
    )
