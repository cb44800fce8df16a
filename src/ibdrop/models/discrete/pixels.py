"""Grey pixels made black or white."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from ibdrop.noise.draws import standard_uniform
from ibdrop.splitmix import GOLDEN, mix

__all__ = [
    "BINARISATIONS",
    "Binarisation",
    "binarised",
    "check_binarisation",
    "own_uniform",
    "spoken",
]

Binarisation = Literal["none", "threshold", "static", "dynamic"]
BINARISATIONS: tuple[str, ...] = get_args(Binarisation)

STEPS = 4096
"""Into how many steps a pixel's range is cut: fine enough for a byte over 255 or 256, too coarse
for the last digit of a division, which differs between devices."""


def binarised(x: Tensor, how: str) -> Tensor:
    """Makes pixels 0 or 1; what is 0 or 1 already stays as it is.

    - `none`: as they are.
    - `threshold`: 1 above one half.
    - `static`: 1 with the pixel as its probability, drawn once: the draws of an image are a
      function of its pixels alone, the same in every epoch, process and device.
    - `dynamic`: the same, drawn anew each time; a model does so in training, and judges as with
      `static`.

    Published figures on "binarised MNIST" (Concrete, Gumbel-softmax, VIMCO, importance-weighted
    autoencoders) rest on one fixed draw, Salakhutdinov & Murray's, which has its own file; with
    `static` they are met up to the luck of that draw, with `threshold` not at all: it has less
    entropy.

    Arguments:
        x: Pixels in [0, 1], with shape :math:`(B, *)`.
        how: One of `BINARISATIONS`.
    """
    if how == "none":
        return x
    if how == "threshold":
        return (x > 0.5).to(x.dtype)
    u = own_uniform(x) if how == "static" else standard_uniform(x)
    return (u < x).to(x.dtype)


def own_uniform(x: Tensor) -> Tensor:
    """Draws uniformly from (0, 1) for each pixel, from all pixels of its image.

    Each pixel is a word of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014); the words of an image
    sum to its key, from which its draws follow.

    Arguments:
        x: Pixels in [0, 1], with shape :math:`(B, *)`.
    """
    levels = (x.detach().flatten(1).float() * STEPS).round().long()
    place = torch.arange(1, levels.shape[1] + 1, device=x.device) * GOLDEN
    key = mix(place + levels).sum(1, keepdim=True)
    bits = (mix(key + place) >> 40).bitwise_and((1 << 24) - 1)
    return ((bits.double() + 0.5) / (1 << 24)).view_as(x)


def check_binarisation(how: str, likelihood: str) -> None:
    """Refuses what makes no sense of pixels.

    Raises:
        ValueError: The name is unknown, or pixels made black or white are to be Gaussian.
    """
    if how not in BINARISATIONS:
        raise ValueError(f"binarise={how}: must be one of {', '.join(BINARISATIONS)}.")
    if how != "none" and likelihood != "bernoulli":
        raise ValueError(f"binarise={how}: needs likelihood=bernoulli, not {likelihood}.")


def spoken(how: str, target: str, grey: str) -> str:
    """Says what the likelihood of a network is a likelihood of.

    Arguments:
        how: One of `BINARISATIONS`.
        target: `whole` or `bottom`.
        grey: The words for pixels as they are.
    """
    words = grey if how == "none" else f"pixels made black or white ({how})"
    return words if target == "whole" else f"the lower half given the upper: {words}"
