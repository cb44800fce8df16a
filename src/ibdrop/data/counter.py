"""Random integers by counter: each is a function of its stream and its number alone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ibdrop.splitmix import GOLDEN, mix, shifted

__all__ = ["draw"]

HALF = (1 << 31) - 1


def draw(stream: int, counter: Tensor, ranges: Sequence[int]) -> list[Tensor]:
    r"""Draws independent integers, uniform on :math:`\{0, \dots, n_k - 1\}` for each range.

    The counter is mixed to 62 random bits, read as a fraction :math:`u \in [0, 1)`; its digits
    in the mixed base :math:`(n_1, n_2, \dots)` are the integers. Without rejection each outcome
    has a relative bias of at most :math:`\prod_k n_k / 2^{62}`: below :math:`2^{-24}` for a crop
    of cluttered MNIST.

    Arguments:
        stream: The number of the stream, 63 bits, from `ibdrop.seeds.key`.
        counter: The place in the stream as int64, with any shape.
        ranges: The number of values :math:`n_k < 2^{31}` of each integer.

    Returns:
        One int64 tensor per range, with the shape of `counter`.

    Reference:
        Steele, Lea & Flood, Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), the
        SplitMix64 finaliser.
    """
    bits = mix(counter.add(1).mul_(GOLDEN).add_(stream))
    high, low = shifted(bits, 33), shifted(bits, 2).bitwise_and_(HALF)
    digits = []
    for size in ranges:
        low = low * size
        high = (high * size).add_(low >> 31)
        digits.append(high >> 31)
        high.bitwise_and_(HALF)
        low.bitwise_and_(HALF)
    return digits
