r"""Initialisations of the weights of a model, one function each.

All change a model in place: the weights of every convolution and linear layer, those of the raw
maps of a noise included; biases become zero. Norm layers and the noise's own parameters stay.
For a convolution of kernel k x k the fans are :math:`k^2` times the channels in and out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "default",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "tutorial",
]

MODES = ("fan_in", "fan_out")


def default(module: nn.Module) -> None:
    r"""Leaves everything as PyTorch made it.

    That is the heuristic of the 1990s, uniform within :math:`1 / \sqrt{\mathrm{fan_{in}}}`: a
    third of LeCun's variance and a sixth of He's. Biases (uniform in the same bounds) stay too.
    """


def he_normal(
    module: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", slope: float = 0.0
) -> None:
    r"""Normal with variance :math:`2 / ((1 + s^2) \, \mathrm{fan})`, made for ReLU.

    The last layer before the softmax gets the same gain, although no ReLU may follow it.

    Reference: He et al., Delving deep into rectifiers, arXiv 1502.01852.

    Arguments:
        module: The model.
        mode: `fan_in` keeps the variance of activations, `fan_out` that of gradients.
        slope: The slope :math:`s` of a leaky or parametric ReLU below zero.

    Raises:
        ValueError: If `mode` is neither of the two.
    """

    def draw(weight: Tensor) -> None:
        nn.init.normal_(weight, std=_he_deviation(weight, mode, slope))

    _initialise(module, draw)


def he_uniform(
    module: nn.Module, *, mode: Literal["fan_in", "fan_out"] = "fan_in", slope: float = 0.0
) -> None:
    r"""Uniform within :math:`\sqrt{6 / ((1 + s^2) \, \mathrm{fan})}`, the variance of `he_normal`.

    Arguments:
        module: The model.
        mode: `fan_in` keeps the variance of activations, `fan_out` that of gradients.
        slope: The slope :math:`s` of a leaky or parametric ReLU below zero.

    Raises:
        ValueError: If `mode` is neither of the two.
    """

    def draw(weight: Tensor) -> None:
        bound = math.sqrt(3) * _he_deviation(weight, mode, slope)
        nn.init.uniform_(weight, -bound, bound)

    _initialise(module, draw)


def glorot_normal(module: nn.Module) -> None:
    r"""Normal with variance :math:`2 / (\mathrm{fan_{in}} + \mathrm{fan_{out}})`.

    Reference: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010.
    """
    _initialise(module, lambda weight: nn.init.xavier_normal_(weight))


def glorot_uniform(module: nn.Module) -> None:
    r"""Uniform within :math:`\sqrt{6 / (\mathrm{fan_{in}} + \mathrm{fan_{out}})}`.

    The initialisation of the Information Dropout paper's code.
    """
    _initialise(module, lambda weight: nn.init.xavier_uniform_(weight))


def lecun_normal(module: nn.Module) -> None:
    r"""Normal with variance :math:`1 / \mathrm{fan_{in}}`, made for units linear near zero.

    Chainer's default, and so the initialisation of the Monte Carlo dropout post. Behind a ReLU
    it halves the variance with every layer, which `he_normal` mends.

    Reference: LeCun, Bottou, Orr & Müller, Efficient BackProp, in Neural Networks: Tricks of the
    Trade, 1998, section 4.6.
    """

    def draw(weight: Tensor) -> None:
        nn.init.normal_(weight, std=_he_deviation(weight, "fan_in", slope=1.0))

    _initialise(module, draw)


def tutorial(module: nn.Module, *, numpy_seed: int = 123, gain: float = 4.0) -> None:
    r"""Uniform within :math:`g \sqrt{6 / (\mathrm{fan_{in}} + \mathrm{fan_{out}})}`, fixed digits.

    Those of the Deep Learning Tutorials: numpy's legacy generator gives an integer below
    :math:`2^{30}`, which seeded Theano's own, and then the weights of one layer after the other
    in the order (in, out). The gain is 4 for sigmoid units and 1 for tanh. The seed of the run
    has no part in it.

    Reference: Glorot & Bengio 2010, and deeplearning.net's tutorial on denoising autoencoders.

    Arguments:
        module: The model.
        numpy_seed: 123 in the tutorial's autoencoder, 89677 in its stacked one.
        gain: :math:`g`.

    Raises:
        ValueError: The seed is not from 0 to 2^32 - 1, or the gain not above 0.
    """
    if not 0 <= numpy_seed < 2**32:
        raise ValueError(f"numpy_seed={numpy_seed}: must be 0 to {2**32 - 1}.")
    if not 0 < gain < math.inf:
        raise ValueError(f"gain={gain}: must be a positive number.")
    random = np.random.RandomState(numpy_seed)
    random.randint(2**30)

    def draw(weight: Tensor) -> None:
        fans = (weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()
        bound = gain * math.sqrt(6 / fans)
        drawn = torch.from_numpy(random.uniform(-bound, bound, weight.transpose(0, 1).shape))
        weight.copy_(drawn.transpose(0, 1))

    _initialise(module, draw)


def _he_deviation(weight: Tensor, mode: str, slope: float) -> float:
    if mode not in MODES:
        raise ValueError(f"mode={mode}: must be one of {', '.join(MODES)}.")
    positions = weight[0, 0].numel()
    fan = positions * weight.shape[1 if mode == "fan_in" else 0]
    return math.sqrt(2 / ((1 + slope**2) * fan))


@torch.no_grad()
def _initialise(module: nn.Module, draw: Callable[[Tensor], object]) -> None:
    for layer in _affine_layers(module):
        draw(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _affine_layers(module: nn.Module) -> Iterator[nn.Conv2d | nn.Linear]:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            yield layer
