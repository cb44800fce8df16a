"""Concrete Dropout: binary dropout that learns its own rate."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ibdrop.noise.base import Noise, Noisy, widen
from ibdrop.noise.draws import dropout
from ibdrop.noise.moments import relaxed_second_moment
from ibdrop.noise.relaxed import bin_concrete, check_relaxation, kl_bernoulli, logistic, logit

__all__ = ["ConcreteNoise"]


class ConcreteNoise(Noise):
    r"""Dropout with one learned rate :math:`p` per layer: :math:`z = f(x) \, m / (1 - p)`.

    .. math:: m = 1 - \sigma\Big(\frac{\log \frac{p}{1 - p} + \log \frac{u}{1 - u}}{\lambda}\Big),
        \quad u \sim U(0, 1)

    in training, and :math:`m \sim \mathrm{Bernoulli}(1 - p)` in evaluation. On convolutions a
    mask drops a whole channel. Reference: Gal, Hron & Kendall, arXiv 1705.07832, eqs. 3 to 5.

    What beta multiplies is the divergence of the weights from a prior :math:`\mathcal{N}(0,
    l^{-2})`, up to the constant :math:`\log 2` per channel that makes it zero at
    :math:`p = 1/2`, :math:`W = 0`; per output channel :math:`c`, with its bias as one more weight,

    .. math:: \log 2 - H(p) + \frac{l^2 \lVert W_c \rVert^2}{2 (1 - p)}

    It is paid once for the whole training set, so `beta=1` with `beta_units=paper` is the paper's
    objective. (Its code multiplies all by two: :math:`l^2 / N` and :math:`2 / N` belong to twice
    the negative log-likelihood.) The paper drops the inputs of a layer and charges their weights;
    here the outputs are dropped and the weights that make them pay. For an activation with
    :math:`\phi(m y) = m \phi(y)`, such as ReLU, one is the other: an output of this layer is an
    input of the next. Under batch norm the size of :math:`W` has no effect on the output, and
    the price of the weights merely decays them. An optimiser's own weight decay would pull
    :math:`p` towards 1/2.

    Arguments:
        channels: The number of channels (or features) :math:`C`.
        rate: The rate :math:`p` in (0, 1) to start from.
        temperature: The temperature :math:`\lambda > 0` of the relaxation.
        length_scale: The prior's length scale :math:`l`, above 0.
        evaluation: Whether noise drawn in evaluation mode is `hard`, 0 or :math:`1 / (1 - p)`,
            or `soft`, as in training and in the authors' code.

    Raises:
        ValueError: If an argument is out of its range.
    """

    has_kl = True

    def __init__(
        self,
        channels: int,
        *,
        rate: float = 0.1,
        temperature: float = 0.1,
        length_scale: float = 0.01,
        evaluation: Literal["hard", "soft"] = "hard",
    ) -> None:
        super().__init__(channels)
        if not 0 < rate < 1:
            raise ValueError(f"rate={rate}: the rate to start from must be in (0, 1).")
        check_relaxation(temperature, evaluation)
        if not length_scale > 0:
            raise ValueError(f"length_scale={length_scale}: must be above 0.")
        self.temperature = temperature
        self.length_scale = length_scale
        self.evaluation = evaluation
        self.logit = nn.Parameter(torch.tensor(logit(rate)))

    @property
    def rate(self) -> Tensor:
        """The rate :math:`p`, learned so far, as a tensor without dimensions."""
        return torch.sigmoid(widen(self.logit))

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        z = self._masked(f) if sample else f
        return Noisy(z, alpha=self.rate.expand_as(f))

    def price(self, affine: nn.Conv2d | nn.Linear) -> Tensor:
        square = widen(affine.weight).flatten(1).square().sum(1)
        if affine.bias is not None:
            square = square + widen(affine.bias).square()
        logit = widen(self.logit)
        decay = self.length_scale**2 / 2 / torch.sigmoid(-logit)
        return kl_bernoulli(logit.abs(), 0.5) + decay * square

    def second_moment(self, raw_sd: float = 0.0) -> float:
        r""":math:`\mathrm{E}[m^2] / (1 - p)^2`; of a hard mask it is :math:`1 / (1 - p)`."""
        keep = 1 - float(self.rate.detach())
        return relaxed_second_moment(keep, self.temperature) / keep**2

    def _masked(self, f: Tensor) -> Tensor:
        if not self.training and self.evaluation == "hard":
            return dropout(f, self.rate, True)
        units = torch.atleast_3d(f).flatten(2)
        keep = -widen(self.logit)
        m = bin_concrete(keep, logistic(units[..., :1]), self.temperature)
        z: Tensor = units * (m / torch.sigmoid(keep)).to(f.dtype)
        return z.view_as(f)

    def extra_repr(self) -> str:
        return (
            f"temperature={self.temperature}, length_scale={self.length_scale}, "
            f"evaluation={self.evaluation}"
        )
