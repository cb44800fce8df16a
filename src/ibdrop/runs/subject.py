"""Whom to ask how sure it is: a network, its noise off or on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from ibdrop import merit
from ibdrop.noise.base import Noise
from ibdrop.noise.baselines import NoNoise
from ibdrop.sampling.designs import Design, Sharing
from ibdrop.sampling.engine import MonteCarlo
from ibdrop.sampling.predictive import Predictive, entropy
from ibdrop.seeds import key

__all__ = ["Answer", "Network", "Sampling", "Subject", "draws_noise", "of_probabilities"]

TINY = 1e-300
Row = dict[str, Any]


@dataclass(frozen=True)
class Sampling:
    """How a network is sampled with its noise on.

    Attributes:
        passes: The number of passes :math:`T` per image.
        mask_sharing: `batch`, one mask of each pass for all images, or `row`, one for each.
        design: How the masks of a group of passes go together.
    """

    passes: int = 50
    mask_sharing: Sharing = "batch"
    design: Design = "balanced"


class Answer(NamedTuple):
    """What was said of some images.

    Attributes:
        found: With the noise on, in groups of passes or one group per member; with the noise
            off where nothing was sampled. Its `deterministic` is always with the noise off.
        plain: With the noise off, one group per member.
    """

    found: Predictive
    plain: Predictive


class Subject(Protocol):
    """What can be asked: a network, or an ensemble of networks."""

    @property
    def sampled(self) -> bool:
        """Whether the noise is on."""

    @property
    def notes(self) -> list[str]:
        """Where the sampler fell back, in sentences."""

    def __call__(self, inputs: Tensor, index: Tensor) -> Answer:
        """Answers for the images with these numbers in their set."""

    def rows(self, answer: Answer, labels: Tensor) -> list[Row]:
        """The figures of merit, the deterministic row before that of the noise."""


class Network:
    """One network, noise off and, if asked for, on.

    Arguments:
        model: The network in evaluation mode; it is left exactly as it was.
        seed: The seed of its run, which keys the draws.
        sampling: How to sample; `None` for no noise.

    Raises:
        NoNoiseError: Sampling is asked for and no layer can be noisy.
    """

    def __init__(self, model: nn.Module, seed: int, sampling: Sampling | None) -> None:
        self.model = model
        self.sampler = None if sampling is None else _sampler(model, seed, sampling)

    @property
    def sampled(self) -> bool:
        """Whether the noise is on."""
        return self.sampler is not None

    @property
    def notes(self) -> list[str]:
        """Where the sampler fell back, in sentences."""
        return [] if self.sampler is None else list(self.sampler.notes)

    def __call__(self, inputs: Tensor, index: Tensor) -> Answer:
        if self.sampler is None:
            plain = Predictive.of_logits(self.model(inputs, sample=False).logits[None])
            return Answer(plain, plain)
        found = self.sampler(inputs, index)
        return Answer(found, of_probabilities(found.deterministic[None]))

    def rows(self, answer: Answer, labels: Tensor) -> list[Row]:
        """The figures of merit, the deterministic row before that of the noise."""
        rows = merit.figures(answer.found, labels)
        return rows if self.sampled else rows[:1]


def draws_noise(model: nn.Module) -> bool:
    """Whether any layer of the network has noise to draw."""
    layers = (layer for layer in model.modules() if isinstance(layer, Noise))
    return any(not isinstance(layer, NoNoise) for layer in layers)


def of_probabilities(p: Tensor) -> Predictive:
    r"""A group of one pass from each set of distributions, their mean as the deterministic one.

    The logits are taken as :math:`\log p`, which gives the same softmax of mean logits.

    Arguments:
        p: With shape :math:`(R, B, K)`.
    """
    made = Predictive.of_logits(p.double().clamp_min(TINY).log())
    squares = p.double().square().sum(-1)
    whole = replace(made, means=p.double(), entropies=entropy(p.double()), squares=squares)
    return replace(whole, deterministic=whole.mean)


def _sampler(model: nn.Module, seed: int, sampling: Sampling) -> MonteCarlo:
    return MonteCarlo(
        model,
        seed=key(seed, "evaluate"),
        passes=sampling.passes,
        mask_sharing=sampling.mask_sharing,
        design=sampling.design,
    )
