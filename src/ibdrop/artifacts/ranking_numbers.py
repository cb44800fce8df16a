"""The numbers of the ranking: of each image, of how stable its order is, of how they converge."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torchmetrics.functional.regression import spearman_corrcoef

from ibdrop.merit import expected_calibration_error, negative_log_likelihood
from ibdrop.sampling.predictive import Predictive, entropy

__all__ = [
    "STABILITY",
    "agreement",
    "convergence_rows",
    "image_rows",
    "order_scores",
    "overlap",
    "stability_figures",
    "stability_rows",
]

STABILITY = 30
"""The images of each end whose overlap the summary states, whatever the pictures show."""

CONVERGING = ("error", "nll", "ece", "mean_entropy", "mean_mutual_information")

Row = dict[str, Any]


def order_scores(found: Predictive) -> dict[str, Tensor]:
    """All by which images can be ordered, each with shape (N); higher is less sure."""
    return {
        "entropy": found.entropy,
        "deterministic_entropy": entropy(found.deterministic),
        "mutual_information": found.mutual_information,
        "variance": found.variance,
        "variation_ratio": found.variation_ratio,
        "logit_mean_entropy": entropy(found.logit_mean),
    }


def image_rows(
    found: Predictive,
    index: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    names: Sequence[str] | None = None,
) -> list[Row]:
    """One row per image, the highest entropy first, then by number.

    Arguments:
        found: What the passes say, image by image.
        index: The number of each image in the test set, rising, with shape :math:`(N)`.
        labels: True classes, with shape :math:`(N)`.
        classes: The names of the :math:`K` classes.
        names: What the images of the test set are called, if they have names.
    """
    order = found.entropy.argsort(descending=True, stable=True)
    columns = {name: values[order].tolist() for name, values in _columns(found).items()}
    means = found.mean[order].tolist()
    shares = [f"p_{name}" for name in classes]
    told = found.mean.argmax(1)[order].tolist(), found.deterministic.argmax(1)[order].tolist()
    rows = []
    for i, (number, label) in enumerate(
        zip(index[order].tolist(), labels[order].tolist(), strict=True)
    ):
        row: Row = {
            "index": number,
            **({"name": names[number]} if names else {}),
            "label": classes[label],
            "predicted": classes[told[0][i]],
            "predicted_deterministic": classes[told[1][i]],
            "correct": told[0][i] == label,
        }
        row |= {name: _text(values[i]) for name, values in columns.items()}
        row |= dict(zip(shares, map(_text, means[i]), strict=True))
        rows.append(row)
    return rows


def _columns(found: Predictive) -> dict[str, Tensor]:
    scores = order_scores(found)
    errors = found.standard_error(
        lambda some: torch.stack([some.entropy, some.mutual_information])
    )
    return {
        "entropy": scores["entropy"],
        "entropy_se": errors[0],
        "expected_entropy": found.expected_entropy,
        "mutual_information": scores["mutual_information"],
        "mutual_information_se": errors[1],
        **{name: scores[name] for name in ("variance", "variation_ratio", "logit_mean_entropy")},
        "deterministic_entropy": scores["deterministic_entropy"],
    }


def _text(value: float) -> str:
    return "" if value != value else f"{value:.9g}"


def overlap(first: Tensor, second: Tensor, count: int) -> tuple[int, int]:
    """How many of the `count` highest, and of the `count` lowest, two scores have in common.

    Arguments:
        first: A score of each image, with shape :math:`(N)`.
        second: Another, with shape :math:`(N)`.
        count: The images at each end.
    """
    orders = [score.argsort(descending=True, stable=True) for score in (first, second)]
    ends = [order[:count] for order in orders], [order[-count:] for order in orders]
    top, bottom = (int(torch.isin(*end).sum()) for end in ends)
    return top, bottom


def stability_rows(
    found: Predictive, labels: Tensor, classes: Sequence[str], count: int
) -> list[Row]:
    """How far two half-runs, and the deterministic network, agree on both ends of each ranking.

    Arguments:
        found: What the passes say, image by image.
        labels: True classes, with shape :math:`(N)`.
        classes: The names of the classes.
        count: The images at each end.

    Returns:
        A row over all images, then one for each class that occurs; the overlaps are numbers of
        images. Of a single group of passes there are no half-runs.
    """
    whole, plain = found.entropy, entropy(found.deterministic)
    halves = [half.entropy for half in found.halves()] if len(found.sizes) > 1 else []
    rows = []
    for scope, name, place in _scopes(labels, classes):
        shown = min(count, len(place))
        row: Row = {"scope": scope, "class": name, "images": len(place), "shown": shown}
        pairs = {"deterministic": (whole, plain)}
        if halves:
            pairs = {"halves": (halves[0], halves[1]), **pairs}
        for what, (first, second) in pairs.items():
            top, bottom = overlap(first[place], second[place], shown)
            row |= {f"highest_{what}": top, f"lowest_{what}": bottom}
        rows.append(row)
    return rows


def _scopes(labels: Tensor, classes: Sequence[str]) -> Iterator[tuple[str, str, Tensor]]:
    yield "all", "", torch.arange(len(labels))
    for k in labels.unique().tolist():
        yield "class", classes[k], (labels == k).nonzero()[:, 0]


def stability_figures(found: Predictive, labels: Tensor, classes: Sequence[str]) -> Row:
    """Overlaps of the 30 most and least uncertain as shares, over all and as mean over classes.

    Classes of no more than 30 images agree by force and are left out.
    """
    rows = stability_rows(found, labels, classes, STABILITY)
    per_class = [row for row in rows[1:] if row["images"] > STABILITY]
    figures = {}
    for what, name in (("halves", "stability"), ("deterministic", "overlap_deterministic")):
        for end, word in (("highest", "top"), ("lowest", "bottom")):
            key = f"{end}_{what}"
            figures[f"{name}_{word}_{STABILITY}"] = _share(rows[:1], key)
            figures[f"{name}_{word}_{STABILITY}_per_class"] = _share(per_class, key)
    return figures


def _share(rows: Sequence[Row], key: str) -> float | str:
    shares = [row[key] / row["shown"] for row in rows if key in row]
    return sum(shares) / len(shares) if shares else ""


def agreement(scores: Mapping[str, Tensor], count: int) -> list[Row]:
    r"""Spearman's rank correlation of every two scores, and the overlap of their ends.

    Arguments:
        scores: By name, each with shape :math:`(N)`.
        count: The images at each end.
    """
    names = list(scores)
    shown = min(count, len(scores[names[0]]))
    rows = []
    for place, first in enumerate(names):
        for second in names[place + 1 :]:
            pair = scores[first], scores[second]
            top, bottom = overlap(*pair, shown)
            both = {"first": first, "second": second, "spearman": _spearman(*pair)}
            rows.append({**both, "shown": shown, "highest": top, "lowest": bottom})
    return rows


def _spearman(first: Tensor, second: Tensor) -> float | str:
    """Empty where a score is the same for all images: nothing is ordered."""
    if any(bool((score == score[0]).all()) for score in (first, second)):
        return ""
    return round(float(spearman_corrcoef(first, second)), 6)


def convergence_rows(found: Predictive, labels: Tensor) -> list[Row]:
    r"""Figures against the number of passes drawn, group after group.

    Beside each its jackknife standard error over the groups so far; the root mean square over
    the images of :math:`H_i(T) - H_i`, the entropy's distance from that of the whole run; and of
    its standard error.

    Arguments:
        found: What the passes say, in several groups.
        labels: True classes, with shape :math:`(N)`.
    """
    plain = Predictive.of_logits(found.deterministic.clamp_min(1e-300).log()[None])
    first = dict(zip(CONVERGING, _estimates(plain, labels).tolist(), strict=False))
    rows: list[Row] = [{"prediction": "deterministic", "passes": 1, **first}]
    whole = found.entropy
    needed = replace(found, votes=found.votes[:, :0], logits=found.logits[:, :0])
    for count in range(1, len(found.sizes) + 1):
        some = needed.groups(range(count))
        row = {"prediction": "monte carlo", "passes": some.passes}
        rows.append({**row, **_converging(some, labels, whole)})
    return rows


def _converging(some: Predictive, labels: Tensor, whole: Tensor) -> Row:
    def estimates(part: Predictive) -> Tensor:
        return _estimates(part, labels)

    values, errors = estimates(some), some.standard_error(estimates)
    row: Row = {}
    for name, value, error in zip(CONVERGING, values.tolist(), errors.tolist(), strict=False):
        row |= {name: value, f"{name}_se": "" if math.isnan(error) else error}
    count = len(CONVERGING)
    spread = _rms(errors[count:])
    row["entropy_rms_difference"] = _rms(values[count:] - whole)
    row["entropy_rms_se"] = "" if math.isnan(spread) else spread
    return row


def _estimates(found: Predictive, labels: Tensor) -> Tensor:
    """The figures, then the entropy of each image."""
    p, expected = found.mean, found.expected_entropy
    h = entropy(p)
    figures = (
        (p.argmax(1) != labels).double().mean(),
        negative_log_likelihood(p, labels),
        expected_calibration_error(p, labels),
        h.mean(),
        (h - expected).clamp_min(0).mean(),
    )
    return torch.cat([torch.stack(figures), h])


def _rms(values: Tensor) -> float:
    return float(values.square().mean().sqrt())
