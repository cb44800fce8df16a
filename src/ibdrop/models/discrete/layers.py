"""Stacks of discrete layers: drawn from below to encode, from above as the prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ibdrop.models.discrete.estimators import Draw
from ibdrop.models.discrete.units import Units

__all__ = ["Centre", "Chain", "Prior", "affine"]

DECAY = 0.9


def affine(features: int, outputs: int, linear: bool) -> nn.Sequential:
    """A linear map, or one behind two tanh layers as wide as its input."""
    layers: list[nn.Module] = []
    for _ in range(0 if linear else 2):
        layers += [nn.Linear(features, features), nn.Tanh()]
    return nn.Sequential(*layers, nn.Linear(features, outputs))


class Centre(nn.Module):
    r"""Subtracts a running mean, :math:`c \leftarrow 0.9 \, c + 0.1 \, \bar x`, in training.

    The mean has no gradient, and stays as it is in evaluation.

    Reference: Maddison, Mnih & Teh, arXiv 1611.00712, appendix on the experiments.

    Arguments:
        features: The number of activities.
    """

    mean: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        """Centres activities of shape :math:`(*, F)`."""
        if self.training:
            batch = x.detach().flatten(0, -2).mean(0)
            self.mean.lerp_(batch.to(self.mean.dtype), 1 - DECAY)
        return x - self.mean


class Chain(nn.Module):
    """Layers of discrete units, each of which reads a draw of the one before.

    Arguments:
        features: The number of inputs.
        sizes: The number of units of each layer, that next to the input first.
        units: What the units are.
        linear: Whether the maps between are linear, or have two tanh layers.
        centred: Whether what each map reads is centred.
    """

    def __init__(
        self, features: int, sizes: Sequence[int], units: Units, linear: bool, centred: bool
    ) -> None:
        super().__init__()
        self.units = units
        widths = [features, *(size * units.outputs for size in sizes)]
        self.centres = nn.ModuleList(
            Centre(width) if centred else nn.Identity() for width in widths[:-1]
        )
        self.maps = nn.ModuleList(
            affine(width, size * units.logits, linear)
            for width, size in zip(widths, sizes, strict=False)
        )

    def first(self, x: Tensor) -> Tensor:
        """The logits of the first layer for inputs of shape :math:`(*, F)`."""
        return self._logits(0, x)

    def forward(self, x: Tensor, m: int, draw: Callable[[Tensor], Draw]) -> list[Draw]:
        """Draws all layers.

        Arguments:
            x: Inputs, with shape :math:`(B, F)`.
            m: How often all images are drawn.
            draw: Draws a layer from its logits.

        Returns:
            Each layer, with shapes that begin with :math:`m B`: all images, then all again.
        """
        logits = self.first(x)
        drawn = [draw(logits.repeat(m, *(1 for _ in logits.shape[1:])))]
        for number in range(1, len(self.maps)):
            drawn.append(draw(self._logits(number, self.units.embed(drawn[-1].state))))
        return drawn

    def _logits(self, number: int, read: Tensor) -> Tensor:
        return self.units.split(self.maps[number](self.centres[number](read)))


class Prior(nn.Module):
    """The distribution of the layers from the top down; that of the top does not depend on x.

    Arguments:
        sizes: The number of units of each layer, that next to the pixels first.
        units: What the units are.
        linear: Whether the maps between are linear, or have two tanh layers.
        learned: Whether the logits of the top layer are learned, from 0, or stay there.
    """

    top: Tensor

    def __init__(self, sizes: Sequence[int], units: Units, linear: bool, learned: bool) -> None:
        super().__init__()
        self.units = units
        logits = units.split(torch.zeros(sizes[-1] * units.logits))
        if learned:
            self.top = nn.Parameter(logits)
        else:
            self.register_buffer("top", logits)
        self.maps = nn.ModuleList(
            affine(above * units.outputs, below * units.logits, linear)
            for below, above in zip(sizes, sizes[1:], strict=False)
        )

    def forward(self, states: Sequence[Tensor]) -> list[Tensor]:
        """The logits of each layer, given the states of all, the lowest first."""
        above = zip(self.maps, states[1:], strict=True)
        return [*(self.logits(layer, state) for layer, state in above), self.top]

    def logits(self, layer: nn.Module, state: Tensor) -> Tensor:
        """The logits below a layer in this state."""
        return self.units.split(layer(self.units.embed(state)))

    def draw(self, count: int) -> Tensor:
        """Draws states of the lowest layer, with shape (count, H) or (count, H, n)."""
        state = self.units.draw(self.top.expand(count, *self.top.shape))
        for layer in reversed(self.maps):
            state = self.units.draw(self.logits(layer, state))
        return state
