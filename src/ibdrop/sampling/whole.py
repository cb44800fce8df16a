"""The plain way to sample: the whole network, once for each pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.random import Answering, Rows
from ibdrop.seeds import key

__all__ = ["Whole"]


class Whole:
    """Calls the whole network for every pass, with the same draws as any other way.

    Arguments:
        model: The network.
        draws: The random numbers.
    """

    row_bytes = 1 << 20
    image_bytes = 1 << 20

    def __init__(self, model: nn.Module, draws: Draws) -> None:
        self.model, self.draws = model, draws
        self.keyed = True

    def probe(self, inputs: Tensor, images: Tensor) -> int:
        """Counts the draws of a pass, and finds out whether torch's generator is used beside."""
        source = Rows(self.draws, range(1), images, lifted=False)
        before = _states(inputs.device)
        with drawing_from(source), Answering(source):
            self.model(inputs, sample=True)
        self.keyed = all(map(torch.equal, before, _states(inputs.device)))
        return source.call

    def prefix(self, inputs: Tensor) -> Tensor:
        return inputs

    def plain(self, known: Tensor) -> Tensor:
        logits: Tensor = self.model(known, sample=False).logits
        return logits

    def logits(self, known: Tensor, passes: range, images: Tensor) -> Tensor:
        return torch.stack([self._pass(known, t, images) for t in passes])

    def _pass(self, inputs: Tensor, t: int, images: Tensor) -> Tensor:
        if not self.keyed:
            torch.manual_seed(key(self.draws.seed, "pass", t, int(images[0])))
        source = Rows(self.draws, range(t, t + 1), images, lifted=False)
        with drawing_from(source), Answering(source):
            logits: Tensor = self.model(inputs, sample=True).logits
        return logits


def _states(device: torch.device) -> list[Tensor]:
    cuda = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *cuda]
