"""He's initialisation for layers whose input is noisy."""

from __future__ import annotations

import logging
import math
from typing import Literal

from torch import Tensor, nn

from ibdrop.initialisers.fans import Adjust, normal, uniform
from ibdrop.initialisers.gains import gain_of
from ibdrop.initialisers.he import scaled
from ibdrop.initialisers.wiring import rescale, wiring

__all__ = ["noisy_he"]

log = logging.getLogger(__name__)


def noisy_he(
    module: nn.Module,
    *,
    gain: str | float = "relu",
    slope: float = 0.0,
    distribution: Literal["normal", "uniform"] = "normal",
    raw_sd: float | None = None,
) -> Adjust:
    r"""He's variance over the second moment of the noise on the input of each layer.

    .. math:: \mathrm{Var}[w] = \frac{g^2}{\mu_2 \, \mathrm{fan_{in}}}, \quad
        \mu_2 = \mathrm{E}[\varepsilon^2]

    Multiplicative noise adds to the mean square of what it falls on, :math:`\mathrm{E}[z^2] =
    \mu_2 \, \mathrm{E}[f^2]`, layer after layer: under plain He the signal and its gradient
    explode as the product of all :math:`\mu_2`. With binary dropout that keeps a share :math:`p`
    this is :math:`2 p / \mathrm{fan_{in}}` for ReLU. A layer without noise on its input, such as
    the first, gets plain He. With the noise off, the signal shrinks by :math:`\mu_2` per noisy
    layer instead: no scale serves both. A norm after the layer makes all of it void, and pooling
    after the noise averages some away that is counted here.

    Of noise that depends on the image, :math:`\mu_2` is that at the start: averaged over a raw map
    :math:`a \sim \mathcal{N}(0, s^2)`, since the raw maps read the same input as the layer beside
    them, with weights of the same variance. So :math:`s^2 = g^2 \, \mathrm{E}[x^2]` for inputs
    :math:`x` of the network, and stays that through the net.

    Reference: Pretorius, Van Biljon, Kroon & Kamper, Critical initialisation for deep signal
    propagation in noisy rectifier neural networks, arXiv 1811.00293.

    Arguments:
        module: The model.
        gain: :math:`g`, the name of an activation or a number. Only ReLU and its leaky kin keep
            any mean square; see `ibdrop.initialisers.gains`.
        slope: The slope of a leaky or parametric ReLU below zero.
        distribution: `normal` or `uniform`.
        raw_sd: :math:`s`; `None` takes it from the inputs.

    Returns:
        What must see the network at work: it finds the noise before each layer.

    Raises:
        ValueError: If an argument is unknown or out of its range.
    """
    draws = {"normal": normal, "uniform": uniform}
    if distribution not in draws:
        raise ValueError(f"distribution={distribution}: must be one of {', '.join(draws)}.")
    if raw_sd is not None and not 0 <= raw_sd < math.inf:
        raise ValueError(f"raw_sd={raw_sd}: a standard deviation must be a number of at least 0.")
    g = gain_of(gain, slope)
    scaled(module, draws[distribution], "fan_in", g, 0.0)

    def adjust(inputs: Tensor) -> None:
        s = g * float(inputs.square().mean().sqrt()) if raw_sd is None else raw_sd
        moments = {name: place.moment for name, place in wiring(module, inputs, s).items()}
        rescale(module, {name: 1 / math.sqrt(moment) for name, moment in moments.items()})
        listed = ", ".join(f"{name} {moment:.4g}" for name, moment in moments.items())
        log.info("noisy_he: second moments of the noise before each layer: %s", listed)

    return adjust
