"""Independent weights whose variance makes up for what the activation takes away."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from ibdrop.initialisers.fans import Adjust, Affine, Mode, fan, normal, redraw, uniform
from ibdrop.initialisers.gains import AUTO, check_gain, gain_of
from ibdrop.initialisers.wiring import Place, rescale, wiring

__all__ = ["he_normal", "he_uniform", "follow", "scaled"]

CUT = 2.0
"""Where a truncated normal ends, in standard deviations of the whole one."""

LEFT = 0.87962566103423978
"""The standard deviation of what is left of a standard normal cut at 2."""


def he_normal(
    module: nn.Module,
    *,
    mode: Mode = "fan_in",
    gain: str | float = "relu",
    slope: float = 0.0,
    truncated: bool = False,
) -> Adjust | None:
    r"""Normal with variance :math:`g^2 / \mathrm{fan}`, where ReLU has :math:`g^2 = 2`.

    With a slope :math:`s` below zero :math:`g^2 = 2 / (1 + s^2)`; for other gains see
    `ibdrop.initialisers.gains`. The first layer, which no activation precedes, and the last one
    before the softmax get the same gain, as in the paper.

    With `gain="auto"` each layer has its own, read from the network at work: that of the
    activation before it with `fan_in` or `fan_avg`, of the one after it with `fan_out`. A PReLU's
    slope is read too, and where there is no activation the gain is 1.

    Reference: He et al., Delving deep into rectifiers, arXiv 1502.01852.

    Arguments:
        module: The model.
        mode: `fan_in` keeps the variance of activations, `fan_out` that of gradients, `fan_avg`
            is the mean of the fans.
        gain: The name of an activation, a number, or `auto`.
        slope: The slope :math:`s` of a leaky or parametric ReLU below zero.
        truncated: Whether the normal is cut at two standard deviations and widened to the same
            variance, as Keras does.

    Returns:
        What must see the network at work with `gain="auto"`, else `None`.

    Raises:
        ValueError: If `mode` or `gain` is unknown, or a gain with a slope has none.
    """
    return scaled(module, _cut_normal if truncated else normal, mode, gain, slope)


def he_uniform(
    module: nn.Module,
    *,
    mode: Mode = "fan_in",
    gain: str | float = "relu",
    slope: float = 0.0,
) -> Adjust | None:
    r"""Uniform within :math:`g \sqrt{3 / \mathrm{fan}}`, the variance of `he_normal`.

    Arguments:
        module: The model.
        mode: `fan_in` keeps the variance of activations, `fan_out` that of gradients, `fan_avg`
            is the mean of the fans.
        gain: The name of an activation, a number, or `auto`, see `he_normal`.
        slope: The slope :math:`s` of a leaky or parametric ReLU below zero.

    Returns:
        What must see the network at work with `gain="auto"`, else `None`.

    Raises:
        ValueError: If `mode` or `gain` is unknown, or a gain with a slope has none.
    """
    return scaled(module, uniform, mode, gain, slope)


def scaled(
    module: nn.Module,
    draw: Callable[[Affine, float], None],
    mode: str,
    gain: str | float,
    slope: float,
) -> Adjust | None:
    r"""Draws all weights with the standard deviation :math:`g / \sqrt{\mathrm{fan}}`.

    Arguments:
        module: The model.
        draw: Draws the weights of a layer with a standard deviation.
        mode: The fan.
        gain: :math:`g` as a name or number; with `auto` ReLU's until the network was seen.
        slope: The slope below zero.
    """
    check_gain(gain, slope, auto=True)
    g = gain_of("relu" if gain == AUTO else gain, slope)
    redraw(module, lambda layer: draw(layer, g / math.sqrt(fan(layer, mode))))
    return follow(module, after=mode == "fan_out") if gain == AUTO else None


def follow(module: nn.Module, *, after: bool = False) -> Adjust:
    """Replaces ReLU's gain in each layer by that of the activation at hand.

    Arguments:
        module: The model, drawn with the gain of ReLU.
        after: Whether the activation after a layer counts, not the one before.
    """

    def factor(place: Place) -> float:
        return (place.after if after else place.before) / math.sqrt(2)

    def adjust(inputs: Tensor) -> None:
        rescale(module, {name: factor(place) for name, place in wiring(module, inputs).items()})

    return adjust


def _cut_normal(layer: Affine, deviation: float) -> None:
    whole = deviation / LEFT
    nn.init.trunc_normal_(layer.weight, std=whole, a=-CUT * whole, b=CUT * whole)
