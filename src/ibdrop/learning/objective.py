"""Cross-entropy plus the price of information, term by term."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.models.base import Prediction

__all__ = ["InformationWeight", "Terms", "objective"]


class Terms(NamedTuple):
    """The objective and what it is made of, each the mean over the batch.

    Attributes:
        loss: What is minimised, in nats.
        cross_entropy: How much the prediction misses, in nats.
        kl: The information that the noisy layers let through, in nats per sample, summed over
            units and layers.
        layers: The same for each noisy layer; where a layer has no KL, the mean of its output.
    """

    loss: Tensor
    cross_entropy: Tensor
    kl: Tensor
    layers: dict[str, Tensor]


def objective(prediction: Prediction, labels: Tensor, b: float) -> Terms:
    r"""Computes the information Lagrangian of a batch.

    .. math:: L = \frac{1}{B} \sum_i \Big[ -\log p(y_i | z_i)
        + b \sum_{l, u} \mathrm{KL}\big(p(z_{lu} | x_i) \,\|\, q(z_{lu})\big) \Big]

    References:
        Achille & Soatto, Information Dropout, 2018, eq. 6 with both signs corrected.

    Arguments:
        prediction: The output of a model for :math:`B` images.
        labels: The true classes, with shape :math:`(B)`.
        b: The weight of one nat against one nat of cross-entropy, see `InformationWeight`.
    """
    cross_entropy = F.cross_entropy(prediction.logits.float(), labels)
    kls = {name: kl.sum() / len(labels) for name, kl in prediction.kls.items()}
    kl = torch.stack(list(kls.values())).sum() if kls else cross_entropy.new_zeros(())
    loss = cross_entropy + b * kl if kls else cross_entropy
    layers = {
        name: (kls[name] if name in kls else layer.z.mean()).detach()
        for name, layer in prediction.layers.items()
    }
    return Terms(loss, cross_entropy.detach(), kl.detach(), layers)


class InformationWeight:
    r"""The effective multiplier :math:`b` of the summed KL.

    .. math:: b = \begin{cases} \beta / N & \text{paper units} \\ \beta & \text{nats} \end{cases}

    With warm-up over :math:`w` epochs, :math:`b` grows linearly from 0 until epoch :math:`w`.

    References:
        Achille & Soatto, 2018, sec. 6: the KL is divided by the number of training samples.

    Arguments:
        beta: The weight :math:`\beta \ge 0` as the user states it.
        units: `paper` divides by :math:`N`, as every published value of beta does; `nats` is
            the plain Lagrangian and the only one that makes a variational bound.
        train_images: The number of training samples :math:`N`.
        warmup: The length :math:`w` of the warm-up in epochs.

    Raises:
        ValueError: `units` is neither `paper` nor `nats`.
    """

    def __init__(self, beta: float, units: str, train_images: int, warmup: float = 0.0) -> None:
        if units not in ("paper", "nats"):
            raise ValueError(f"beta_units: {units!r} is not one of 'paper', 'nats'")
        self.b = beta / train_images if units == "paper" else beta
        self.warmup = warmup

    def at(self, epoch: float) -> float:
        """The multiplier after `epoch` epochs, which may be a fraction."""
        return self.b * min(1.0, epoch / self.warmup) if self.warmup > 0 else self.b
