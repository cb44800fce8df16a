"""The random draws of noise layers: from torch's generator, or from whatever source is active."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, Protocol, cast

import torch
from torch import Tensor
from torch.fx import Proxy

__all__ = ["Source", "drawing_from", "dropout", "leaf", "standard_normal", "standard_uniform"]


P = ParamSpec("P")


class Source(Protocol):
    """Where draws come from while a network is sampled, see `ibdrop.sampling`."""

    def normal(self, like: Tensor) -> Tensor:
        """Draws from N(0, 1) in the shape of `like`, with shape :math:`(B, *)`."""

    def uniform(self, like: Tensor) -> Tensor:
        """Draws uniformly from (0, 1) in the shape of `like`, with shape :math:`(B, *)`."""

    def kept(self, f: Tensor, rate: float | Tensor, whole_channels: bool) -> Tensor:
        """Draws which units of `f` stay, each with probability 1 - `rate`, as booleans.

        In the shape of `f`, or broadcast to it, with one draw per channel if `whole_channels`.
        """


_active: Source | None = None


@contextmanager
def drawing_from(source: Source) -> Iterator[None]:
    """Lets all draws of noise layers come from `source`, for the length of the block."""
    global _active
    _active, before = source, _active
    try:
        yield
    finally:
        _active = before


def leaf(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Makes a function one single node where a network is traced, whatever it does inside."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Tensor:
        for argument in args:
            if isinstance(argument, Proxy):
                node = argument.tracer.create_proxy("call_function", call, args, kwargs)
                return cast(Tensor, node)
        return function(*args, **kwargs)

    return call


@leaf
def standard_normal(like: Tensor) -> Tensor:
    """Draws from N(0, 1) in the shape and layout of `like`, in float32 at least.

    Channels-last memory is filled through its contiguous view: on the CPU that is eight times
    faster than drawing in the order of the axes.
    """
    if _active is not None:
        return _active.normal(like)
    n = _empty(like)
    _rows(n).normal_()
    return n


@leaf
def standard_uniform(like: Tensor) -> Tensor:
    """Draws uniformly from (0, 1), both ends excluded, in the shape and layout of `like`.

    In float32 at least; the smallest value is :math:`2^{-25}`, so logarithms stay finite.
    """
    if _active is not None:
        return _active.uniform(like)
    u = _empty(like)
    _rows(u).uniform_()
    return u.mul_(1 - 2**-24).add_(2**-25)


@leaf
def dropout(f: Tensor, rate: float | Tensor, whole_channels: bool = False) -> Tensor:
    r"""Switches units off and scales the rest up, :math:`f m / (1 - p)`.

    Arguments:
        f: The activation, with shape :math:`(B, C, *)`.
        rate: The probability :math:`p` in [0, 1) that a unit is switched off.
        whole_channels: Whether a channel lives or dies with all of its positions.
    """
    if _active is not None:
        kept = _active.kept(f, rate, whole_channels)
    else:
        kept = _kept(_channels(f) if whole_channels else f, rate)
    return f * (kept.to(f.dtype) / (1 - rate))


def _kept(like: Tensor, rate: float | Tensor) -> Tensor:
    """Compares uniform draws with the rate: a third of the time of `F.dropout` on the CPU."""
    u = torch.empty_like(like, dtype=torch.float32)
    _rows(u).uniform_()
    return u >= rate


def _channels(f: Tensor) -> Tensor:
    """One unit per channel, with shape (B, C, 1, ...)."""
    return f[(slice(None), slice(None), *(slice(1) for _ in f.shape[2:]))]


def _empty(like: Tensor) -> Tensor:
    return torch.empty_like(like, dtype=torch.promote_types(like.dtype, torch.float32))


def _rows(x: Tensor) -> Tensor:
    """A view in the order of the memory."""
    return x.permute(0, 2, 3, 1) if x.ndim == 4 and not x.is_contiguous() else x
