"""Variational autoencoders, with a Gaussian code or one made by Information Dropout."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ibdrop.models.base import check_activation
from ibdrop.models.generative import Autoencoder, Costs, Reconstruction
from ibdrop.models.latents import GaussianLatent, InformationLatent, Latent
from ibdrop.models.likelihood import Likelihood
from ibdrop.noise.base import NoiseFactory, widen
from ibdrop.noise.draws import standard_normal

__all__ = ["VAE"]

MODULES: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "softplus": nn.Softplus}
LATENTS = ("gaussian", "information")
CODE_ACTIVATIONS = ("auto", "relu", "softplus")


class VAE(Autoencoder):
    r"""A network whose code is drawn, and paid for by the information it carries.

    .. math:: \mathcal{L} = \mathrm{E}_{q(z | x)} [-\log p(x | z)]
        + b \, \mathrm{KL}(q(z | x) \,\|\, p(z))

    Encoder and decoder are fully connected, the decoder with the encoder's widths in reverse.
    Where the prior is proper, :math:`\mathrm{ce} + \mathrm{kl}` is an upper bound of
    :math:`-\log p(x)` in expectation, whatever :math:`b` was in training. With Information Dropout
    and its log-uniform prior (`is_bound` is false) the same sum still says how the reconstruction
    and the price move, and selects the best epoch; it bounds nothing, since that prior has no
    normalisation and its constant is a choice.

    References:
        Kingma & Welling, arXiv 1312.6114.
        Achille & Soatto, arXiv 1611.01353, table 1.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: Not used.
        noise: Makes the noise of `latent="information"`; not used otherwise.
        latent: `gaussian`, against N(0, 1), or `information`, against the prior of the noise.
        latents: The number of units :math:`K` of the code.
        hidden: The widths of the encoder's hidden layers; none makes both maps linear.
        activation: `relu` or `softplus`, of the hidden layers.
        code_activation: What makes the units of `latent="information"`: `relu`, `softplus`, or
            `auto`, which is ReLU against a log-uniform and softplus against a log-normal prior.
        likelihood: What the output means, see `ibdrop.models.likelihood.nll`.
        deviation: The standard deviation of a pixel; of `gaussian` only.

    Raises:
        ValueError: An argument is out of its range, or does not go with the noise.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        latent: Literal["gaussian", "information"] = "gaussian",
        latents: int = 2,
        hidden: Sequence[int] = (256,),
        activation: Literal["relu", "softplus"] = "relu",
        code_activation: Literal["auto", "relu", "softplus"] = "auto",
        likelihood: Likelihood = "bernoulli",
        deviation: float = 1.0,
    ) -> None:
        super().__init__((in_channels, *image_size), likelihood, deviation)
        _check(latent, latents, hidden, activation, code_activation)
        widths = [math.prod(self.image_shape), *hidden]
        self.encoder = _layers(widths, activation)
        self.latent: Latent
        if latent == "gaussian":
            self.latent = GaussianLatent(widths[-1], latents)
        else:
            made = noise(latents)
            self.latent = InformationLatent(widths[-1], latents, made, code_activation)
        self.decoder = _layers([latents, *hidden[::-1]], activation)
        self.decoder.append(nn.Linear(hidden[0] if hidden else latents, widths[0]))
        self.latents = latents
        self.uses_noise = latent == "information"
        self.is_bound = self.latent.proper

    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        noisy = self.latent(
            self.encoder(x.flatten(1)), self.training if sample is None else sample
        )
        return Reconstruction(self.decode(noisy.z), noisy.z, {"z": noisy})

    def decode(self, code: Tensor) -> Tensor:
        output: Tensor = self.decoder(code)
        return widen(output).view(-1, *self.image_shape)

    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        made = self(x, sample=True)
        ce = self.nll(made.output, x).mean()
        kl = made.kls["z"].sum(1).mean()
        return Costs(ce + b * kl, {"ce": ce, "kl": kl})

    def log_weights(self, x: Tensor, m: int) -> Tensor | None:
        if not self.is_bound:
            return None
        z, ratio = self.latent.drawn(self.encoder(x.flatten(1)), m)
        ce = self.nll(self.decode(z), x.repeat(m, 1, 1, 1))
        return (ratio - ce).view(m, len(x))

    def codes(self, count: int) -> Tensor | None:
        if not self.is_bound:
            return None
        location, log_scale = self.latent.prior()
        like = self.latent.weight.new_empty(count, self.latents)
        return self.latent.code(location + log_scale.exp() * standard_normal(like))

    def filters(self) -> Tensor:
        first = self.encoder[0] if len(self.encoder) else self.latent
        assert isinstance(first.weight, Tensor)
        return first.weight.detach().view(-1, *self.image_shape)


def _layers(widths: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers from each width to the next, with the activation behind each."""
    made: list[nn.Module] = []
    for before, after in zip(widths, widths[1:], strict=False):
        made += [nn.Linear(before, after), MODULES[activation]()]
    return nn.Sequential(*made)


def _check(
    latent: str, latents: int, hidden: Sequence[int], activation: str, code_activation: str
) -> None:
    check_activation(activation)
    if latent not in LATENTS:
        raise ValueError(f"latent={latent}: must be one of {', '.join(LATENTS)}.")
    if code_activation not in CODE_ACTIVATIONS:
        raise ValueError(
            f"code_activation={code_activation}: must be one of {', '.join(CODE_ACTIVATIONS)}."
        )
    if latents < 1:
        raise ValueError(f"latents={latents}: the code needs at least 1 unit.")
    if any(width < 1 for width in hidden):
        raise ValueError(f"hidden={list(hidden)}: every layer needs at least 1 unit.")
