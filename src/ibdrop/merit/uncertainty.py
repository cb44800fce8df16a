"""Scores of uncertainty, and how well they tell outliers from images of the known kind."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics.functional.classification import (
    binary_average_precision,
    binary_specificity_at_sensitivity,
)

from ibdrop.merit.selection import auroc
from ibdrop.sampling.predictive import Predictive, entropy

__all__ = ["detection", "scores"]


def scores(found: Predictive) -> dict[str, Tensor]:
    r"""Every uncertainty of every image, float64 with shape (N); higher is less sure.

    With :math:`\bar p` the mean of the softmax over passes, :math:`\bar a` the mean of the
    logits, :math:`q` the softmax with the noise off, and :math:`H` the entropy in nats:

    ==============================  ===========================================================
    `max_probability`               :math:`1 - \max_k \bar p_k`
    `entropy`                       :math:`H(\bar p)`, the predictive entropy
    `expected_entropy`              :math:`\frac{1}{T} \sum_t H(p_t)`
    `mutual_information`            the first entropy less the second
    `variance`                      :math:`\sum_k \mathrm{Var}_t\, p_{tk}`
    `variation_ratio`               the share of passes that do not vote for the favourite
    `logit_mean_entropy`            :math:`H(\mathrm{softmax}(\bar a))`
    `energy`                        :math:`-\log \sum_k e^{\bar a_k}` (arXiv 2010.03759)
    `deterministic_entropy`         :math:`H(q)`
    `deterministic_max_probability`  :math:`1 - \max_k q_k`
    ==============================  ===========================================================

    Arguments:
        found: What the passes say of :math:`N` images.
    """
    plain = found.deterministic.double()
    return {
        "max_probability": 1 - found.mean.max(-1).values,
        "entropy": found.entropy,
        "expected_entropy": found.expected_entropy,
        "mutual_information": found.mutual_information,
        "variance": found.variance,
        "variation_ratio": found.variation_ratio.double(),
        "logit_mean_entropy": entropy(found.logit_mean),
        "energy": -_mean_logits(found).logsumexp(-1),
        "deterministic_entropy": entropy(plain),
        "deterministic_max_probability": 1 - plain.max(-1).values,
    }


def _mean_logits(found: Predictive) -> Tensor:
    sizes = torch.tensor(found.sizes, dtype=torch.float64, device=found.logits.device)
    mean: Tensor = torch.tensordot(sizes / sizes.sum(), found.logits.double(), dims=1)
    return mean


def detection(inside: Tensor, outside: Tensor) -> dict[str, float]:
    """How well a score tells outliers from images of the known kind.

    `auroc`: the chance that an outlier scores higher. `aupr_out`: average precision with the
    outliers as positives, `aupr_in` with the known images (by falling score); unlike AUROC they
    depend on how many there are of each. `fpr95`: the share of the known images that are flagged
    when the threshold is the highest that flags at least 95 % of the outliers.

    Reference: Hendrycks & Gimpel, arXiv 1610.02136; Hendrycks et al., arXiv 1812.04606, sec. 4.

    Arguments:
        inside: Scores of images of the known kind, with shape :math:`(M)`; higher is less known.
        outside: Scores of outliers, with shape :math:`(N)`.

    Raises:
        ValueError: Either is empty.
    """
    if not len(inside) or not len(outside):
        raise ValueError(
            f"{len(inside)} images of the known kind and {len(outside)} outliers; detection needs"
            " at least one of each"
        )
    # Ranks, as torchmetrics would squash scores beyond [0, 1] by a sigmoid and make ties of them.
    _, ranks = torch.cat([inside, outside]).unique(return_inverse=True)
    score = ranks.double() / max(1, int(ranks.max()))
    is_outlier = torch.arange(len(score), device=score.device) >= len(inside)
    specificity, _ = binary_specificity_at_sensitivity(score, is_outlier.long(), 0.95)
    return {
        "auroc": float(auroc(inside, outside)),
        "aupr_in": float(binary_average_precision(1 - score, (~is_outlier).long())),
        "aupr_out": float(binary_average_precision(score, is_outlier.long())),
        "fpr95": round((1 - float(specificity)) * len(inside)) / len(inside),
    }
