"""How good probabilities are: NLL, Brier score, calibration error."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.merit.selection import cumulative

__all__ = [
    "adaptive_calibration_error",
    "brier_score",
    "calibration_error",
    "expected_calibration_error",
    "negative_log_likelihood",
    "reliability",
]

TINY = 1e-300
"""Stands for a probability of zero in a logarithm, so that one image cannot make it infinite."""


def negative_log_likelihood(p: Tensor, labels: Tensor) -> Tensor:
    r"""Mean of :math:`-\log p_y` in nats; of a mixture, with :math:`p` the mean of its members.

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
    """
    return F.nll_loss(p.double().clamp_min(TINY).log(), labels)


def brier_score(p: Tensor, labels: Tensor) -> Tensor:
    r"""Mean of :math:`\sum_k (p_k - [y = k])^2`, from 0 to 2 (Brier, 1950).

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
    """
    truth = F.one_hot(labels, p.shape[1])
    total: Tensor = (p.double() - truth).square().sum(1).mean()
    return total


def reliability(p: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """Counts, summed confidences and summed successes per bin of confidence.

    Bins have equal width and include their lower edge; the last includes 1 as well, which
    torchmetrics gives a bin of its own.

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
        bins: The number of bins :math:`M`.

    Returns:
        float64 sums with shape :math:`(3, M)`.
    """
    confidence, predicted = p.double().max(1)
    right = (predicted == labels).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=p.device)
    place = torch.bucketize(confidence, edges[1:-1], right=True)
    sums = torch.zeros(3, bins, dtype=torch.float64, device=p.device)
    values = torch.stack([torch.ones_like(confidence), confidence, right])
    found: Tensor = sums.index_add_(1, place, values)
    return found


def expected_calibration_error(p: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    r"""Mean distance of confidence from accuracy, :math:`\sum_m \frac{n_m}{N} |a_m - c_m|`.

    Reference: Guo et al., On calibration of modern neural networks, arXiv 1706.04599, eq. 3.

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
        bins: The number of bins of equal width.
    """
    return calibration_error(reliability(p, labels, bins))


def calibration_error(sums: Tensor) -> Tensor:
    """The calibration error of counts, summed confidences and successes, (3, M)."""
    counts, confidence, right = sums
    error: Tensor = (confidence - right).abs().sum() / counts.sum()
    return error


def adaptive_calibration_error(p: Tensor, labels: Tensor, bins: int = 15) -> Tensor:
    """The calibration error over bins that hold equally many images, to within one.

    Images are sorted by confidence; those of equal confidence share their mean success, so the
    result does not depend on the order of the images.

    Reference: Nguyen & O'Connor, Posterior calibration and exploratory analysis for natural
    language processing models, arXiv 1508.05154 (adaptive binning).

    Arguments:
        p: Predictive distributions, with shape :math:`(N, K)`.
        labels: True classes, with shape :math:`(N)`.
        bins: The number of bins; fewer where there are fewer images.
    """
    confidence, predicted = p.double().max(1)
    edges = torch.linspace(0, len(p), 1 + min(bins, len(p))).round().long().to(p.device)
    right, sure = (
        F.pad(cumulative(confidence, values), (1, 0))[edges].diff()
        for values in (predicted == labels, confidence)
    )
    error: Tensor = (right - sure).abs().sum() / len(p)
    return error
