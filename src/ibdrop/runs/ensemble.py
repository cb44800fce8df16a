"""Several trained networks as one: a deep ensemble, the honest baseline of Monte Carlo dropout."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ibdrop import merit
from ibdrop.artifacts.ensemble import write_ensemble
from ibdrop.files import write_bytes
from ibdrop.runs.subject import Answer, Network, of_probabilities
from ibdrop.sampling.predictive import Predictive, entropy
from ibdrop.seeds import generator

__all__ = ["Ensemble", "between", "by_size", "pooled", "write"]

SUBSETS = 60
Row = dict[str, Any]


class Ensemble:
    r"""Networks trained from different seeds, whose predictions are averaged.

    .. math:: \bar p(y | x) = \frac{1}{M} \sum_m p_m(y | x)

    Every member has the same weight. With the noise on, each member is sampled by itself and
    :math:`p_m` is the mean of its passes.

    Reference: Lakshminarayanan, Pritzel & Blundell, arXiv 1612.01474, sec. 2.4.

    Arguments:
        names: What the members are called.
        members: The networks; those that draw no noise count once among noisy ones.
    """

    def __init__(self, names: Sequence[str], members: Sequence[Network]) -> None:
        self.names = list(names)
        self.members = list(members)
        self.sampled = any(network.sampled for network in members)

    @property
    def notes(self) -> list[str]:
        """Where a sampler fell back, in sentences."""
        notes = (note for network in self.members for note in network.notes)
        return list(dict.fromkeys(notes))

    def __call__(self, inputs: Tensor, index: Tensor) -> Answer:
        answers = [network(inputs, index) for network in self.members]
        plain = of_probabilities(torch.stack([answer.plain.mean for answer in answers]))
        found = pooled([answer.found for answer in answers], plain.mean)
        return Answer(found, plain if self.sampled else found)

    def rows(self, answer: Answer, labels: Tensor) -> list[Row]:
        """The figures of the ensemble, the deterministic row before that of the noise.

        Both rows know how far the members disagree: their mutual information is between
        members, and with the noise on between all passes of all members.
        """
        return [self._row(kind, found, labels) for kind, found in self.kinds(answer)]

    def kinds(self, answer: Answer) -> list[tuple[str, Predictive]]:
        """The predictions by name, one group per member."""
        found = [("deterministic", answer.plain)]
        return [*found, ("monte carlo", answer.found)] if self.sampled else found

    def table(self, answer: Answer, labels: Tensor) -> list[Row]:
        """One row per member, their mean with its standard deviation, and the ensemble."""
        rows: list[Row] = []
        for kind, found in self.kinds(answer):
            alone = [
                {"of": "member", "run": name, "members": 1, **_alone(kind, found, m, labels)}
                for m, name in enumerate(self.names)
            ]
            whole = {"run": "", "members": len(self.names)}
            mean = {"prediction": kind, **_mean_and_sd(alone)}
            rows += [*alone, {"of": "mean of members", **whole, **mean}]
            rows.append({"of": "ensemble", **whole, **self._row(kind, found, labels)})
        return rows

    def _row(self, kind: str, found: Predictive, labels: Tensor) -> Row:
        row = {**_without_errors(merit.figures(found, labels)[-1]), "prediction": kind}
        return {**row, "mean_mutual_information_between_members": between(found).mean().item()}


def pooled(found: Sequence[Predictive], deterministic: Tensor) -> Predictive:
    """The passes of every member as a group of its own, all groups with the same weight.

    Arguments:
        found: What each member says.
        deterministic: What the ensemble says with the noise off, with shape :math:`(B, K)`.
    """
    most = max(one.passes for one in found)

    def stack(values: Iterable[Tensor]) -> Tensor:
        return torch.stack(list(values))

    return Predictive(
        (most,) * len(found),
        stack(one.mean for one in found),
        stack(one.expected_entropy for one in found),
        stack(one.variance + one.mean.square().sum(-1) for one in found),
        stack(one.votes.sum(0) * (most // one.passes) for one in found),
        stack(_mean_logits(one) for one in found),
        deterministic,
    )


def between(found: Predictive) -> Tensor:
    r"""Mutual information between members, :math:`H(\bar p) - \frac{1}{M} \sum_m H(p_m)`, (B).

    In nats; what the passes within a member disagree on is not in it.
    """
    return (found.entropy - entropy(found.means).mean(0)).clamp_min(0)


def by_size(found: Predictive, labels: Tensor, seed: int) -> list[Row]:
    r"""Error and NLL of the ensembles of :math:`r = 1, \dots, M` of the members.

    All subsets of a size are tried, or 60 drawn at random where there are more.

    Arguments:
        found: One group per member.
        labels: The true classes, with shape :math:`(N)`.
        seed: Keys the draw of subsets.

    Returns:
        For each size the number of subsets tried, and mean, least and greatest figure.
    """
    count = len(found.sizes)
    rows = []
    for size in range(1, count + 1):
        tried = [_plain(found, subset, labels) for subset in _subsets(count, size, seed)]
        row: Row = {"members": size, "subsets": len(tried)}
        for name in ("error", "nll"):
            values = [one[name] for one in tried]
            row |= {name: math.fsum(values) / len(values)}
            row |= {f"{name}_least": min(values), f"{name}_most": max(values)}
        rows.append(row)
    return rows


def _subsets(count: int, size: int, seed: int) -> list[tuple[int, ...]]:
    if math.comb(count, size) <= SUBSETS:
        return list(combinations(range(count), size))
    draws = generator(seed, "subsets", size)
    return [tuple(torch.randperm(count, generator=draws)[:size].tolist()) for _ in range(SUBSETS)]


def _plain(found: Predictive, subset: Sequence[int], labels: Tensor) -> dict[str, float]:
    p = found.means[list(subset)].mean(0)
    error = (p.argmax(1) != labels).double().mean().item()
    return {"error": error, "nll": merit.negative_log_likelihood(p, labels).item()}


def _alone(kind: str, found: Predictive, m: int, labels: Tensor) -> Row:
    """The figures of one member."""
    if kind == "deterministic":
        row = {"passes": 1, **merit.plain_figures(found.means[m], labels)}
    else:
        row = _without_errors(merit.figures(found.groups([m]), labels)[-1])
    return {**row, "prediction": kind}


def _mean_logits(found: Predictive) -> Tensor:
    weights = torch.tensor(found.sizes, dtype=torch.float64, device=found.logits.device)
    mean: Tensor = torch.tensordot(weights / weights.sum(), found.logits.double(), dims=1)
    return mean


def _without_errors(row: Row) -> Row:
    """Errors over groups would be those of other members here, not of more passes."""
    return {name: value for name, value in row.items() if not name.endswith("_se")}


def _mean_and_sd(rows: Sequence[Row]) -> Row:
    found: Row = {}
    for name in (name for name, value in rows[0].items() if isinstance(value, float)):
        values = torch.tensor([row[name] for row in rows], dtype=torch.float64)
        found |= {name: values.mean().item(), f"{name}_sd": values.std().item()}
    return found


def write(
    folder: Path, ensemble: Ensemble, answer: Answer, labels: Tensor, seed: int
) -> list[Path]:
    """Writes ensemble.png, ensemble.csv, ensemble_size.csv and ensemble_predictions.npz.

    Arguments:
        folder: Where to write.
        ensemble: Who was asked.
        answer: What was said of the test images.
        labels: Their true classes, with shape :math:`(N)`.
        seed: Keys the subsets of members that are tried.
    """
    sizes = [
        {"prediction": kind, **row}
        for kind, found in ensemble.kinds(answer)
        for row in by_size(found, labels, seed)
    ]
    table = ensemble.table(answer, labels)
    return [*write_ensemble(folder, table, sizes), _predictions(folder, ensemble, answer, labels)]


def _predictions(folder: Path, ensemble: Ensemble, answer: Answer, labels: Tensor) -> Path:
    """Distributions (N, K) of the ensemble and (M, N, K) of its members, by image."""
    arrays: dict[str, Any] = {"labels": labels.numpy(), "members": np.array(ensemble.names)}
    for kind, found in ensemble.kinds(answer):
        prefix = kind.replace(" ", "_")
        arrays[f"{prefix}_probabilities"] = found.mean.numpy()
        arrays[f"{prefix}_members"] = found.means.numpy()
        arrays[f"{prefix}_entropy"] = found.entropy.numpy()
        arrays[f"{prefix}_mutual_information"] = found.mutual_information.numpy()
        arrays[f"{prefix}_mutual_information_between_members"] = between(found).numpy()
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)
    return write_bytes(folder / "ensemble_predictions.npz", content.getvalue())
