"""The contract of a model, and the layer that all of ours are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.noise.base import Noise, Noisy

__all__ = ["ACTIVATIONS", "NoisyLayer", "Prediction"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "softplus": F.softplus}


class Prediction(NamedTuple):
    """What a classifier returns.

    Attributes:
        logits: Unnormalised log-probabilities, with shape :math:`(B, K)`.
        layers: The output of each noisy layer by name, in order of execution.
    """

    logits: Tensor
    layers: dict[str, Noisy]

    @property
    def kls(self) -> dict[str, Tensor]:
        """KL in nats per unit of each layer that has one, with shape :math:`(B, C, *)`."""
        return {name: layer.kl for name, layer in self.layers.items() if layer.kl is not None}
