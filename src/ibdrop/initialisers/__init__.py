"""Initialisations of the weights of a model, one function each.

All change a model in place: the weights of every convolution and linear layer, those of the raw
maps of a noise included; biases become zero. Norm layers and the noise's own parameters stay.

Some must see the network at work before its weights have their final scale: these return a second
function, to be called with a batch of inputs (`fans.Adjust`). The others return `None`.

Fixup (Zhang et al., arXiv 1901.09321) and SkipInit are for residual networks, of which there are
none here.
"""

from __future__ import annotations

from ibdrop.initialisers.he import he_normal, he_uniform
from ibdrop.initialisers.lsuv import lsuv
from ibdrop.initialisers.noisy import noisy_he
from ibdrop.initialisers.orthogonal import delta_orthogonal, orthogonal
from ibdrop.initialisers.variance import (
    default,
    gaussian001,
    glorot_normal,
    glorot_uniform,
    heuristic_uniform,
    lecun_normal,
    lecun_uniform,
    torch_default,
    tutorial,
)

__all__ = [
    "default",
    "delta_orthogonal",
    "gaussian001",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "heuristic_uniform",
    "lecun_normal",
    "lecun_uniform",
    "lsuv",
    "noisy_he",
    "orthogonal",
    "torch_default",
    "tutorial",
]
