"""Sparse variational dropout: each weight learns its noise, and those that drown in it go."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ibdrop.noise.base import Noise, Noisy
from ibdrop.noise.gaussian_kl import kl_exact, kl_sigmoid
from ibdrop.noise.weights import perturbed

__all__ = ["CLAMP", "SparseVariationalNoise"]

CLAMP = 8.0
"""Log alpha is read as at most this, which also keeps it finite where a weight is zero.

The authors' code clips at -8 too. There the gradient of the price would end, weights would stay
that only escaped it, and the objective would be no bound.
"""

KLS: dict[str, Callable[[Tensor], Tensor]] = {"approximate": kl_sigmoid, "exact": kl_exact}


class SparseVariationalNoise(Noise):
    r"""Puts independent noise into each weight, :math:`w \sim \mathcal{N}(\theta, \sigma^2)`.

    .. math:: y = \theta x + \sqrt{\sigma^2 (x \circ x)} \, n, \quad
        \log \alpha = \log \sigma^2 - \log \theta^2

    Learned are :math:`\theta`, the weights of the layer, and :math:`\log \sigma^2`, by which the
    gradient of :math:`\theta` is far less noisy than by alpha. The price of a weight is the
    divergence of :math:`\mathcal{N}(1, \alpha)` from the log-uniform prior, zero for infinite
    alpha (`ibdrop.noise.gaussian_kl`): it drives alpha up, and a weight whose
    :math:`\log \alpha` passes `threshold` says nothing and may be set to zero, as the `pruning`
    artifact does. The bias has no noise, and the network with the noise off uses all of
    :math:`\theta`. For the draw see `ibdrop.noise.weights`.

    `beta` multiplies the KL summed over weights, which is paid once for all training images:
    `beta=1` with `beta_units=paper` is the bound. A heat map of it is flat. Warm up beta over
    many epochs, lest weights go before they have learned anything, and use Adam: the gradient of
    :math:`\log \sigma^2` is of the order of one over the number of training images. Weight decay
    pulls :math:`\log \sigma^2` to zero, hence the noise up.

    Reference: Molchanov, Ashukha & Vetrov, Variational Dropout Sparsifies Deep Neural Networks,
    arXiv 1701.05369, section 4.

    Arguments:
        channels: The number of output channels (or features) :math:`C`.
        kl: `approximate`, the published one, or `exact`.
        threshold: The :math:`\log \alpha` above which a weight is pruned, in [-8, 8); 3 is the
            noise of binary dropout at a rate of 0.95.
        initial_log_sigma2: :math:`\log \sigma^2` at the start.

    Raises:
        ValueError: If an argument is out of its range.
    """

    has_kl = True
    log_sigma2: nn.Parameter

    def __init__(
        self,
        channels: int,
        *,
        kl: str = "approximate",
        threshold: float = 3.0,
        initial_log_sigma2: float = -10.0,
    ) -> None:
        super().__init__(channels)
        if kl not in KLS:
            raise ValueError(f"kl={kl}: must be one of {', '.join(KLS)}.")
        if not -CLAMP <= threshold < CLAMP:
            raise ValueError(f"threshold={threshold:g}: must be in [-8, 8).")
        if not -40 <= initial_log_sigma2 <= 10:
            raise ValueError(f"initial_log_sigma2={initial_log_sigma2:g}: must be in [-40, 10].")
        self.kl, self.threshold, self.initial_log_sigma2 = kl, threshold, initial_log_sigma2

    def attach(self, affine: nn.Conv2d | nn.Linear) -> None:
        self.log_sigma2 = nn.Parameter(
            torch.full_like(affine.weight, self.initial_log_sigma2, requires_grad=False)
        )

    def affine(self, x: Tensor, affine: nn.Conv2d | nn.Linear, sample: bool) -> Tensor:
        if not sample:
            return super().affine(x, affine, sample)
        return perturbed(x, affine, torch.exp(self.log_sigma2))

    def price(self, affine: nn.Conv2d | nn.Linear) -> Tensor:
        return KLS[self.kl](self.log_alpha(affine)).flatten(1).sum(1)

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        return Noisy(f)

    def log_alpha(self, affine: nn.Conv2d | nn.Linear) -> Tensor:
        r""":math:`\log \alpha`, at most 8, in the shape of the weights of the layer."""
        log_theta2 = torch.log(affine.weight.square() + 1e-16)
        return (self.log_sigma2 - log_theta2).clamp(max=CLAMP)

    def kept(self, affine: nn.Conv2d | nn.Linear) -> Tensor:
        """Which weights of the layer stay when it is pruned, in their shape."""
        return self.log_alpha(affine) <= self.threshold

    def extra_repr(self) -> str:
        return (
            f"kl={self.kl}, threshold={self.threshold:g}, "
            f"initial_log_sigma2={self.initial_log_sigma2:g}"
        )
