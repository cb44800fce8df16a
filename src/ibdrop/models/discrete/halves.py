"""Which part of an image a network is shown, and which it has to give."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["SURE", "Halves"]

SURE = 1e-3
"""How near to 0 or 1 a pixel's mean may come that is turned into a logit."""


class Halves:
    """Cuts images into what is shown and what is predicted: all and all, or top and bottom.

    Arguments:
        image_shape: Channels, height and width.
        target: `whole` or `bottom`.

    Raises:
        ValueError: There is no such target, or no second half.
    """

    def __init__(self, image_shape: tuple[int, int, int], target: str) -> None:
        if target not in ("whole", "bottom"):
            raise ValueError(f"target={target}: must be one of whole, bottom.")
        channels, height, width = image_shape
        if target == "bottom" and height < 2:
            raise ValueError("target=bottom: the images must be at least 2 pixels high.")
        self.rows = height // 2 if target == "bottom" else 0
        self.shown_shape = (channels, self.rows or height, width)
        self.predicted_shape = (channels, height - self.rows, width)
        self.inputs, self.outputs = math.prod(self.shown_shape), math.prod(self.predicted_shape)

    def shown(self, x: Tensor) -> Tensor:
        """What the network is shown of images, with shape :math:`(B, C, h, W)`."""
        return x[:, :, : self.rows] if self.rows else x

    def predicted(self, x: Tensor) -> Tensor:
        """What it has to give, with shape :math:`(B, C, h, W)`."""
        return x[:, :, self.rows :]

    def image(self, output: Tensor, x: Tensor | None = None) -> Tensor:
        """Completes what was predicted to images of logits.

        Arguments:
            output: The logits of the predicted pixels, with shape :math:`(B, P)`.
            x: The images of which part was shown; without them that part has logit 0.

        Returns:
            Logits with shape :math:`(B, C, H, W)`.
        """
        below = output.reshape(-1, *self.predicted_shape)
        if not self.rows:
            return below
        if x is None:
            above = below.new_zeros(len(below), *self.shown_shape)
        else:
            above = torch.logit(self.shown(x).to(below.dtype), SURE)
        return torch.cat([above, below], dim=2)
