"""What is asked of a code beside that it can be decoded."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["contraction", "keep_largest", "sparsity"]


def sparsity(mean: Tensor, rho: float) -> Tensor:
    r"""Gives how far units are from being active with a share :math:`\rho` of all images.

    .. math:: \sum_j \rho \log \frac{\rho}{\hat\rho_j}
        + (1 - \rho) \log \frac{1 - \rho}{1 - \hat\rho_j}

    Reference: Ng, Sparse autoencoder, CS294A lecture notes (2011).

    Arguments:
        mean: The mean activity :math:`\hat\rho_j` of each unit in (0, 1), with shape :math:`(H)`.
        rho: The activity :math:`\rho` in (0, 1) that is asked for.

    Returns:
        Nats, without an axis.
    """
    share = torch.as_tensor(rho, dtype=mean.dtype, device=mean.device)
    on, off = share.log() - mean.log(), torch.log1p(-share) - torch.log1p(-mean)
    return (share * on + (1 - share) * off).sum()


def contraction(y: Tensor, weight: Tensor) -> Tensor:
    r"""Gives how strongly a sigmoid code follows its input.

    .. math:: \Big\| \frac{\partial y}{\partial x} \Big\|_F^2
        = \sum_j [y_j (1 - y_j)]^2 \sum_i W_{ji}^2

    Reference: Rifai et al., Contractive Auto-Encoders, ICML 2011, equation 5.

    Arguments:
        y: Sigmoid units, with shape :math:`(B, H)`.
        weight: The weights :math:`W` from the pixels, with shape :math:`(H, D)`.

    Returns:
        The squared Frobenius norm of each image, with shape :math:`(B)`.
    """
    return (y * (1 - y)).square() @ weight.square().sum(1)


def keep_largest(a: Tensor, k: int) -> Tensor:
    """Zeroes all but the `k` largest units of each image; the gradient goes through those.

    Reference: Makhzani & Frey, k-Sparse Autoencoders, arXiv 1312.5663.

    Arguments:
        a: Units, with shape :math:`(B, H)`.
        k: The number of units that stay, at least 1.
    """
    if k >= a.shape[1]:
        return a
    found = a.topk(k, 1)
    return torch.zeros_like(a).scatter(1, found.indices, found.values)
