"""What every multiplicative noise has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["Noise", "NoiseFactory", "Noisy", "standard_normal", "widen"]


class Noisy(NamedTuple):
    """A noisy activation and what it costs; KL travels with the activation.

    Attributes:
        z: The activation after the noise, with shape :math:`(B, C, *)`.
        kl: KL divergence from the prior in nats per unit, with the shape of `z`;
            `None` where the noise carries no information term.
        alpha: The standard deviation of the log noise per unit, with the shape of `z`;
            `None` where the noise has no such parameter.
        cap: The largest value `alpha` can take, at which the unit carries nothing;
            `None` where there is no such value.
    """

    z: Tensor
    kl: Tensor | None = None
    alpha: Tensor | None = None
    cap: float | None = None


class Noise(nn.Module, ABC):
    r"""Multiplies an activation by random noise, :math:`z = \varepsilon \cdot f(x)`.

    A layer computes :math:`f(x)` and, if the noise asks for them, `maps` raw maps
    :math:`a(x)` per unit from the same input :math:`x`; the noise sees only these. So one class
    serves convolutions and linear layers alike.

    Attributes:
        maps: The number of raw maps per unit that the layer must compute for this noise.
        positive: Whether :math:`f(x) > 0` is required, as with a log-normal prior.
        has_kl: Whether `forward` returns a KL term; `beta` has no effect where it does not.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
    """

    maps: ClassVar[int] = 0
    positive: bool = False
    has_kl: bool = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    @abstractmethod
    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        r"""Applies the noise.

        Arguments:
            f: The activation :math:`f(x)`, with shape :math:`(B, C, *)`.
            a: The raw maps :math:`a(x)`, with shape :math:`(B, \mathrm{maps} \cdot C, *)`,
                or `None` if `maps` is 0.
            sample: Whether to draw noise; if not, :math:`\varepsilon = 1` and `z` is exactly `f`.
        """


NoiseFactory = Callable[[int], Noise]
"""Makes the noise of one layer from its number of channels."""


def widen(x: Tensor) -> Tensor:
    """Gives `x` in float32, or as it is where it is finer: logarithms do not survive bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def standard_normal(like: Tensor) -> Tensor:
    """Draws from N(0, 1) in the shape and layout of `like`, in float32 at least.

    Channels-last memory is filled through its contiguous view: on the CPU that is eight times
    faster than drawing in the order of the axes.
    """
    n = torch.empty_like(like, dtype=torch.promote_types(like.dtype, torch.float32))
    rows = n.permute(0, 2, 3, 1) if n.ndim == 4 and not n.is_contiguous() else n
    rows.normal_()
    return n
