r"""What initial weights make of signals: the variances that theory expects, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["Stage", "backward", "forward", "similarities"]

NODES = 64
"""Nodes of the Gauss-Hermite quadrature."""


@dataclass(frozen=True)
class Stage:
    r"""A weight layer as theory sees it.

    Attributes:
        fan_in: The inputs of a unit, :math:`k^2 c_{in} / g` for a convolution.
        fan_out: The units that read an input, :math:`k^2 c_{out} / g s^2` at stride :math:`s`.
        weight_variance: :math:`\mathrm{Var}[w]` of the weights drawn, about 0.
        bias_variance: That of the biases, likewise.
        activation: What follows, `relu` or `softplus`; `None` behind the last layer.
        norm_gain: What batch norm multiplies gradients by, squared, as measured: the mean over
            units of :math:`1 / \sigma^2`; `None` without batch norm.
        dense: Whether it is fully connected.
        first: Whether something that is not followed here, such as pooling, lies before it.
        noise_mean: :math:`\mu_1 = E[\varepsilon]` of the noise behind it, 1 without.
        noise_square: :math:`\mu_2 = E[\varepsilon^2]`, likewise.
        input_square: :math:`E[x^2]` of its input as measured; read where `first` is set.
        gradient: :math:`\mathrm{Var}[\partial L / \partial y]` as measured; read in the last
            layer and before a `first` one.
    """

    fan_in: float
    fan_out: float
    weight_variance: float
    bias_variance: float
    activation: str | None
    norm_gain: float | None
    dense: bool
    first: bool
    noise_mean: float
    noise_square: float
    input_square: float
    gradient: float


def forward(stages: Sequence[Stage]) -> list[float]:
    r"""Expects the variance of the pre-activations :math:`y_l = W_l x_l`.

    .. math:: \mathrm{Var}[y_l] = n_l \, \mathrm{Var}[w_l] \, E[x_l^2] + \mathrm{Var}[b_l], \qquad
        E[x_{l+1}^2] = \mu_2 \, E[\phi(y_l)^2]

    and :math:`E[\phi(y)^2] = \mathrm{Var}[y] / 2` for ReLU, with fan-in :math:`n`, and weights
    and biases :math:`b` of mean 0. The chain begins at the measured :math:`E[x^2]` of the first
    layer.

    References:
        He et al., arXiv 1502.01852, equations 9 and 10; with noise, Pretorius et al., arXiv
        1811.00293, equation 6.

    Arguments:
        stages: The layers in order of execution.

    Returns:
        The variances, one for each layer.
    """
    found: list[float] = []
    for place, stage in enumerate(stages):
        square = stage.input_square
        if not stage.first:
            before = stages[place - 1]
            spread = found[-1] if before.norm_gain is None else 1.0
            square = before.noise_square * _moment(before.activation, spread)
        found.append(stage.fan_in * stage.weight_variance * square + stage.bias_variance)
    return found


def backward(stages: Sequence[Stage]) -> list[float]:
    r"""Expects the variance of the gradients :math:`\partial L / \partial y_l`.

    .. math:: \mathrm{Var}[\partial L / \partial y_l] = \hat n_{l+1} \mathrm{Var}[w_{l+1}] \,
        \mu_2 \, E[\phi'(y_l)^2] \, \mathrm{Var}[\partial L / \partial y_{l+1}]

    and :math:`E[\phi'^2] = 1 / 2` for ReLU, with fan-out :math:`\hat n`; batch norm multiplies it
    by the mean of :math:`1 / \sigma^2`. The chain begins at what is measured in the last layer.

    Reference: He et al., arXiv 1502.01852, equations 13 and 14.

    Arguments:
        stages: The layers in order of execution.

    Returns:
        The variances, one for each layer.
    """
    variances = forward(stages)
    found: list[float] = []
    for place in reversed(range(len(stages))):
        stage, after = stages[place], stages[place + 1 :][:1]
        if not after or after[0].first:
            found.append(stage.gradient)
            continue
        passed = found[-1] * after[0].fan_out * after[0].weight_variance * stage.noise_square
        spread = variances[place] if stage.norm_gain is None else 1.0
        passed *= _moment(stage.activation, spread, slope=True)
        found.append(passed if stage.norm_gain is None else passed * stage.norm_gain)
    return found[::-1]


def similarities(stages: Sequence[Stage], measured: Sequence[Tensor]) -> list[float | None]:
    r"""Expects the mean cosine between the pre-activations of two images.

    .. math:: \cos_{l+1} = \frac{\mu_1^2}{\mu_2} \,
        \frac{\sqrt{1 - c^2} + c \, (\pi - \arccos c)}{\pi}, \qquad c = \cos_l

    for each pair; biases, which all images share, add their part of :math:`\mathrm{Var}[y_{l+1}]`.
    Known for fully connected layers with ReLU and without norm.

    Reference: Cho & Saul, Kernel methods for deep learning, NIPS 2009, equation 6 (n = 1).

    Arguments:
        stages: The layers in order of execution.
        measured: The cosines of all pairs in each layer, each with shape :math:`(P)`; read in
            layers where a chain begins.

    Returns:
        The means, one for each layer; `None` where there is no prediction.
    """
    found: list[float | None] = []
    pairs: Tensor | None = None
    variances = forward(stages)
    for place, stage in enumerate(stages):
        if stage.first:
            pairs = measured[place] if stage.dense else None
        elif pairs is not None:
            before = stages[place - 1]
            known = before.activation == "relu" and before.norm_gain is None and stage.dense
            shared = stage.bias_variance / variances[place]
            pairs = shared + (1 - shared) * _rectified(pairs, before) if known else None
        found.append(None if pairs is None else float(pairs.mean()))
    return found


def _rectified(cosine: Tensor, stage: Stage) -> Tensor:
    c = cosine.clamp(-1, 1)
    passed = ((1 - c.square()).sqrt() + c * (math.pi - c.acos())) / math.pi
    return stage.noise_mean**2 / stage.noise_square * passed


def _moment(activation: str | None, variance: float, slope: bool = False) -> float:
    """The second moment of an activation, or of its slope, at a Gaussian of mean 0."""
    if activation == "relu":
        return 0.5 if slope else variance / 2
    assert activation == "softplus", activation
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    y = torch.from_numpy(nodes * math.sqrt(variance))
    values = y.sigmoid() if slope else torch.nn.functional.softplus(y)
    return float((values.square() * torch.from_numpy(weights)).sum()) / math.sqrt(2 * math.pi)
