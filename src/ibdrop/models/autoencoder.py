"""Autoencoders with one hidden layer: plain, denoising, sparse, k-sparse, contractive."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from ibdrop.models.corruption import Corrupted, Corruption, check_level, corrupt
from ibdrop.models.fused import TiedStep, is_plain
from ibdrop.models.generative import Autoencoder, Costs, FusedStep, Reconstruction
from ibdrop.models.likelihood import Likelihood
from ibdrop.models.penalties import contraction, keep_largest, sparsity
from ibdrop.models.variants import (
    UNITS,
    Activation,
    Variant,
    check_emphasis,
    check_k,
    check_penalty,
    check_variant,
)
from ibdrop.noise.base import NoiseFactory

__all__ = ["ShallowAutoencoder"]

DECAY = 0.95
"""Of the running mean of the units' activity: it remembers some twenty batches."""

TINY = 1e-6
"""Activities closer to 0 or 1 are taken as that close, so that their logarithms are finite."""


class ShallowAutoencoder(Autoencoder):
    r"""Reconstructs images through one layer of units.

    .. math:: y = s(W x + b), \quad z = \sigma(W' y + c), \quad W' = W^\top \text{ if tied}

    The loss is what the pixels cost under the output, plus what the variant asks for:

    - `denoising`: the encoder sees a corrupted image, the target is the clean one; corrupted
      pixels count `emphasis[0]` times and the others `emphasis[1]` times;
    - `sparse`: `weight` times the KL of the units' activity from `rho`, where the activity is a
      running mean over batches whose gradient is that of the batch;
    - `k_sparse`: the code is linear, and only its `k` largest units stay. From all units at the
      beginning their number falls evenly until the share `k_anneal` of the run is done;
    - `contractive`: `weight` times the squared Frobenius norm of :math:`\partial y / \partial x`.

    References:
        Bengio et al., Greedy Layer-Wise Training of Deep Networks, NIPS 2006. Vincent et al.,
        JMLR 11 (2010), section 4.1 on emphasis. Ng, CS294A lecture notes (2011). Makhzani & Frey,
        arXiv 1312.5663. Rifai et al., ICML 2011.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: Not used.
        noise: Not used.
        hidden: The number of units :math:`H`.
        tied: Whether the decoder has the encoder's weights.
        variant: One of the above, or `plain`.
        activation: :math:`s`: `sigmoid`, `tanh`, `relu` or `softplus`; of `plain` and `denoising`.
        corruption: How `denoising` corrupts, see `ibdrop.models.corruption.corrupt`.
        level: How much.
        emphasis: What a corrupted pixel and what another counts in the loss of `denoising`.
        rho: The activity in (0, 1) that `sparse` asks for.
        weight: What `sparse` and `contractive` multiply their penalty by.
        k: The number of units that `k_sparse` keeps.
        k_test: The number that it keeps outside training; `None`: as many.
        k_anneal: The share of the run over which it comes down to `k`.
        likelihood: `bernoulli` or `gaussian`, see `ibdrop.models.likelihood.nll`.
        deviation: The standard deviation of a pixel; of `gaussian` only.

    Raises:
        ValueError: An argument is out of its range, or does not go with another.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        hidden: int = 500,
        tied: bool = True,
        variant: Variant = "plain",
        activation: Activation = "sigmoid",
        corruption: Corruption = "masking",
        level: float = 0.3,
        emphasis: Sequence[float] = (1.0, 1.0),
        rho: float = 0.05,
        weight: float = 0.1,
        k: int = 25,
        k_test: int | None = None,
        k_anneal: float = 0.5,
        likelihood: Likelihood = "bernoulli",
        deviation: float = 1.0,
    ) -> None:
        super().__init__((in_channels, *image_size), likelihood, deviation)
        check_variant(variant, hidden, activation)
        check_level(corruption, level)
        check_emphasis(emphasis, corruption)
        check_penalty(rho, weight)
        if variant == "k_sparse":
            check_k(hidden, k, k_test, k_anneal)
        pixels = math.prod(self.image_shape)
        self.variant, self.tied, self.activation = variant, tied, activation
        self.corruption, self.level, self.emphasis = corruption, level, tuple(emphasis)
        self.rho, self.weight = rho, weight
        self.k, self.k_test, self.k_anneal = k, k_test or k, k_anneal
        self.encoder = nn.Linear(pixels, hidden)
        self.decoder = None if tied else nn.Linear(hidden, pixels)
        self.bias = nn.Parameter(torch.zeros(pixels)) if tied else None
        self.register_buffer("activity", torch.full((hidden,), rho))
        self.activity: Tensor
        nn.init.zeros_(self.encoder.bias)

    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        y = self.encode(x, self.k_test)
        return Reconstruction(self.decode(y), y, {})

    def encode(self, x: Tensor, k: int) -> Tensor:
        """Gives the code, with shape :math:`(B, H)`.

        Arguments:
            x: Pixels, with shape :math:`(B, C, H, W)`.
            k: The number of units that `k_sparse` keeps.
        """
        a: Tensor = self.encoder(x.flatten(1))
        return keep_largest(a, k) if self.variant == "k_sparse" else UNITS[self.activation](a)

    def decode(self, code: Tensor) -> Tensor:
        if self.decoder is not None:
            output: Tensor = self.decoder(code)
        else:
            output = F.linear(code, self.encoder.weight.T, self.bias)
        return output.view(-1, *self.image_shape)

    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        shown = self._corrupt(x)
        y = self.encode(x if shown is None else shown.x, self._kept(progress))
        output = self.decode(y)
        ce = self.nll(output, x).mean()
        figures = {"ce": ce}
        loss = (
            ce
            if shown is None or self.emphasis == (1.0, 1.0)
            else self._emphasised(output, x, shown)
        )
        if self.variant in ("sparse", "contractive"):
            figures["penalty"] = self.weight * self._penalty(y)
            loss = loss + figures["penalty"]
        return Costs(loss, figures)

    def judge(self, x: Tensor) -> dict[str, Tensor]:
        r"""The cost of the clean image, and what tells the variants apart.

        `ce_corrupted`: the cost of the clean image from a corrupted one, in nats; `jacobian`:
        :math:`\|\partial y / \partial x\|_F^2`, without a unit; `active`: the mean activity of
        sigmoid units, or the share of others that is not 0.
        """
        made = self(x)
        ce = self.nll(made.output, x)
        found = {"cost": ce, "ce": ce}
        if self.variant == "denoising":
            y = self.encode(self.corrupted(x), self.k_test)
            found["ce_corrupted"] = self.nll(self.decode(y), x)
        if self.activation == "sigmoid" and self.variant != "k_sparse":
            found["active"] = made.code.mean(1)
            found["jacobian"] = contraction(made.code, self.encoder.weight)
        else:
            found["active"] = (made.code != 0).to(ce.dtype).mean(1)
        return found

    def corrupted(self, x: Tensor) -> Tensor:
        shown = self._corrupt(x)
        return x if shown is None else shown.x

    def filters(self) -> Tensor:
        return self.encoder.weight.detach().view(-1, *self.image_shape)

    def fused(self, optimizer: Optimizer) -> FusedStep | None:
        plain = self.variant == "plain" or (
            self.variant == "denoising" and self.emphasis == (1.0, 1.0)
        )
        usual = self.activation == "sigmoid" and self.likelihood == "bernoulli"
        one = len(optimizer.param_groups) == 1 and is_plain(optimizer)
        if not (plain and usual and one) or self.bias is None:
            return None
        corrupted = self.corrupted if self.variant == "denoising" else None
        return TiedStep(self.encoder, self.bias, corrupted)

    def _corrupt(self, x: Tensor) -> Corrupted | None:
        if self.variant != "denoising":
            return None
        return corrupt(x, self.corruption, self.level)

    def _emphasised(self, output: Tensor, x: Tensor, shown: Corrupted) -> Tensor:
        """The cost with corrupted pixels weighed; of `gaussian` without its constant."""
        if self.likelihood == "bernoulli":
            each = F.binary_cross_entropy_with_logits(output, x, reduction="none")
        else:
            each = (torch.sigmoid(output) - x).square() / (2 * self.deviation**2)
        on, off = self.emphasis
        return torch.where(shown.hit, on * each, off * each).flatten(1).sum(1).mean()

    def _penalty(self, y: Tensor) -> Tensor:
        if self.variant == "contractive":
            return contraction(y, self.encoder.weight).mean()
        mean = y.mean(0)
        with torch.no_grad():
            self.activity.lerp_(mean.to(self.activity.dtype), 1 - DECAY)
        # The value of the running mean with the gradient of the batch's.
        running = self.activity.clamp(TINY, 1 - TINY)
        return sparsity(mean + (running - mean).detach(), self.rho)

    def _kept(self, progress: float) -> int:
        if self.k_anneal == 0:
            return self.k
        left = max(0.0, 1 - progress / self.k_anneal)
        return self.k + round(left * (self.encoder.out_features - self.k))
