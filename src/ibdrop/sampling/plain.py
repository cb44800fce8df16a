"""What a network with its noise on believes: Monte Carlo estimates over many passes."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.special import entr

from ibdrop.seeds import key

__all__ = ["Predictive", "Sampler", "combine", "entropy", "monte_carlo"]


class Predictive(NamedTuple):
    r"""The predictive distribution of each image and its spread, in float64.

    With :math:`p_t` the softmax of pass :math:`t` and :math:`\bar p` its mean over the passes:

    Attributes:
        mean: :math:`\bar p`, with shape :math:`(B, K)`.
        entropy: :math:`H(\bar p)` in nats, with shape :math:`(B)`: all uncertainty.
        expected_entropy: :math:`\frac{1}{T} \sum_t H(p_t)` in nats: what each pass is unsure of.
        mutual_information: :math:`H(\bar p) - \frac{1}{T} \sum_t H(p_t) \geq 0` in nats: how far
            the passes disagree (BALD; Houlsby et al., arXiv 1112.5745).
        variance: :math:`\sum_k \frac{1}{T} \sum_t p_{tk}^2 - \bar p_k^2`, the predictive variance
            of Gal & Ghahramani (arXiv 1506.02142, sec. 4) of the probabilities, summed over
            classes.
        passes: The number of passes :math:`T`; 1 where the network draws no noise.
    """

    mean: Tensor
    entropy: Tensor
    expected_entropy: Tensor
    mutual_information: Tensor
    variance: Tensor
    passes: int


class Sampler(Protocol):
    """Estimates predictive distributions; a faster engine has only to keep this signature."""

    def __call__(
        self, model: nn.Module, inputs: Tensor, passes: int, *key_parts: int | str
    ) -> Predictive:
        """Samples `passes` times; equal keys give equal results."""


def entropy(p: Tensor) -> Tensor:
    r"""Entropy :math:`-\sum_k p_k \log p_k` in nats, with :math:`0 \log 0 = 0`.

    Arguments:
        p: Distributions, with shape :math:`(*, K)`.
    """
    total: Tensor = entr(p).sum(-1)
    return total


@torch.no_grad()
def monte_carlo(
    model: nn.Module, inputs: Tensor, passes: int, *key_parts: int | str
) -> Predictive:
    """Averages passes with the noise on, and nothing else changed.

    The network stays in evaluation mode, so batch norm keeps its moments, and the state of the
    random generators is restored. Only running sums are kept: memory does not depend on `passes`.
    A network that draws no noise is deterministic and gets a single pass.

    Arguments:
        model: A classifier called as `model(inputs, sample=True)`, in evaluation mode.
        inputs: What the network reads, with shape :math:`(B, C, H, W)`.
        passes: The number of passes :math:`T`.
        key_parts: What the noise is keyed by, beside the number of the pass.

    Raises:
        ValueError: The model is in training mode, or `passes` is not positive.
    """
    if passes < 1:
        raise ValueError(f"passes is {passes}; at least 1 is needed")
    if any(module.training for module in model.modules()):
        raise ValueError("the model is in training mode; call model.eval() before sampling")
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        first = _draw(model, inputs, *key_parts, "pass", 0)
        sums = _Sums(first)
        for t in range(1, passes):
            p = _draw(model, inputs, *key_parts, "pass", t)
            if t == 1 and torch.equal(p, first) and _drew_nothing(*key_parts, "pass", t):
                break
            sums.add(p)
    return sums.predictive()


def combine(first: Predictive, second: Predictive) -> Predictive:
    """Pools two independent runs over the same images, exactly as if they had been one."""
    passes = first.passes + second.passes
    w, v = first.passes / passes, second.passes / passes
    mean = w * first.mean + v * second.mean
    total = entropy(mean)
    expected = w * first.expected_entropy + v * second.expected_entropy
    between = w * v * (first.mean - second.mean).square().sum(1)
    variance = w * first.variance + v * second.variance + between
    return Predictive(mean, total, expected, (total - expected).clamp_min(0), variance, passes)


class _Sums:
    """Running mean of probabilities and entropies, and Welford's sum of squared deviations."""

    def __init__(self, p: Tensor) -> None:
        self.count = 1
        self.mean = p
        self.squares = torch.zeros_like(p)
        self.entropies = entropy(p)

    def add(self, p: Tensor) -> None:
        self.count += 1
        step = p - self.mean
        self.mean = self.mean + step / self.count
        self.squares = self.squares + step * (p - self.mean)
        self.entropies = self.entropies + entropy(p)

    def predictive(self) -> Predictive:
        total, expected = entropy(self.mean), self.entropies / self.count
        disagreement = (total - expected).clamp_min(0)
        variance = (self.squares / self.count).sum(1)
        return Predictive(self.mean, total, expected, disagreement, variance, self.count)


def _draw(model: nn.Module, inputs: Tensor, *key_parts: int | str) -> Tensor:
    torch.manual_seed(key(*key_parts))
    logits: Tensor = model(inputs, sample=True).logits
    return logits.double().softmax(1)


def _drew_nothing(*key_parts: int | str) -> bool:
    """Whether the generators still stand where these parts had put them."""
    after = _states()
    torch.manual_seed(key(*key_parts))
    return all(map(torch.equal, after, _states()))


def _states() -> list[Tensor]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *cuda]
