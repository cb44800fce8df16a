"""Weights that are measured and rescaled on real inputs."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from ibdrop.initialisers.fans import Adjust, Affine, affine_layers
from ibdrop.initialisers.orthogonal import orthogonal
from ibdrop.initialisers.wiring import at_work

__all__ = ["lsuv"]

log = logging.getLogger(__name__)

Hook = Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor]


def lsuv(
    module: nn.Module, *, tolerance: float = 0.1, tries: int = 10, noise_on: bool = False
) -> Adjust:
    r"""Layer-sequential unit variance: orthogonal weights, rescaled on one batch.

    In the order of execution each layer is divided by the standard deviation of its output over
    images, channels and positions, until its variance is within `tolerance` of 1. It needs no
    formula for the activation, so it serves softplus too. That variance is not all between
    images: behind softplus much of it is between units.

    The batch is one of training inputs, keyed by the seed. The network is in evaluation mode
    meanwhile, and comes back in its own; a batch norm then does nothing, and undoes the scale
    later.

    Reference: Mishkin & Matas, All you need is a good init, arXiv 1511.06422, algorithm 1.

    Arguments:
        module: The model.
        tolerance: How far from 1 the variance may stay, in (0, 1).
        tries: How often a layer is rescaled at most.
        noise_on: Whether the noise is on while variances are measured; else the network as it is
            evaluated has unit variances, and in training more.

    Returns:
        What must see the network at work.

    Raises:
        ValueError: If an argument is out of its range; later, if a layer puts out a constant.
    """
    if not 0 < tolerance < 1:
        raise ValueError(f"tolerance={tolerance}: how far the variance is from 1, in (0, 1).")
    if tries < 1:
        raise ValueError(f"tries={tries}: a layer must be rescaled at least once.")
    orthogonal(module, gain="linear")

    @torch.no_grad()
    def adjust(inputs: Tensor) -> None:
        rescaling = _Rescaling(tolerance, tries)
        with at_work(module), ExitStack() as hooks:
            for name, layer in affine_layers(module):
                hook = rescaling.hook(name)
                hooks.callback(layer.register_forward_hook(hook).remove)
            module(inputs, sample=True) if noise_on else module(inputs)
        scales = ", ".join(f"{name} {scale:.4g}" for name, scale in rescaling.scales.items())
        log.info("lsuv: orthogonal weights were multiplied by %s", scales)

    return adjust


class _Rescaling:
    """Rescales a layer the first time that it is called, and lets its new output go on."""

    def __init__(self, tolerance: float, tries: int) -> None:
        self.tolerance, self.tries = tolerance, tries
        self.scales: dict[str, float] = {}

    def hook(self, name: str) -> Hook:
        def rescaled(layer: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> Tensor:
            assert isinstance(layer, nn.Conv2d | nn.Linear)
            return y if name in self.scales else self._rescaled(name, layer, args[0], y)

        return rescaled

    def _rescaled(self, name: str, layer: Affine, x: Tensor, y: Tensor) -> Tensor:
        scale = 1.0
        for _ in range(self.tries):
            variance = float(y.double().var())
            if abs(variance - 1) <= self.tolerance:
                break
            if not 0 < variance < math.inf:
                raise ValueError(
                    f"lsuv cannot rescale {name}, whose output on a training batch has variance "
                    f"{variance:g}; init=he_normal needs no batch."
                )
            layer.weight.div_(math.sqrt(variance))
            scale /= math.sqrt(variance)
            y = layer.forward(x)
        self.scales[name] = scale
        return y
