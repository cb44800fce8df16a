"""The contract of models that reconstruct their input, with or without a code that is random."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from ibdrop.models.likelihood import check_likelihood, means, nll
from ibdrop.noise.base import Noisy

__all__ = ["Autoencoder", "Costs", "FusedStep", "Reconstruction"]

FusedStep = Callable[[Tensor, float], Tensor]
"""Does one optimiser step on inputs :math:`(B, C, H, W)` at a learning rate; gives the cost before
it, the mean over the batch in nats per image."""


class Reconstruction(NamedTuple):
    """What an autoencoder makes of images.

    Attributes:
        output: What the decoder says of each pixel before the sigmoid, with shape
            :math:`(B, C, H, W)`.
        code: What the decoder read, with shape :math:`(B, H)`.
        layers: Each random layer by name, in order of execution; none where nothing is random.
    """

    output: Tensor
    code: Tensor
    layers: dict[str, Noisy]

    @property
    def kls(self) -> dict[str, Tensor]:
        """KL in nats per unit of each layer that has one, with shape :math:`(B, *)`."""
        return {name: layer.kl for name, layer in self.layers.items() if layer.kl is not None}


class Costs(NamedTuple):
    """What a batch costs, each a mean over the batch.

    Attributes:
        loss: What is minimised.
        figures: What it is made of, in nats per image unless the name says otherwise: `ce` is
            what the reconstruction costs, `kl` the information in the code, `penalty` what is
            asked of the code beside that. Every call gives the same names.
    """

    loss: Tensor
    figures: dict[str, Tensor]


class Autoencoder(nn.Module, ABC):
    """A network that is trained to give back what it was shown.

    Random draws come from `ibdrop.noise.draws` alone, in tensors whose first axis is that of the
    images, so that an evaluation can key them by image.

    Attributes:
        task: What the runner does with such a network.
        uses_noise: Whether the noise group has any effect.
        pixels: What the likelihood is a likelihood of, for those who read its costs.
        is_bound: Whether `ce + kl`, unweighted, is an upper bound of the negative log-likelihood
            in expectation, that is, whether the prior is proper and the KL its own.

    Arguments:
        image_shape: Channels, height and width of the images.
        likelihood: What the output means, see `ibdrop.models.likelihood.nll`.
        deviation: The standard deviation of a pixel; of `gaussian` only.

    Raises:
        ValueError: The likelihood is unknown, or the deviation not above 0.
    """

    task: ClassVar[str] = "reconstruction"
    uses_noise: bool = False
    pixels: str = "grey pixels, as a cross-entropy: not a density"
    is_bound: bool = False

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        likelihood: str = "bernoulli",
        deviation: float = 1.0,
    ) -> None:
        super().__init__()
        check_likelihood(likelihood, deviation)
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.deviation = deviation

    @abstractmethod
    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        """Reconstructs images.

        Arguments:
            x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
            sample: Whether a random code is drawn, or its most plain value taken; `None` draws in
                training mode only.
        """

    @abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """What the decoder says of each pixel, with shape :math:`(B, C, H, W)`.

        Arguments:
            code: With shape :math:`(B, H)`.
        """

    @abstractmethod
    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        """What is minimised on a batch in training, with everything that is random drawn.

        Arguments:
            x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
            b: The weight of one nat of KL, see `ibdrop.learning.objective.InformationWeight`.
            progress: The share of the run that is done, from 0 to 1, for schedules.
        """

    def prepare(self, mean_image: Tensor) -> None:
        """Sees the mean training image once, before training, with shape :math:`(C, H, W)`."""

    def judge(self, x: Tensor) -> dict[str, Tensor]:
        """What each image costs, as validation and test see it, in nats with shape :math:`(B)`.

        The first figure, `cost`, selects the best epoch. Random codes are drawn, once.
        """
        made = self(x, sample=True)
        ce = self.nll(made.output, x)
        kls = [kl.flatten(1).sum(1) for kl in made.kls.values()]
        if not kls:
            return {"cost": ce, "ce": ce}
        kl = sum(kls[1:], start=kls[0])
        return {"cost": ce + kl, "ce": ce, "kl": kl}

    def target(self, x: Tensor) -> Tensor:
        """The pixels that are to be given back; those of `x` unless others are predicted."""
        return x

    def corrupted(self, x: Tensor) -> Tensor:
        """What the encoder is shown in training instead of `x`; the same unless it denoises."""
        return x

    def log_weights(self, x: Tensor, m: int) -> Tensor | None:
        r"""Importance weights :math:`\log p(x, z_j) - \log q(z_j | x)` on the graph as it is used.

        Discrete codes are discrete here. Then :math:`\mathrm{LSE}_j w_j - \log m` is a lower bound
        of :math:`\log p(x)` that rises with :math:`m` (Burda et al., arXiv 1509.00519, eq. 8).

        Arguments:
            x: Pixels, with shape :math:`(B, C, H, W)`.
            m: The number of codes drawn for each image.

        Returns:
            Nats with shape :math:`(m, B)`; `None` where the prior is no proper distribution.
        """
        return None

    def codes(self, count: int) -> Tensor | None:
        """Draws codes from the prior, with shape (count, H); `None` where there is none."""
        return None

    def filters(self) -> Tensor | None:
        """The weights from the pixels to each unit, :math:`(H, C, H', W')`; `None` if not such."""
        return None

    def fused(self, optimizer: Optimizer) -> FusedStep | None:
        """A step with derivatives by hand that does exactly what autograd and `optimizer` would.

        `None` where there is none for this model with this optimiser.
        """
        return None

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """What the pixels cost, in nats with shape :math:`(B)`."""
        return nll(output, x, self.likelihood, self.deviation)

    def means(self, output: Tensor) -> Tensor:
        """The expected pixels in [0, 1]."""
        return means(output)
