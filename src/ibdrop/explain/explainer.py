"""Any number of images explained in batches, with everything put together again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.data.base import Transform
from ibdrop.explain.base import Explanation, Fill, Method
from ibdrop.explain.score import ClassScore, Kind
from ibdrop.explain.untouched import untouched

__all__ = ["Explainer", "joined"]


@dataclass(frozen=True)
class Explainer:
    """A method with its fill and the question put to the network.

    Attributes:
        method: How masks are found.
        fill: What stands where they delete.
        kind: How the class is scored, see `ibdrop.explain.score.Kind`.
        draws: Draws of the noise over which the score is averaged; 0 for no noise.
        seed: What the noise is keyed by.
        together: Images explained at once.
    """

    method: Method
    fill: Fill
    kind: Kind = "prob"
    draws: int = 0
    seed: int = 0
    together: int = 64

    def __call__(
        self,
        model: nn.Module,
        inputs: Transform,
        pixels: Tensor,
        index: Tensor,
        classes: Tensor,
        on_step: Callable[[int], None] = lambda images: None,
    ) -> Explanation:
        """Explains images; the network is afterwards exactly what it was.

        Arguments:
            model: A classifier.
            inputs: Turns pixels into what it reads.
            pixels: Pictures in [0, 1], with shape :math:`(B, C, H, W)`, on the model's device.
            index: Their numbers, with shape :math:`(B)`.
            classes: The class asked for in each, with shape :math:`(B)`.
            on_step: Called at every step with the number of images that take it.
        """
        found = []
        with untouched(model):
            for part in torch.arange(len(pixels)).split(self.together):
                score = self.score(model, inputs, index[part], classes[part])
                x = pixels[part]
                count = len(part)
                found.append(
                    self.method.explain(
                        score,
                        self.fill.over(x, index[part]),
                        x.shape,
                        x.device,
                        lambda step, count=count: on_step(count),  # type: ignore[misc]
                    )
                )
        return joined(found)

    def score(
        self,
        model: nn.Module,
        inputs: Transform,
        index: Tensor,
        classes: Tensor,
    ) -> ClassScore:
        """The question put to the network about images with these numbers and classes."""
        return ClassScore(
            model, inputs, classes, index, kind=self.kind, draws=self.draws, seed=self.seed
        )


def joined(parts: Sequence[Explanation]) -> Explanation:
    """Puts explanations of one image after the other; shorter traces are filled up with NaN."""
    longest = max(len(part.trace) for part in parts)

    def padded(values: Tensor) -> Tensor:
        return F.pad(values, (0, 0, 0, 0, 0, longest - len(values)), value=torch.nan)

    return Explanation(
        torch.cat([part.masks for part in parts]),
        torch.cat([part.heat for part in parts]),
        torch.cat([padded(part.trace) for part in parts], 1),
        torch.cat([padded(part.scores) for part in parts], 1),
        torch.cat([part.steps for part in parts]),
        parts[0].areas,
    )
