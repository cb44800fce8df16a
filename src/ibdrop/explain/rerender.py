"""Clutter drawn again: what is deleted makes room for more of the same kind."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from ibdrop.data.base import ImageSet
from ibdrop.explain.base import Fill, Perturbation
from ibdrop.explain.fills import Blend

__all__ = ["Rerender"]


class Rerender(Fill):
    r"""Deletes into a canvas whose clutter the generator has drawn again, without a target.

    .. math:: \Phi(x_0; m) = m\, x_0 + (1 - m)\, r_t

    where :math:`r_t` is draw number :math:`t` modulo `draws` at step :math:`t` of the
    optimisation. No other fill looks like what the network has learnt from. Negative steps are
    for judging: step :math:`-n` sees draw number :math:`\mathit{draws} + n - 1`, which no step
    of an optimisation ever does. A draw is a function of the seed of the set, its number and the
    number of the image, and is rendered when it is first wanted.

    Arguments:
        images: The set the images are from; its clutter must come from a generator.
        draws: The number of renderings that an optimisation sees of each image.

    Raises:
        ValueError: `draws` is below 1; from `over`: the set has no clutter to draw again.
    """

    name = "rerender"
    random: ClassVar[bool] = True

    def __init__(self, images: ImageSet, draws: int = 16) -> None:
        if draws < 1:
            raise ValueError(f"draws is {draws}; it must be at least 1.")
        self.images, self.draws = images, draws

    def over(self, x: Tensor, index: Tensor) -> Perturbation:
        drawn = _Redrawn(self.images, self.draws, x, index.cpu())
        drawn(0)
        return Blend(x, drawn)


class _Redrawn:
    """Renderings of certain images, made when they are wanted and kept as bytes."""

    def __init__(self, images: ImageSet, draws: int, x: Tensor, index: Tensor) -> None:
        self.images, self.draws = images, draws
        self.x, self.index = x, index
        self.made: dict[int, Tensor] = {}

    def __call__(self, step: int) -> Tensor:
        """What fills these images at a step, as pixels in [0, 1] of shape (B, C, H, W)."""
        number = step % self.draws if step >= 0 else self.draws - step - 1
        if number not in self.made:
            drawn = self.images.clutter(self.index, number).to(self.x.device)
            if drawn.shape != self.x.shape:
                raise ValueError(
                    f"the pictures are {list(self.x.shape)}, but their set draws clutter of"
                    f" {list(drawn.shape)}; the fill rerender needs pictures of its own set."
                )
            self.made[number] = drawn
        return self.made[number].to(self.x.dtype) / 255
