"""Independent weights of a given variance, for activations that are linear near zero, or for none.

All change a model in place: the weights of every convolution and linear layer, those of the raw
maps of a noise included; biases become zero. Norm layers and the noise's own parameters stay.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ibdrop.initialisers.fans import Affine, fan, fans, normal, redraw, uniform

__all__ = [
    "default",
    "gaussian001",
    "glorot_normal",
    "glorot_uniform",
    "heuristic_uniform",
    "lecun_normal",
    "lecun_uniform",
    "torch_default",
    "tutorial",
]


def torch_default(module: nn.Module) -> None:
    r"""Leaves everything as PyTorch made it.

    That is the heuristic of the 1990s, uniform within :math:`1 / \sqrt{\mathrm{fan_{in}}}`: a
    third of LeCun's variance and a sixth of He's. Biases (uniform in the same bounds) stay too.
    """


default = torch_default


def heuristic_uniform(module: nn.Module) -> None:
    r"""Uniform within :math:`1 / \sqrt{\mathrm{fan_{in}}}`, biases zero.

    The "commonly used heuristic" of Glorot & Bengio 2010, eq. 1, derived for nothing: its variance
    is :math:`1 / (3 \, \mathrm{fan_{in}})`. It is often called LeCun's, which is three times as
    large (`lecun_uniform`). PyTorch draws the same weights by default, with random biases.
    """
    redraw(module, lambda layer: uniform(layer, math.sqrt(1 / 3 / fan(layer, "fan_in"))))


def glorot_normal(module: nn.Module) -> None:
    r"""Normal with variance :math:`2 / (\mathrm{fan_{in}} + \mathrm{fan_{out}})`.

    Reference: Glorot & Bengio, Understanding the difficulty of training deep feedforward neural
    networks, AISTATS 2010.
    """
    redraw(module, lambda layer: normal(layer, _glorot_deviation(layer)))


def glorot_uniform(module: nn.Module) -> None:
    r"""Uniform within :math:`\sqrt{6 / (\mathrm{fan_{in}} + \mathrm{fan_{out}})}`.

    The initialisation of the Information Dropout paper's code.
    """
    redraw(module, lambda layer: uniform(layer, _glorot_deviation(layer)))


def lecun_normal(module: nn.Module) -> None:
    r"""Normal with variance :math:`1 / \mathrm{fan_{in}}`, made for units linear near zero.

    Chainer's default, and so the initialisation of the Monte Carlo dropout post. It is also the
    "Xavier" that He et al. compared theirs with. Behind a ReLU it halves the variance with every
    layer, which `he_normal` mends.

    Reference: LeCun, Bottou, Orr & Müller, Efficient BackProp, in Neural Networks: Tricks of the
    Trade, 1998, section 4.6.
    """
    redraw(module, lambda layer: normal(layer, math.sqrt(1 / fan(layer, "fan_in"))))


def lecun_uniform(module: nn.Module) -> None:
    r"""Uniform within :math:`\sqrt{3 / \mathrm{fan_{in}}}`, the variance of `lecun_normal`.

    Not the older heuristic within :math:`1 / \sqrt{\mathrm{fan_{in}}}` (`heuristic_uniform`).
    """
    redraw(module, lambda layer: uniform(layer, math.sqrt(1 / fan(layer, "fan_in"))))


def gaussian001(module: nn.Module, *, std: float = 0.01) -> None:
    """Normal with the same small standard deviation in every layer, whatever its fans.

    AlexNet's. He et al. (arXiv 1502.01852, section 2.2) count how it shrinks the gradient of VGG's
    ten-convolution net to 1/17000.

    Arguments:
        module: The model.
        std: The standard deviation, above 0.

    Raises:
        ValueError: If `std` is not above 0.
    """
    if not 0 < std < math.inf:
        raise ValueError(f"std={std}: a standard deviation must be a number above 0.")
    redraw(module, lambda layer: normal(layer, std))


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

    def draw(layer: Affine) -> None:
        weight = layer.weight
        bound = gain * math.sqrt(6 / sum(fans(layer)))
        drawn = torch.from_numpy(random.uniform(-bound, bound, weight.transpose(0, 1).shape))
        weight.copy_(drawn.transpose(0, 1))

    redraw(module, draw)


def _glorot_deviation(layer: Affine) -> float:
    return math.sqrt(2 / sum(fans(layer)))
