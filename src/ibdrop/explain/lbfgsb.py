"""L-BFGS-B on masks: a second-order search within the box from 0 to 1, image by image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

__all__ = ["bounded"]


def bounded(
    cost: Callable[[Tensor], tuple[Tensor, Tensor]],
    start: Tensor,
    evaluations: int,
    on_step: Callable[[int], None],
) -> tuple[Tensor, list[tuple[float, float]]]:
    """Minimises a deterministic function of one mask with all entries kept in [0, 1].

    Arguments:
        cost: Gives the cost of a mask and its score, both without axes; the first is minimised.
        start: The mask to start from, with shape :math:`(h, w)`.
        evaluations: Evaluations after which the search stops; a line search under way ends first.
        on_step: Called with the number of every evaluation.

    Returns:
        The best mask and, for every evaluation, its cost and score.

    Source: Byrd, Lu, Nocedal & Zhu, A Limited Memory Algorithm for Bound Constrained Optimization
    (1995), as SciPy has it.
    """
    from scipy.optimize import minimize  # type: ignore[import-untyped]

    trace: list[tuple[float, float]] = []

    def evaluated(values: np.ndarray) -> tuple[float, np.ndarray]:
        on_step(len(trace))
        m = torch.from_numpy(values).view(start.shape).to(start).requires_grad_()
        total, score = cost(m)
        (slope,) = torch.autograd.grad(total, m)
        trace.append((float(total.detach()), float(score.detach())))
        return trace[-1][0], slope.flatten().double().cpu().numpy()

    found = minimize(
        evaluated,
        start.detach().flatten().double().cpu().numpy(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1.0)] * start.numel(),
        options={"maxfun": evaluations, "maxiter": evaluations},
    )
    return torch.from_numpy(found.x).view(start.shape).to(start), trace
