r"""The three objectives that a relaxed graph may be trained on, and their multi-sample form.

Per layer each is a price in nats per unit that stands for
:math:`\log q(z | x) - \log p(z)`, and a sample weighs

.. math:: \log w = \log p(x | z) - b \sum_i \mathrm{price}_i.

Only with `density` is the result a lower bound of a log-likelihood, that of the *relaxed* model;
none of the three says anything about the discrete one.

Reference: Maddison, Mnih & Teh, arXiv 1611.00712, appendix C, equations 20 to 22.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from ibdrop.models.discrete.estimators import ESTIMATORS, Draw
from ibdrop.models.discrete.units import Units

__all__ = ["OBJECTIVES", "Objective", "check_objective", "multi_sample", "price"]

Objective = Literal["density", "relaxed_mass", "analytic"]
OBJECTIVES: tuple[str, ...] = get_args(Objective)


def price(
    units: Units, draw: Draw, prior: Tensor, objective: str, temperatures: tuple[float, float]
) -> Tensor:
    r"""Gives what a layer costs, in nats per unit.

    .. math:: \log \frac{q_{\alpha, \lambda_1}(y | x)}{p_{a, \lambda_2}(y)} \;(20), \qquad
        \sum_k z_k \log \frac{Q(d_k | x)}{P(d_k)} \;(21), \qquad
        \mathrm{KL}(Q(d | x) \,\|\, P(d)) \;(22)

    Arguments:
        units: What the units are.
        draw: The layer as drawn from the posterior.
        prior: The logits of the prior, broadcast against those of the draw.
        objective: `density` (20), `relaxed_mass` (21) or `analytic` (22).
        temperatures: That of the posterior, :math:`\lambda_1`, and of the prior,
            :math:`\lambda_2`; of (20) alone.

    Returns:
        Nats with shape :math:`(*, H)`.

    Raises:
        ValueError: The draw was not relaxed and the objective asks for its density.
    """
    if objective == "analytic":
        return units.kl(draw.logits, prior)
    if objective == "relaxed_mass":
        return units.log_mass(draw.state, draw.logits) - units.log_mass(draw.state, prior)
    if draw.y is None:
        raise ValueError("objective=density: a draw that was not relaxed has no density.")
    posterior = units.log_density(draw.y, draw.logits, temperatures[0])
    return posterior - units.log_density(draw.y, prior, temperatures[1])


def multi_sample(log_weights: Tensor, dim: int = 0) -> Tensor:
    r"""The multi-sample objective :math:`L_m = \log \frac1m \sum_j w_j`.

    Where :math:`E\, w = p(x)`, its expectation rises with :math:`m` to :math:`\log p(x)`
    (Burda, Grosse & Salakhutdinov, arXiv 1509.00519).

    Arguments:
        log_weights: :math:`\log w_j` in nats.
        dim: The axis of the :math:`m` samples.

    Returns:
        Nats, without that axis.
    """
    return torch.logsumexp(log_weights, dim) - math.log(log_weights.shape[dim])


def check_objective(objective: str, estimator: str) -> None:
    """Refuses an objective that the estimator cannot serve.

    Raises:
        ValueError: A name is unknown, or `density` is asked of what is not trained on densities.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective={objective}: must be one of {', '.join(OBJECTIVES)}.")
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator={estimator}: must be one of {', '.join(ESTIMATORS)}.")
    if objective == "density" and estimator != "concrete":
        raise ValueError(
            f"objective=density: is for estimator=concrete only; "
            f"with {estimator} choose objective=relaxed_mass or analytic."
        )
