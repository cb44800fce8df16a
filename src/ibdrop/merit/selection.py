"""How well an uncertainty finds the mistakes: risk against coverage, and AUROC.

All figures give images of equal score the mean of what their possible orders give, so none
depends on the order in which the images come.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = [
    "aurc",
    "auroc",
    "auroc_of_error",
    "cumulative",
    "error_of_most_uncertain",
    "excess_aurc",
    "risk_coverage",
]


def cumulative(score: Tensor, values: Tensor) -> Tensor:
    """Sums of the values of the first 1, 2, ... images by rising score.

    Within a tie the sum rises evenly: the mean over all orders of the images that share a score.

    Arguments:
        score: With shape :math:`(N)`.
        values: With shape :math:`(N)`.

    Returns:
        float64 sums with shape :math:`(N)`; exact at the end of each tie for whole numbers.
    """
    _, place, counts = score.unique(return_inverse=True, return_counts=True)
    totals = torch.zeros(len(counts), dtype=torch.float64, device=score.device)
    totals.index_add_(0, place, values.double())
    tie = torch.arange(len(counts), device=score.device).repeat_interleave(counts)
    before, first = totals.cumsum(0) - totals, counts.cumsum(0) - counts
    inside = torch.arange(1, len(score) + 1, device=score.device) - first[tie]
    sums: Tensor = before[tie] + inside * totals[tie] / counts[tie]
    return sums


def risk_coverage(score: Tensor, wrong: Tensor) -> tuple[Tensor, Tensor]:
    r"""The error :math:`r_i` of the :math:`i` least uncertain images, for each :math:`i`.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.

    Returns:
        Coverage :math:`i / N` and risk :math:`r_i`, both float64 with shape :math:`(N)`.

    Reference:
        Geifman & El-Yaniv, Selective classification for deep neural networks, arXiv 1705.08500.
    """
    kept = torch.arange(1, len(score) + 1, dtype=torch.float64, device=score.device)
    return kept / len(score), cumulative(score, wrong) / kept


def aurc(score: Tensor, wrong: Tensor) -> Tensor:
    r"""Area under the risk-coverage curve, :math:`\frac{1}{N} \sum_{i=1}^N r_i`.

    The estimator of Geifman, Uziel & El-Yaniv, Bias-reduced uncertainty estimation, arXiv
    1805.08206, sec. 2: the mean over all coverages, not a trapezoidal rule. A score that says
    nothing gets the overall error on average.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.
    """
    return risk_coverage(score, wrong)[1].mean()


def excess_aurc(score: Tensor, wrong: Tensor) -> Tensor:
    """AURC less that of an oracle, which puts every mistake after all successes.

    Exact for these images, where arXiv 1805.08206 approximates the oracle's by an integral.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.
    """
    return aurc(score, wrong) - aurc(wrong.double(), wrong)


def auroc(negative: Tensor, positive: Tensor) -> Tensor:
    r"""The chance that a positive scores higher than a negative, a tie counting one half.

    The statistic of Mann and Whitney, from ranks: torchmetrics would squash scores beyond
    [0, 1] by a sigmoid and make ties of them.

    Arguments:
        negative: Scores, with shape :math:`(M)`.
        positive: Scores, with shape :math:`(N)`.

    Returns:
        A float64 number; NaN if either is empty.
    """
    low = negative.sort().values
    below, upto = (torch.searchsorted(low, positive.contiguous(), right=r) for r in (False, True))
    return (below + upto).sum().double() / (2 * len(negative) * len(positive) or torch.nan)


def auroc_of_error(score: Tensor, wrong: Tensor) -> float:
    """The chance that a mistake scores higher than a success; NaN unless there are both.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.
    """
    return float(auroc(score[~wrong], score[wrong]))


def error_of_most_uncertain(score: Tensor, wrong: Tensor, count: int) -> Tensor:
    """The share of mistakes among the highest scores.

    Arguments:
        score: Any uncertainty, with shape :math:`(N)`.
        wrong: Whether the prediction is wrong, with shape :math:`(N)`.
        count: The number of images, at least 1.
    """
    return cumulative(-score, wrong)[count - 1] / count
