"""How probable a generative model finds images, from below, by importance sampling."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ibdrop.models.generative import Autoencoder
from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.random import Answering, Rows

__all__ = ["Bounds", "elbo_and_nll", "of_weights"]

TILE = 4096
"""Rows, that is, draws times images, that are decoded at once."""


class Bounds(NamedTuple):
    r"""Lower bounds of :math:`\log p(x)` of each image in nats, float64 with shape (B).

    In expectation over the draws :math:`\mathrm{ELBO} \le L_m \le \log p(x)`, and :math:`L_m`
    rises with :math:`m`; for the very draws used, :math:`\mathrm{ELBO} \le L_m` as well.

    Attributes:
        elbo: The mean of the :math:`m` weights, an unbiased estimate of the ELBO at beta = 1.
        elbo_error: Its Monte Carlo standard error; NaN for a single draw.
        bound: :math:`L_m`; :math:`-L_m` is what papers report as NLL with :math:`m` samples.
        bound_error: Its Monte Carlo standard error to first order; NaN for a single draw. It is
            too small where a few draws carry all the weight, which `effective` tells.
        effective: The effective number of draws, from 1 to :math:`m`.
    """

    elbo: Tensor
    elbo_error: Tensor
    bound: Tensor
    bound_error: Tensor
    effective: Tensor


@torch.no_grad()
def elbo_and_nll(
    model: Autoencoder, x: Tensor, index: Tensor, seed: int, m: int, tile: int = TILE
) -> Bounds | None:
    r"""Estimates the ELBO at beta = 1 and the importance-weighted bound :math:`L_m`.

    .. math:: \mathrm{ELBO} = \frac{1}{m} \sum_j w_j, \quad
        L_m = \log \frac{1}{m} \sum_j e^{w_j}, \quad w_j = \log \frac{p(x, z_j)}{q(z_j | x)}

    Draws are keyed by `seed`, draw, image and unit, so neither batches nor tiles nor the order of
    the images change the result beyond the rounding of matrix products.

    Reference: Burda et al., arXiv 1509.00519, equation 8.

    Arguments:
        model: In evaluation mode.
        x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
        index: The numbers of the images, which key their draws, with shape :math:`(B)`.
        seed: What the draws are keyed by.
        m: The number of codes drawn for each image.
        tile: The most rows, draws times images, that are decoded at once.

    Returns:
        `None` where the prior is no probability distribution: then there is no bound.

    Raises:
        ValueError: `m` or `tile` is below 1, or the model is in training mode.
    """
    if m < 1 or tile < 1:
        raise ValueError(f"m={m}, tile={tile}: both must be at least 1.")
    if any(module.training for module in model.modules()):
        raise ValueError("the model is in training mode; call model.eval() before sampling.")
    draws = Draws(seed, (m,), "row", "independent", x.device)
    images = index.to(x.device)
    parts = []
    for start in range(0, len(x), tile):
        place = slice(start, start + tile)
        weights = _weights(model, x[place], images[place], draws, m, tile)
        if weights is None:
            return None
        parts.append(of_weights(weights))
    return Bounds(*(torch.cat(column) for column in zip(*parts, strict=True)))


def of_weights(w: Tensor) -> Bounds:
    r"""Gives the bounds from log-weights.

    The errors are :math:`\mathrm{sd}(w) / \sqrt m` and, with :math:`v_j = e^{w_j}`,
    :math:`\sqrt{(m \sum v_j^2 / (\sum v_j)^2 - 1) / (m - 1)}`. The effective number of draws is
    :math:`(\sum v_j)^2 / \sum v_j^2`.

    Arguments:
        w: Nats, with shape :math:`(m, B)`.
    """
    w = w.double()
    m = len(w)
    total = w.logsumexp(0)
    concentration = ((2 * w).logsumexp(0) - 2 * total).exp()
    if m == 1:
        nan = torch.full_like(total, math.nan)
        return Bounds(total, nan, total, nan, concentration)
    spread = ((m * concentration - 1).clamp_min(0) / (m - 1)).sqrt()
    return Bounds(
        w.mean(0), w.std(0) / math.sqrt(m), total - math.log(m), spread, 1 / concentration
    )


def _weights(
    model: Autoencoder, x: Tensor, images: Tensor, draws: Draws, m: int, tile: int
) -> Tensor | None:
    """All weights of some images in float64, with shape (m, B), a few draws at a time."""
    each = max(1, tile // len(x))
    parts = []
    for first in range(0, m, each):
        passes = range(first, min(first + each, m))
        source = Rows(draws, passes, images, lifted=False)
        with drawing_from(source), Answering(source):
            found = model.log_weights(x, len(passes))
        if found is None:
            return None
        parts.append(found.double())
    return torch.cat(parts)
