"""The temperature of relaxed units over a run."""

from __future__ import annotations

import math

from ibdrop.models.discrete.units import check_temperature

__all__ = ["Temperature"]


class Temperature:
    r"""A temperature that is fixed, or falls exponentially to its last value.

    .. math:: \lambda(t) = \max(\lambda, \lambda_0 e^{-r t})

    with :math:`t` the share of the run that is done, from 0 to 1; it never starts again within a
    run. Jang, Gu & Poole (arXiv 1611.01144, section 4) have 1, 0.5 and a rate of 1e-5 to 1e-4
    per step, so over a run of 50,000 steps :math:`r` = 0.5 to 5; Maddison, Mnih & Teh needed none.

    Arguments:
        last: The temperature :math:`\lambda > 0` that is fixed, or fallen to.
        first: The temperature :math:`\lambda_0` at the start; `None` for a fixed one.
        rate: How fast it falls, :math:`r`, per run.

    Raises:
        ValueError: A temperature is not above 0, the first lies below the last, or the rate is
            not above 0.
    """

    def __init__(self, last: float, first: float | None = None, rate: float = 0.0) -> None:
        check_temperature(last, "posterior_temperature")
        self.last = last
        self.first = last if first is None else first
        self.rate = rate
        if first is None:
            return
        check_temperature(first, "anneal_from")
        if first < last:
            raise ValueError(
                f"anneal_from={first}: must not lie below posterior_temperature={last}."
            )
        if not 0 < rate < math.inf:
            raise ValueError(f"anneal_rate={rate}: must be a positive number with anneal_from.")

    def __call__(self, progress: float) -> float:
        """The temperature when this share of the run is done."""
        return max(self.last, self.first * math.exp(-self.rate * progress))
