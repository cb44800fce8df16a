"""Maps that know nothing of the network: what they score, a heat map must beat to say anything."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ibdrop.artifacts.quality import Target, blur, energies, measure, resample

__all__ = ["ceiling", "floors"]

SIGMAS = (3.0, 4.0, 5.5, 7.0, 9.0)
"""Blurs of the sweep, in pixels on a canvas of 96."""

DOUBLINGS = 7
"""Powers 2, 4, ... 128 to which a blurred map is raised, as a colour scale per panel does."""

CANVAS = 96


def floors(images: Tensor, target: Target) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Measures model-free maps of images.

    `uniform`; `centre`, a Gaussian of a quarter of the canvas; `brightness`; and brightness
    blurred and then sharpened, over a sweep of blurs and powers. A power changes no order, so
    the sharpened maps share the rank and the hottest pixel of the blurred one.

    Arguments:
        images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
        target: Where the target is.

    Returns:
        Pairs of a name and the scores of each map.
    """
    brightness = images.double().mean(1) / 255
    height, width = brightness.shape[1:]
    yield "uniform", measure(torch.ones_like(brightness), target)
    centre = torch.outer(_bell(height), _bell(width)).to(brightness.device)
    yield "centre", measure(centre.expand_as(brightness), target)
    yield "brightness", measure(brightness, target)
    for sigma in SIGMAS:
        smooth = blur(brightness, sigma * min(height, width) / CANVAS)
        smooth = smooth / smooth.amax((1, 2), keepdim=True).clamp_min(1e-300)
        scores = measure(smooth, target)
        yield f"blurred brightness {sigma:g}", scores
        for doubling in range(1, DOUBLINGS + 1):
            smooth = smooth.square()
            name = f"sharpened brightness {sigma:g}^{2**doubling}"
            yield name, scores | energies(smooth, target)


def _bell(length: int) -> Tensor:
    x = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
    return torch.exp(-0.5 * (x / (length / 4)).square())


def ceiling(target: Target, at: Tensor) -> Tensor:
    """The map of an oracle at a layer's resolution: strokes (or box) pooled to its cells.

    Arguments:
        target: Where the target is.
        at: Any map of the layer, with shape :math:`(B, h, w)`.
    """
    shown = target.strokes if bool(target.strokes.any()) else target.box
    pooled = resample(shown.double(), (at.shape[1], at.shape[2]))
    return resample(pooled, (shown.shape[1], shown.shape[2]))
