"""Monte Carlo sampling of a network with its noise on."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ibdrop.sampling.predictive import Predictive
from ibdrop.seeds import key

__all__ = ["MonteCarlo"]


class MonteCarlo:
    """PLACEHOLDER being replaced: the interface is final, the inside is a plain loop."""

    def __init__(
        self,
        model: nn.Module,
        *,
        seed: int,
        passes: int = 50,
        mask_sharing: Literal["batch", "row"] = "batch",
        design: Literal["independent", "antithetic", "balanced"] = "balanced",
        groups: int = 10,
        memory: float | None = None,
    ) -> None:
        self.model = model
        self.seed = seed
        self.passes = passes
        self.groups = min(groups, passes)
        self.notes: list[str] = []

    @torch.no_grad()
    def __call__(self, inputs: Tensor, index: Tensor) -> Predictive:
        with torch.random.fork_rng(devices=[]):
            plain = self.model(inputs, sample=False).logits.double().softmax(-1)
            logits = []
            for t in range(self.groups):
                torch.manual_seed(key(self.seed, t))
                logits.append(self.model(inputs, sample=True).logits)
        return Predictive.of_logits(torch.stack(logits), plain)
