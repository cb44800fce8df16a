"""Whether the place of the target is the truth: what a network makes of a canvas changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ibdrop.artifacts.scores import intervals, short

__all__ = ["TOLERANCE", "Views", "view_rows"]

TOLERANCE = 0.01
"""The change of accuracy that counts as none."""

FAILURES = {
    "without_target": "The network knows the class without the target, so the place of the target"
    " is not all of the truth: read the scores of location with that in mind.",
    "moved": "Moving the distractors changes how often the network is right, so it uses them: read"
    " the scores of location with that in mind.",
    "alone": "Without the distractors the network is right less often, so it needs them: read the"
    " scores of location with that in mind.",
}


@dataclass(frozen=True)
class Views:
    """Answers about the same canvases in several views (`ibdrop.data.views`).

    Attributes:
        predictions: The class named in each view, with shape :math:`(n)`; `whole` is one of them.
        labels: The true classes, likewise.
        seed: What the bootstrap is keyed by.
    """

    predictions: Mapping[str, Tensor]
    labels: Tensor
    seed: int

    @property
    def chance(self) -> float:
        """The accuracy of always naming the most frequent class."""
        return self.labels.bincount().max().item() / len(self.labels)


def view_rows(views: Views | None) -> list[dict[str, Any]]:
    """One row per view: accuracy and its change, with 95 % intervals, and whether it holds.

    Without the target, the interval of the accuracy must reach down to chance; with distractors
    moved or away, that of the change must reach to within a point of none (without distractors a
    gain is no failure).
    """
    if views is None:
        return []
    right = {name: (made == views.labels).double() for name, made in views.predictions.items()}
    parts = {
        ("view", name): {"accuracy": hits, "change": hits - right["whole"]}
        for name, hits in right.items()
    }
    spreads = intervals(parts, views.seed, ("accuracy", "change"))
    return [short(_row(views, name, parts["view", name], spreads["view", name])) for name in right]


def _row(
    views: Views,
    name: str,
    scores: Mapping[str, Tensor],
    spreads: Mapping[str, tuple[float, float]],
) -> dict[str, Any]:
    row: dict[str, Any] = {"view": name, "n": len(views.labels)}
    for measure, values in scores.items():
        row[measure] = values.mean().item()
        row[f"{measure}_low"], row[f"{measure}_high"] = spreads[measure]
    same = views.predictions[name] == views.predictions["whole"]
    row["same_class"] = same.double().mean().item()
    row["expected"] = f"chance, {views.chance:.3f}" if name == "without_target" else "as whole"
    row["holds"] = _holds(name, row, views.chance)
    row["failure"] = "" if row["holds"] else FAILURES[name]
    return row


def _holds(name: str, row: Mapping[str, Any], chance: float) -> bool:
    if name == "without_target":
        return bool(row["accuracy_low"] <= chance)
    low, high = row["change_low"], row["change_high"]
    lost, gained = high < -TOLERANCE, low > TOLERANCE
    return not (lost or (gained and name == "moved"))
