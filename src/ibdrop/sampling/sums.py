"""Sums over passes, kept while they are drawn: memory does not grow with their number."""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.sampling.predictive import Predictive, entropy

__all__ = ["Sums"]


class Sums:
    """Sums over the passes of each group, in float64 on the device.

    Arguments:
        sizes: The number of passes of each group.
        images: The number of images :math:`B`.
        plain: Some logits of the same kind.
    """

    def __init__(self, sizes: tuple[int, ...], images: int, plain: Tensor) -> None:
        self.sizes = sizes
        classes = plain.shape[-1]
        double = plain.new_zeros((), dtype=torch.float64)
        self.deterministic = double.new_zeros(images, classes)
        self.means, self.logits = (double.new_zeros(len(sizes), images, classes) for _ in "pl")
        self.entropies, self.squares = (double.new_zeros(len(sizes), images) for _ in "es")
        self.votes = torch.zeros(
            len(sizes), images, classes, dtype=torch.int32, device=double.device
        )
        self.group = [group for group, size in enumerate(sizes) for _ in range(size)]

    def add(self, passes: range, place: slice, logits: Tensor) -> None:
        """Takes in a tile.

        Arguments:
            passes: The numbers of its passes.
            place: Where its images are.
            logits: With shape :math:`(S, B, K)`.
        """
        logits = logits.double()
        p = logits.softmax(-1)
        each = entropy(p), p.square().sum(-1)
        winners = p.argmax(-1)
        for s, t in enumerate(passes):
            group = self.group[t]
            self.means[group, place] += p[s]
            self.logits[group, place] += logits[s]
            self.entropies[group, place] += each[0][s]
            self.squares[group, place] += each[1][s]
            one = torch.ones_like(winners[s, :, None], dtype=torch.int32)
            self.votes[group, place].scatter_add_(1, winners[s, :, None], one)

    def predictive(self) -> Predictive:
        """The means over the passes of each group."""
        sizes = torch.tensor(self.sizes, dtype=torch.float64, device=self.means.device)
        return Predictive(
            self.sizes,
            self.means / sizes[:, None, None],
            self.entropies / sizes[:, None],
            self.squares / sizes[:, None],
            self.votes,
            self.logits / sizes[:, None, None],
            self.deterministic,
        )
