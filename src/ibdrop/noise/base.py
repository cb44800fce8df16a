"""What every noise has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ibdrop.noise.draws import leaf

__all__ = ["Noise", "NoiseFactory", "Noisy", "spread", "widen"]


class Noisy(NamedTuple):
    r"""A noisy activation and what it costs; KL travels with the activation.

    Attributes:
        z: The activation after the noise, with shape :math:`(B, C, *)`.
        kl: KL divergence from the prior in nats per unit, with the shape of `z`;
            `None` where the noise carries no information term.
        alpha: The strength of the noise per unit, with the shape of `z` or broadcast to it, as
            the noise defines it (for log-normal noise the standard deviation of
            :math:`\log \varepsilon`); `None` where it is no parameter.
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
    serves convolutions and linear layers alike. Draws come from `ibdrop.noise.draws`, or from
    torch's own functions.

    A noise may also live in the weights of its layer: then it overrides `attach`, to make
    parameters of their shape, `affine`, to draw the map :math:`W x`, and `price`.

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

    def attach(self, affine: nn.Conv2d | nn.Linear) -> None:
        """Sees the affine map of its layer, once, when the layer is made; keeps no reference."""

    def affine(self, x: Tensor, affine: nn.Conv2d | nn.Linear, sample: bool) -> Tensor:
        """Computes :math:`W x`, before norm and activation; noise in the weights enters here.

        Arguments:
            x: The input of the layer.
            affine: The affine map of the layer.
            sample: Whether to draw noise; if not, the weights are their means.
        """
        y: Tensor = affine(x)
        return y

    def price(self, affine: nn.Conv2d | nn.Linear) -> Tensor | None:
        """KL in nats per output channel where it belongs to the weights, with shape :math:`(C)`.

        It is paid once for the whole training set, so `beta=1` with `beta_units=paper`, which
        divides by the number of training images, makes the variational bound.

        Arguments:
            affine: The affine map of the layer.
        """
        return None

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r"""By how much the noise, as drawn in training, multiplies the mean square of a layer.

        For noise on the activation :math:`\mu_2 = \mathrm{E}[\varepsilon^2]`, with its parameters
        as they are; 1 where a noise says nothing of it.

        Arguments:
            raw_sd: The standard deviation :math:`s` of the raw maps, over whose draws
                :math:`a \sim \mathcal{N}(0, s^2)` noise that depends on the input is averaged;
                0 takes it at :math:`a = 0`.
        """
        return 1.0

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


@leaf
def widen(x: Tensor) -> Tensor:
    """Gives `x` in float32, or as it is where it is finer: logarithms do not survive bfloat16."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


@leaf
def spread(price: Tensor, z: Tensor) -> Tensor:
    """Spreads nats per channel evenly over the positions, in the shape of `z`.

    The sum over units is that over channels, for each sample; a heat map of it is flat.

    Arguments:
        price: Nats per channel, with shape :math:`(C)`.
        z: The activation, with shape :math:`(B, C, *)`.
    """
    share = price.reshape(-1, *(1 for _ in z.shape[2:])) / z[0, 0].numel()
    return share.expand_as(z)
