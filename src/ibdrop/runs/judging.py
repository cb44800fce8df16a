"""What masks do to a network's answer, on two fills, and what else there is to set beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.heatmap import kl_maps
from ibdrop.errors import ConfigError
from ibdrop.explain.attributions import ATTRIBUTIONS, attribution
from ibdrop.explain.base import Explanation, Fill, Perturbation
from ibdrop.explain.curves import BoxScores, Curve, box_scores, deletion, insertion
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.score import ClassScore
from ibdrop.explain.untouched import untouched

__all__ = ["Judge", "refused"]

FRESH = 3
"""Draws of a random fill over which a probability is averaged; of `average` each fill as often."""


@contextmanager
def refused() -> Iterator[None]:
    """Turns what a constructor refuses into the user's to mend."""
    try:
        yield
    except ValueError as error:
        raise ConfigError([str(error)]) from error


@dataclass(frozen=True)
class Judge:
    """Judges the masks of an explainer, in the batches that it made them in.

    Attributes:
        trained: The network and its data.
        explainer: What made the masks.
        second: A fill that it did not see.
        baselines: Whether other attributions are made too.
        say: Hears, in a sentence, what could not be made.
    """

    trained: Trained
    explainer: Explainer
    second: Fill
    baselines: bool
    say: Callable[[str], None]

    def __call__(
        self,
        x: Tensor,
        index: Tensor,
        classes: Tensor,
        found: Explanation,
        watch: Callable[[str, int, int], None],
    ) -> dict[str, Any]:
        """Everything in `ibdrop.artifacts.explanations.Explained` that is measured.

        Arguments:
            x: Pictures in [0, 1], with shape :math:`(B, C, H, W)`.
            index: Their numbers, with shape :math:`(B)`.
            classes: The classes asked for, with shape :math:`(B)`.
            found: The masks.
            watch: For a progress bar.
        """
        parts, names = [], self._baselines()
        for part in torch.arange(len(x)).split(self.explainer.together):
            watch("curves and baselines", int(part[0]), len(x))
            at = part.to(x.device)
            score = self._score(index[part], classes[at], self.explainer.draws)
            with untouched(self.trained.model), torch.no_grad():
                measured = self._on_fills(score, x[at], index[part], found, at)
            others = {
                name: self._baseline(name, x[at], index[part], classes[at]) for name in names
            }
            parts.append(measured | {"kl": self._kl(x[at]), "baselines": others})
        watch("curves and baselines", len(x), len(x))
        joined = {name: _joined([part[name] for part in parts]) for name in parts[0]}
        joined["baselines"] = {n: maps for n, maps in joined["baselines"].items() if maps.numel()}
        return joined

    def _score(self, index: Tensor, classes: Tensor, draws: int) -> ClassScore:
        return ClassScore(
            self.trained.model,
            self.trained.data.transform,
            classes,
            index,
            kind=self.explainer.kind,
            draws=draws,
            seed=self.explainer.seed,
        )

    def _on_fills(
        self, score: ClassScore, x: Tensor, index: Tensor, found: Explanation, at: Tensor
    ) -> dict[str, Any]:
        masks, heat = found.masks[at], found.heat[at]
        blank = torch.zeros_like(masks[:, :1])
        image = torch.arange(len(x), device=x.device)
        seed, together = self.explainer.seed, max(1, 256 * 96 * 96 // x[0, 0].numel())
        measured: dict[str, Any] = {"p_start": score.probability(x, image)}
        for suffix, fill in (("", self.explainer.fill), ("_second", self.second)):
            over = fill.over(x, index)
            draws = FRESH if fill.random else 1
            own = "optimised" if not suffix else "second"
            measured[f"composites{suffix}"] = over(masks, -1)
            measured[f"p_{own}"] = _probability(score, over, masks, draws)
            measured[f"p_blank{suffix}"] = _probability(score, over, blank, draws)[:, 0]
            for name, curve in (("deletion", deletion), ("insertion", insertion)):
                measured[f"{name}{suffix}"] = curve(
                    heat, score, over, index, seed=seed, draws=draws, together=together
                )
            if not suffix:
                measured["box_scores"] = box_scores(
                    heat, score, over, draws=draws, together=together
                )
        return measured

    @torch.no_grad()
    def _kl(self, x: Tensor) -> dict[str, Tensor]:
        inputs = self.trained.data.transform.from_unit(x)
        return kl_maps(self.trained.model(inputs, sample=False))

    def _baselines(self) -> list[str]:
        return list(ATTRIBUTIONS) if self.baselines else []

    def _baseline(self, name: str, x: Tensor, index: Tensor, classes: Tensor) -> Tensor:
        """Another attribution; empty, with a word about it, where it cannot be made."""
        try:
            return attribution(name)(self.trained.model, self._score(index, classes, 0), x)
        except ValueError as error:
            self.say(str(error))
            return x.new_empty(0)


def _probability(score: ClassScore, over: Perturbation, masks: Tensor, draws: int) -> Tensor:
    """The mean probability of composites over fresh draws of the fill, with shape (B, A)."""
    batch, areas = masks.shape[:2]
    image = torch.arange(batch, device=masks.device).repeat_interleave(areas)
    p = [score.probability(over(masks, -1 - draw).flatten(0, 1), image) for draw in range(draws)]
    return torch.stack(p).mean(0).view(batch, areas)


def _joined(parts: list[Any]) -> Any:
    """Puts what was measured in batches one after the other."""
    first = parts[0]
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, Curve):
        return Curve(first.fractions, torch.cat([part.p for part in parts]))
    if isinstance(first, BoxScores):
        rest = (torch.cat([part[place] for part in parts]) for place in (1, 2, 3))
        return BoxScores(first.alphas, *rest)
    return torch.cat(parts)
