"""A blur whose width follows the mask."""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.explain.base import Fill, Perturbation
from ibdrop.explain.blur import blurred, to_pixels
from ibdrop.explain.fills import Movable

__all__ = ["Pyramid"]


class Pyramid(Fill):
    r"""Blurs each pixel the more, the more of it is deleted.

    .. math:: \Phi(x_0; m)(u) = \bigl(g_{\sigma(u)} * x_0\bigr)(u), \qquad
              \sigma(u) = (1 - m(u))\, \sigma_{\max}

    taken from :math:`L` pictures of evenly spaced widths, the first of them the image itself,
    by linear interpolation between two neighbours. Edges are repeated: nothing darkens.

    Arguments:
        sigma: The largest width :math:`\sigma_{\max}` in pixels of a picture of 224 pixels.
        levels: The number of pictures :math:`L`.

    Raises:
        ValueError: The width is not above 0, or there are fewer than two levels.

    Reference:
        Fong, Patrick & Vedaldi, Understanding Deep Networks via Extremal Perturbations and
        Smooth Masks (ICCV 2019, arXiv 1910.08485).
    """

    name = "pyramid"

    def __init__(self, sigma: float = 20.0, levels: int = 8) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma is {sigma:g} px; the widest blur must be above 0.")
        if levels < 2:
            raise ValueError(f"levels is {levels}; it must be at least 2.")
        self.sigma, self.levels = sigma, levels

    def over(self, x: Tensor, index: Tensor) -> Perturbation:
        widest = to_pixels(self.sigma, *x.shape[2:])
        widths = [widest * level / (self.levels - 1) for level in range(self.levels)]
        return _Levels(torch.stack([blurred(x, width) if width else x for width in widths], 1))


class _Levels:
    """Certain images at every width, of shape (B, L, C, H, W)."""

    def __init__(self, levels: Tensor) -> None:
        self.levels = Movable(levels)

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        levels = self.levels(shift)
        depth = (1 - m) * (levels.shape[1] - 1)
        lower = depth.detach().floor().clamp(0, levels.shape[1] - 2)
        place = lower.long()[:, :, None].expand(-1, -1, *levels.shape[2:])
        sharp, soft = (levels.gather(1, place + more) for more in (0, 1))
        return torch.lerp(sharp, soft, (depth - lower)[:, :, None])
