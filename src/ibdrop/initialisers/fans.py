r"""What every initialisation walks over: the layers with weights, and their fans.

For a linear layer the fans are its inputs and outputs; for a convolution of kernel k x k in
:math:`g` groups :math:`k^2 c_{in} / g` and :math:`k^2 c_{out} / g`. (torch's own helper does not
divide the latter by :math:`g`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["MODES", "Adjust", "Affine", "Mode", "affine_layers", "blocks", "fan", "fans", "redraw"]

Affine = nn.Conv2d | nn.Linear

Mode = Literal["fan_in", "fan_out", "fan_avg"]
MODES = ("fan_in", "fan_out", "fan_avg")

Adjust = Callable[[Tensor], None]
"""The second half of an initialisation that must see the network work on a batch of inputs.

Such a function draws the weights and returns this; called with inputs (B, C, H, W) as the network
reads them, on its device, it brings the weights to their final scale. Building a run does both.
"""


def fans(layer: Affine) -> tuple[int, int]:
    """How many weights end in one output, and how many leave one input.

    Arguments:
        layer: A convolution or linear layer; groups count.

    Returns:
        The fan-in and the fan-out.
    """
    positions = layer.weight[0, 0].numel()
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return positions * layer.weight.shape[1], positions * layer.weight.shape[0] // groups


def fan(layer: Affine, mode: str) -> float:
    """One of the fans, or with `fan_avg` their mean.

    Raises:
        ValueError: If `mode` is none of the three.
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode}: must be one of {', '.join(MODES)}.")
    enter, leave = fans(layer)
    return {"fan_in": enter, "fan_out": leave, "fan_avg": (enter + leave) / 2}[mode]


def affine_layers(module: nn.Module) -> Iterator[tuple[str, Affine]]:
    """Every convolution and linear layer with its name, the raw maps of a noise included."""
    for name, layer in module.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            yield name, layer


@torch.no_grad()
def redraw(module: nn.Module, draw: Callable[[Affine], object]) -> None:
    """Draws the weights of every layer in place and sets the biases to zero.

    Arguments:
        module: The model.
        draw: Changes the weights of one layer.
    """
    for _, layer in affine_layers(module):
        draw(layer)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def normal(layer: Affine, deviation: float) -> None:
    """Draws weights from a normal distribution of this standard deviation."""
    nn.init.normal_(layer.weight, std=deviation)


def uniform(layer: Affine, deviation: float) -> None:
    r"""Draws weights uniformly within :math:`\sqrt 3` times this standard deviation."""
    bound = math.sqrt(3) * deviation
    nn.init.uniform_(layer.weight, -bound, bound)


def blocks(layer: Affine) -> tuple[Tensor, ...]:
    """The weights of each group, as views with shape (c_out / g, c_in / g, ...)."""
    return layer.weight.chunk(layer.groups if isinstance(layer, nn.Conv2d) else 1)
