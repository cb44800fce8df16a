"""What a network is asked: the score of one class for each image, noise off or averaged."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ibdrop.data.base import Transform
from ibdrop.sampling.keyed import keyed

__all__ = ["KINDS", "ClassScore", "Kind"]

Kind = Literal["prob", "logp", "margin", "logit"]
"""Ways to score a class :math:`c` from the logits :math:`y`: its softmax probability (the paper's,
whose gradient vanishes where it is near 1), the logarithm of that in nats,
:math:`y_c - \\max_{k \\ne c} y_k`, and :math:`y_c` itself."""

KINDS: tuple[str, ...] = get_args(Kind)


class ClassScore:
    r"""Scores the class of each image.

    With the noise averaged the score is the mean over :math:`S` draws, keyed by image and the
    same at every call, so that the objective stays deterministic:

    .. math:: f(x) = \frac{1}{S} \sum_{s=1}^{S} f(x; \varepsilon_{is})

    Arguments:
        model: A classifier in evaluation mode, called as `model(inputs, sample=...)`.
        inputs: Turns pixels into what the network reads, differentiably.
        classes: The class asked for in each image, with shape :math:`(B)`.
        index: The numbers of the images, which key the noise, with shape :math:`(B)`.
        kind: See `Kind`.
        draws: :math:`S`; 0 for no noise.
        seed: What the noise is keyed by.

    Raises:
        ValueError: There is no such kind, or `draws` is negative.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Transform,
        classes: Tensor,
        index: Tensor,
        *,
        kind: Kind = "prob",
        draws: int = 0,
        seed: int = 0,
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"score={kind}: must be one of {', '.join(KINDS)}.")
        if draws < 0:
            raise ValueError(f"draws={draws}: must be 0 (no noise) or more.")
        self.model, self.inputs = model, inputs
        self.classes, self.index = classes, index.to(classes.device)
        self.kind, self.draws, self.seed = kind, draws, seed

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        return self._mean(self.kind, pixels, image)

    @torch.no_grad()
    def probability(self, pixels: Tensor, image: Tensor) -> Tensor:
        return self._mean("prob", pixels, image)

    def logits(self, pixels: Tensor, image: Tensor, draws: int) -> Tensor:
        """The logits, with shape (N, K), or (N * draws, K) with the draws of a row in a row."""
        inputs = self.inputs.from_unit(pixels)
        if not draws:
            logits: Tensor = self.model(inputs, sample=False).logits
            return logits
        number = self.index[image][:, None] * draws + torch.arange(draws, device=image.device)
        with keyed(self.seed, "explain", number.flatten(), inputs.device):
            noisy: Tensor = self.model(inputs.repeat_interleave(draws, 0), sample=True).logits
        return noisy

    def _mean(self, kind: str, pixels: Tensor, image: Tensor) -> Tensor:
        draws = max(1, self.draws)
        classes = self.classes[image].repeat_interleave(draws)
        scores = _score(kind, self.logits(pixels, image, self.draws), classes)
        return scores.view(len(image), draws).mean(1)


def _score(kind: str, logits: Tensor, classes: Tensor) -> Tensor:
    if kind in ("prob", "logp"):
        logits = logits.log_softmax(1)
    own = logits.gather(1, classes[:, None])[:, 0]
    if kind == "prob":
        return own.exp()
    if kind == "margin":
        others = logits.scatter(1, classes[:, None], -torch.inf)
        return own - others.amax(1)
    return own
