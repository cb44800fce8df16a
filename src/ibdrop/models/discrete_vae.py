"""Autoencoders and predictors with discrete codes, trained through a relaxation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ibdrop.models.discrete.binary import BinConcrete
from ibdrop.models.discrete.categorical import ExpConcrete
from ibdrop.models.discrete.estimators import Draw, Estimator, estimate
from ibdrop.models.discrete.halves import SURE, Halves
from ibdrop.models.discrete.layers import Centre, Chain, Prior, affine
from ibdrop.models.discrete.objectives import Objective, check_objective, multi_sample, price
from ibdrop.models.discrete.pixels import Binarisation, binarised, check_binarisation, spoken
from ibdrop.models.discrete.temperature import Temperature
from ibdrop.models.discrete.units import Units, check_temperature
from ibdrop.models.generative import Autoencoder, Costs, Reconstruction
from ibdrop.noise.base import NoiseFactory, Noisy

__all__ = ["DiscreteVAE"]

RATIO = 3 / 4
"""The prior's temperature over the posterior's where none is given: that of the paper."""


class DiscreteVAE(Autoencoder):
    r"""A sigmoid belief network with binary or n-ary units, and one that infers them.

    Trained on the relaxed graph, judged on the discrete one: `costs` relaxes, everything else
    draws hard states and prices them with discrete probabilities. With ``target=bottom`` there is
    no inference: the network predicts the lower half of an image from the upper one through the
    same layers, :math:`-\log \frac1m \sum_j p(x_{bottom} | h_j)`, and no KL.

    With several layers the price of all but the last is that of the drawn states,
    :math:`\log q(h_1 | x) - \log p(h_1 | h_2)`, also in `judge` and for ``objective=analytic``:
    :math:`h_2` depends on :math:`h_1`, so a divergence in its place would be no bound.

    References:
        Maddison, Mnih & Teh, The Concrete Distribution, arXiv 1611.00712, section 5 and appendix
        C; Jang, Gu & Poole, arXiv 1611.01144.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: Not used; building gives it.
        noise: Not used; building gives it.
        units: The number of units of each layer, that next to the pixels first.
        states: The states of a unit: 2 for binary units, n for n-ary ones.
        code: How the decoder reads n-ary units, see `ExpConcrete`.
        linear: Whether layers are joined by linear maps ("-"), or through two tanh layers each
            ("~").
        objective: `density` (20), `relaxed_mass` (21) or `analytic` (22), see `price`.
        estimator: How gradients get through the units, see `estimate`.
        posterior_temperature: That of the units as drawn, :math:`\lambda_1`.
        prior_temperature: That of the prior in (20), :math:`\lambda_2`; `None` for three quarters
            of the posterior's.
        anneal_from: The posterior's temperature at the start, see `Temperature`; that of the
            prior keeps its ratio to it.
        anneal_rate: How fast it falls, per run.
        samples: How many draws :math:`m` an image gets in training, for :math:`L_m`.
        target: `whole` to reconstruct, `bottom` to predict the lower half from the upper one.
        learned_prior: Whether the prior of the last layer is learned.
        centred: Whether what the inference network reads is centred.
        binarise: What is made of grey pixels, see `binarised`.
        likelihood: What the output means, see `ibdrop.models.likelihood.nll`.
        deviation: The standard deviation of a pixel; of `gaussian` only.

    Raises:
        ValueError: If an argument is out of its range, or two do not agree.
    """

    is_bound = True

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        units: Sequence[int] = (200,),
        states: int = 2,
        code: Literal["hypercube", "one_hot"] = "hypercube",
        linear: bool = True,
        objective: Objective = "density",
        estimator: Estimator = "concrete",
        posterior_temperature: float = 2 / 3,
        prior_temperature: float | None = 1 / 2,
        anneal_from: float | None = None,
        anneal_rate: float = 0.0,
        samples: int = 1,
        target: Literal["whole", "bottom"] = "whole",
        learned_prior: bool = True,
        centred: bool = True,
        binarise: Binarisation = "none",
        likelihood: Literal["bernoulli", "gaussian"] = "bernoulli",
        deviation: float = 1.0,
    ) -> None:
        super().__init__((in_channels, *image_size), likelihood, deviation)
        _check(units, samples)
        check_binarisation(binarise, likelihood)
        if prior_temperature is not None:
            check_temperature(prior_temperature, "prior_temperature")
        if target == "whole":
            check_objective(objective, estimator)
        self.kind: Units = BinConcrete() if states == 2 else ExpConcrete(states, code)
        self.objective, self.estimator, self.samples = objective, estimator, samples
        self.temperature = Temperature(posterior_temperature, anneal_from, anneal_rate)
        self.ratio = (prior_temperature or RATIO * posterior_temperature) / posterior_temperature
        self.binarise = binarise
        self.pixels = spoken(binarise, target, self.pixels)
        self.halves = Halves(self.image_shape, target)
        inputs, whole = self.halves.inputs, target == "whole"
        self.chain = Chain(inputs, units, self.kind, linear, centred and whole)
        self.prior = Prior(units, self.kind, linear, learned_prior) if whole else None
        read = units[0 if whole else -1]
        self.decoder = affine(read * self.kind.outputs, self.halves.outputs, linear)

    def prepare(self, mean_image: Tensor) -> None:
        """Starts the output at the logits of the mean image, and the centre of the input there.

        Arguments:
            mean_image: With shape :math:`(C, H, W)`.
        """
        means = self.halves.predicted(mean_image[None]).flatten()
        last = self.decoder[-1]
        assert isinstance(last, nn.Linear)
        with torch.no_grad():
            last.bias.copy_(torch.logit(means, SURE))
            if isinstance(centre := self.chain.centres[0], Centre):
                centre.mean.copy_(means)

    def target(self, x: Tensor) -> Tensor:
        """The pixels that are to be given: the predicted ones, binarised if so configured.

        What a reconstruction is compared with, its floor and mean image too, is to be computed
        from these, with shape :math:`(B, C, h, W)`.
        """
        return self.halves.predicted(self._taken(x))

    def encode(self, x: Tensor) -> Tensor:
        """The logits of the first layer, with shape :math:`(B, H)`, or (B, H, n) if n-ary."""
        return self.chain.first(self._shown(self._taken(x)))

    def relax(self, logits: Tensor, temperature: float) -> Tensor:
        """Draws a layer in log space, differentiable in its logits, with their shape."""
        return self.kind.relax(logits, temperature)

    def decoder_term(self, y: Tensor, x: Tensor) -> Tensor:
        r"""What the pixels cost given a relaxed draw, :math:`-\log p(x | y)`, in nats (B).

        Arguments:
            y: The layer that the decoder reads, as `relax` gives it.
            x: Pixels, with shape :math:`(B, C, H, W)`.
        """
        return self._misses(self.kind.soft(y), self.target(x))

    def kl_term(self, y: Tensor, logits: Tensor) -> Tensor:
        r"""One draw of the divergence of objective (20), :math:`\log q(y | x) - \log p(y)`.

        Arguments:
            y: A draw of the only layer.
            logits: What it was drawn from.

        Returns:
            Nats with shape :math:`(B)`, at the last temperatures of the schedule.

        Raises:
            ValueError: The model has several layers, or no prior.
        """
        if self.prior is None or self.prior.maps:
            raise ValueError("kl_term: needs target=whole and one layer of units.")
        draw = Draw(logits, self.kind.soft(y), y)
        now = self.temperatures(1.0)
        return price(self.kind, draw, self.prior.top, "density", now).sum(1)

    def temperatures(self, progress: float) -> tuple[float, float]:
        """Those of posterior and prior when this share of the run is done."""
        now = self.temperature(progress)
        return now, now * self.ratio

    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        x = self._taken(x)
        now = self.temperatures(progress)
        drawn = self.chain(
            self._shown(x),
            self.samples,
            lambda logits: estimate(self.kind, logits, now[0], self.estimator),
        )
        misses = self._misses(self._read(drawn), self.halves.predicted(x))
        figures = {"ce": misses.mean()}
        cost = misses
        if self.prior is not None:
            below = "relaxed_mass" if self.objective == "analytic" else self.objective
            kl = _summed(self._prices(drawn, below, self.objective, now))
            figures["kl"] = kl.mean()
            cost = misses + b * kl
        loss = -multi_sample(-cost.view(self.samples, len(x))).mean()
        if self.samples > 1:
            figures["gain"] = cost.mean() - loss
        return Costs(loss, {name: figure.detach() for name, figure in figures.items()})

    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        """Reconstructs images on the discrete graph, with drawn or the most probable states.

        Of all layers but the last a drawn KL is a drawn price, which may be negative.
        """
        noise_on = self.training if sample is None else sample
        x = self._taken(x)
        drawn = self.chain(self._shown(x), 1, self._hard if noise_on else self._mode)
        code = self.kind.embed(self._read(drawn))
        kls: Sequence[Tensor | None] = [None] * len(drawn)
        if self.prior is not None:
            kls = self._prices(drawn, "relaxed_mass" if noise_on else "analytic", "analytic")
        layers = {
            f"h{number}": Noisy(self.kind.embed(draw.state), kl)
            for number, (draw, kl) in enumerate(zip(drawn, kls, strict=True), 1)
        }
        return Reconstruction(self.halves.image(self.decoder(code), x), code, layers)

    def judge(self, x: Tensor) -> dict[str, Tensor]:
        return super().judge(self._taken(x))

    def log_weights(self, x: Tensor, m: int) -> Tensor | None:
        x = self._taken(x)
        drawn = self.chain(self._shown(x), m, self._hard)
        cost = self._misses(self._read(drawn), self.halves.predicted(x))
        if self.prior is not None:
            cost = cost + _summed(self._prices(drawn, "relaxed_mass", "relaxed_mass"))
        return -cost.view(m, len(x))

    def decode(self, code: Tensor) -> Tensor:
        output: Tensor = self.decoder(code)
        return self.halves.image(output)

    def codes(self, count: int) -> Tensor | None:
        return None if self.prior is None else self.kind.embed(self.prior.draw(count))

    def filters(self) -> Tensor | None:
        weight = self.chain.maps[0].get_parameter("0.weight").detach()
        return weight.reshape(-1, *self.halves.shown_shape)

    def nll(self, output: Tensor, x: Tensor) -> Tensor:
        """What the pixels cost that are to be predicted, in nats with shape :math:`(B)`."""
        return super().nll(self.halves.predicted(output), self.halves.predicted(x))

    def _taken(self, x: Tensor) -> Tensor:
        """What the pixels are taken for; draws that change do so in training alone."""
        fixed = self.binarise == "dynamic" and not self.training
        return binarised(x, "static" if fixed else self.binarise)

    def _shown(self, x: Tensor) -> Tensor:
        return self.halves.shown(x).flatten(1)

    def _read(self, drawn: Sequence[Draw]) -> Tensor:
        return drawn[-1 if self.prior is None else 0].state

    def _misses(self, state: Tensor, x: Tensor) -> Tensor:
        """What the pixels cost given states of shape (m B, *), with shape (m B)."""
        output = self.decoder(self.kind.embed(state))
        pixels = x.flatten(1).repeat(len(output) // len(x), 1)
        return Autoencoder.nll(self, output, pixels)

    def _prices(
        self,
        drawn: Sequence[Draw],
        below: str,
        last: str,
        now: tuple[float, float] = (1.0, 1.0),
    ) -> list[Tensor]:
        """What each layer costs in nats per unit, with shape (m B, H): those below, the last."""
        assert self.prior is not None
        priors = self.prior([draw.state for draw in drawn])
        hows = [below] * (len(drawn) - 1) + [last]
        return [
            price(self.kind, draw, prior, how, now)
            for draw, prior, how in zip(drawn, priors, hows, strict=True)
        ]

    def _hard(self, logits: Tensor) -> Draw:
        return Draw(logits, self.kind.draw(logits))

    def _mode(self, logits: Tensor) -> Draw:
        return Draw(logits, self.kind.hard(logits))


def _summed(prices: Sequence[Tensor]) -> Tensor:
    """All layers together, in nats with shape (m B)."""
    return torch.stack([each.sum(1) for each in prices]).sum(0)


def _check(units: Sequence[int], samples: int) -> None:
    if not units or min(units) < 1:
        raise ValueError(f"units={list(units)}: must name layers of at least 1 unit each.")
    if samples < 1:
        raise ValueError(f"samples={samples}: must be at least 1.")
