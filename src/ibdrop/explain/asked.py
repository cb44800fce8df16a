"""Coarse masks and what a network makes of the pictures that they leave."""

from __future__ import annotations

import torch
from torch import Tensor

from ibdrop.explain.base import Perturbation, Score
from ibdrop.explain.mask import Grid

__all__ = ["Asked"]


class Asked:
    """Scores coarse masks of the images of a batch."""

    def __init__(
        self,
        score: Score,
        perturbation: Perturbation,
        grid: Grid,
        count: int,
        device: torch.device,
    ) -> None:
        self.score, self.perturbation, self.grid = score, perturbation, grid
        self.count, self.device = count, device
        self.all = torch.arange(count, device=device)

    def __call__(
        self, m: Tensor, step: int, shift: tuple[int, int], rows: Tensor | None = None
    ) -> Tensor:
        """The scores of all images, or of some rows, with masks of shape (B, h, w) for all."""
        pixels = self.perturbation(self.grid.smooth(m)[:, None], step, shift).squeeze(1)
        return self.score(pixels, self.all) if rows is None else self.score(pixels[rows], rows)

    def mean(self, m: Tensor, pairs: list[tuple[int, tuple[int, int]]], one: Tensor) -> Tensor:
        """The mean score of one row over draws and shifts, all in one pass."""
        smooth = self.grid.smooth(m)[:, None]
        pixels = [self.perturbation(smooth, *pair)[one, 0] for pair in pairs]
        return self.score(torch.cat(pixels), one.expand(len(pairs))).mean(0, keepdim=True)
