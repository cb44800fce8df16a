"""SplitMix64 on tensors: the same integers on every device, whatever was drawn before."""

from __future__ import annotations

from torch import Tensor

__all__ = ["GOLDEN", "mix", "shifted"]

GOLDEN = 0x9E3779B97F4A7C15 - (1 << 64)
"""The step between the states of a stream: 2^64 over the golden ratio, as a signed integer."""

FIRST = 0xBF58476D1CE4E5B9 - (1 << 64)
SECOND = 0x94D049BB133111EB - (1 << 64)


def mix(z: Tensor) -> Tensor:
    """Scrambles 64-bit integers in place, one to one.

    Reference:
        Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), the
        finaliser.
    """
    z ^= shifted(z, 30)
    z *= FIRST
    z ^= shifted(z, 27)
    z *= SECOND
    z ^= shifted(z, 31)
    return z


def shifted(z: Tensor, places: int) -> Tensor:
    """Shifts right as if `z` had no sign."""
    return (z >> places).bitwise_and_((1 << (64 - places)) - 1)
