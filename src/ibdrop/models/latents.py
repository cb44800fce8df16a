r"""The random code of a VAE: what is drawn, against which prior, and at what price.

Both codes here are a normal variable in disguise,
:math:`\zeta \sim \mathcal{N}(\mu(x), \sigma^2(x))`: the Gaussian one is :math:`z = \zeta`, that of
Information Dropout :math:`z = e^\zeta`. Neither densities nor divergences are taken of :math:`z`
where those of :math:`\zeta` will do: between the two lies a Jacobian that is the same for
posterior and prior, and cancels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ibdrop.information import kl_log_normal_of_logs
from ibdrop.models.base import NoisyLayer
from ibdrop.noise.base import Noise, Noisy, widen
from ibdrop.noise.draws import standard_normal
from ibdrop.noise.information import SMALLEST_F, InformationNoise

__all__ = ["GaussianLatent", "InformationLatent", "Latent"]


class Latent(nn.Module, ABC):
    r"""Draws a code :math:`z` of :math:`K` units from a representation :math:`h` of :math:`x`.

    Attributes:
        proper: Whether the prior is a probability distribution.
        weight: The weights from the representation to the location, with shape (K, D).
    """

    proper: bool

    @abstractmethod
    def forward(self, h: Tensor, sample: bool) -> Noisy:
        """Draws the code, or gives its median.

        Arguments:
            h: The representation, with shape :math:`(B, D)`.
            sample: Whether to draw.
        """

    @abstractmethod
    def posterior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        r"""Location and logarithm of the scale of :math:`\zeta`, each with shape (B, K)."""

    @abstractmethod
    def prior(self) -> tuple[Tensor, Tensor]:
        r"""Location and logarithm of the scale of :math:`\zeta`, each without axes.

        Meaningless where the prior is not `proper`.
        """

    @abstractmethod
    def code(self, zeta: Tensor) -> Tensor:
        r"""Gives :math:`z` from :math:`\zeta`, of any shape."""

    @property
    @abstractmethod
    def weight(self) -> Tensor: ...

    def drawn(self, h: Tensor, m: int) -> tuple[Tensor, Tensor]:
        r"""Draws `m` codes for each representation, and weighs them.

        .. math:: \log \frac{p(z)}{q(z | x)} = \sum_k \Big[\frac{n_k^2}{2} + \log \sigma_k
            - \frac{(\zeta_k - \mu_0)^2}{2 \sigma_0^2} - \log \sigma_0\Big], \quad
            \zeta_k = \mu_k + \sigma_k n_k

        Arguments:
            h: The representations, with shape :math:`(B, D)`.
            m: The number of codes of each.

        Returns:
            Codes with shape :math:`(m B, K)`, all images of the first draw before the second,
            and their weights in nats, with shape :math:`(m B)`.
        """
        location, log_scale = (part.repeat(m, 1) for part in self.posterior(h))
        n = standard_normal(location)
        zeta = location + log_scale.exp() * n
        start, log_width = self.prior()
        distance = (zeta - start) * torch.exp(-log_width)
        ratio = (n.square() - distance.square()) / 2 + log_scale - log_width
        return self.code(zeta), ratio.sum(1)


class GaussianLatent(Latent):
    r""":math:`z = \mu(x) + \sigma(x) n`, :math:`n \sim \mathcal{N}(0, 1)`, against N(0, 1).

    .. math:: \mathrm{KL} = \tfrac{1}{2} (\sigma^2 + \mu^2 - 1) - \log \sigma

    Reference: Kingma & Welling, arXiv 1312.6114, appendices B and C.2.

    Arguments:
        features: The width :math:`D` of the representation.
        latents: The number of units :math:`K`.
    """

    proper = True

    def __init__(self, features: int, latents: int) -> None:
        super().__init__()
        self.mean = nn.Linear(features, latents)
        self.log_deviation = nn.Linear(features, latents)

    def forward(self, h: Tensor, sample: bool) -> Noisy:
        mu, log_sigma = self.posterior(h)
        # The divergence of two log-normals is that of the normals that they are exponentials of.
        kl = kl_log_normal_of_logs(mu, log_sigma, *self.prior())
        sigma = log_sigma.exp()
        z = mu + sigma * standard_normal(mu) if sample else mu
        return Noisy(z, kl, sigma)

    def posterior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return widen(self.mean(h)), widen(self.log_deviation(h))

    def prior(self) -> tuple[Tensor, Tensor]:
        zero = self.weight.new_zeros(())
        return zero, zero

    def code(self, zeta: Tensor) -> Tensor:
        return zeta

    @property
    def weight(self) -> Tensor:
        return self.mean.weight


class InformationLatent(Latent):
    r""":math:`z = f(x) e^{\alpha(x) n}`, a layer with Information Dropout.

    With the log-normal prior this is the Gaussian code of :math:`\log z`, location
    :math:`\log f`, scale :math:`\alpha`, against :math:`\mathcal{N}(\mu, \sigma^2)` with a learned
    pair that starts at (0, 1). The log-uniform prior is no distribution.

    Reference: Achille & Soatto, arXiv 1611.01353, equation 5 and proposition 2.

    Arguments:
        features: The width :math:`D` of the representation.
        latents: The number of units :math:`K`.
        noise: Information Dropout for that many units.
        activation: What makes :math:`f`: `relu`, `softplus`, or `auto` by the noise's prior.

    Raises:
        ValueError: The noise is another one, or the activation does not go with its prior.
    """

    def __init__(
        self, features: int, latents: int, noise: Noise, activation: str = "auto"
    ) -> None:
        super().__init__()
        if not isinstance(noise, InformationNoise):
            raise ValueError(
                f"latent=information draws its code by noise=information, not {_name(noise)}."
            )
        if noise.positive and activation == "relu":
            raise ValueError(
                "code_activation=relu: prior=log_normal needs softplus (or auto), since the "
                "logarithm of a code does not exist where ReLU gives 0."
            )
        if activation == "auto":
            activation = "softplus" if noise.positive else "relu"
        self.proper = noise.positive
        self.noise = noise
        self.layer = NoisyLayer(
            nn.Linear(features, latents), nn.Identity(), activation, noise, merge=False
        )

    def forward(self, h: Tensor, sample: bool) -> Noisy:
        noisy: Noisy = self.layer(h, sample)
        return noisy

    def posterior(self, h: Tensor) -> tuple[Tensor, Tensor]:
        quiet: Noisy = self.layer(h, sample=False)
        assert quiet.alpha is not None
        alpha = quiet.alpha
        location = widen(quiet.z).clamp(min=SMALLEST_F).log()
        if self.noise.unit_mean:
            location = location - alpha.square() / 2
        return location, alpha.clamp(min=torch.finfo(alpha.dtype).tiny).log()

    def prior(self) -> tuple[Tensor, Tensor]:
        return self.noise.mu, self.noise.log_sigma

    def code(self, zeta: Tensor) -> Tensor:
        return zeta.exp()

    @property
    def weight(self) -> Tensor:
        return self.layer.affine.weight


def _name(noise: Noise) -> str:
    return type(noise).__name__
