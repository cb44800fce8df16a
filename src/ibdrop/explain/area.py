"""What keeps a mask at its area: its sorted values against a step."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["area_penalty"]


def area_penalty(e: Tensor, share: Tensor) -> Tensor:
    r"""How far masks are from being 1 on a share of the picture and 0 on the rest.

    .. math:: R_a(e) = \frac{1}{HW} \Bigl(\sum_u e_u^2 - 2 \sum_{j > (1 - a) HW} \mathrm{sort}(e)_j
              + a HW\Bigr)

    which is the mean squared distance of the sorted values to a step; a share that is no whole
    number of pixels takes part of one. Pixels equal to the threshold share what is left evenly.

    Arguments:
        e: Masks in [0, 1], with shape :math:`(B, A, H, W)`.
        share: The area :math:`a` of each, with shape :math:`(B, A)` or :math:`(A)`.

    Returns:
        The penalties, with shape :math:`(B, A)`.
    """
    flat = e.flatten(2)
    total = flat.shape[2]
    count = share.expand(flat.shape[:2])[..., None] * total
    with torch.no_grad():
        rank = (count.ceil().long() - 1).clamp_(0, total - 1)
        threshold = flat.sort(2, descending=True).values.gather(2, rank)
        above, tied = flat > threshold, flat == threshold
        part = (count - above.sum(2, keepdim=True)) / tied.sum(2, keepdim=True)
        wanted = torch.where(tied, part, above.to(e.dtype))
    return ((flat.square() - 2 * wanted * flat).sum(2) + count[..., 0]) / total
