"""Every random function that a network may call, answered from the draws of a sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from ibdrop.noise.draws import Source, dropout, standard_normal, standard_uniform
from ibdrop.sampling.designs import Draws

__all__ = ["RANDOM", "Answering", "Rows"]

RANDOM: dict[Any, Callable[..., Tensor]] = {}
"""What stands for each random function: called with a source and the function's arguments."""


def _answers(*functions: Any) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    def register(answer: Callable[..., Tensor]) -> Callable[..., Tensor]:
        RANDOM.update(dict.fromkeys(functions, answer))
        return answer

    return register


@_answers(standard_normal)
def _standard_normal(source: Source, like: Tensor) -> Tensor:
    return source.normal(like).to(torch.promote_types(like.dtype, torch.float32))


@_answers(standard_uniform)
def _standard_uniform(source: Source, like: Tensor) -> Tensor:
    return source.uniform(like).to(torch.promote_types(like.dtype, torch.float32))


@_answers(dropout)
def _dropout(
    source: Source, f: Tensor, rate: float | Tensor, whole_channels: bool = False
) -> Tensor:
    return f * (source.kept(f, rate, whole_channels).to(f.dtype) / (1 - rate))


@_answers(torch.randn_like)
def _randn_like(source: Source, like: Tensor, dtype: Any = None, **_: Any) -> Tensor:
    return source.normal(like).to(dtype or like.dtype)


@_answers(torch.rand_like)
def _rand_like(source: Source, like: Tensor, dtype: Any = None, **_: Any) -> Tensor:
    return source.uniform(like).to(dtype or like.dtype)


@_answers(torch.bernoulli, Tensor.bernoulli)
def _bernoulli(source: Source, p: Tensor, **_: Any) -> Tensor:
    return (source.uniform(p) < p).to(p.dtype)


@_answers(F.dropout, torch.dropout)
def _torch_dropout(
    source: Source, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    return _dropout(source, input, p) if training and p else input


@_answers(F.dropout1d, F.dropout2d, F.dropout3d, torch.feature_dropout)
def _feature_dropout(
    source: Source, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    return _dropout(source, input, p, True) if training and p else input


@_answers(Tensor.normal_)
def _normal_(source: Source, self: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return self.copy_(source.normal(self) * std + mean)


@_answers(Tensor.uniform_)
def _uniform_(source: Source, self: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
    return self.copy_(low + (high - low) * source.uniform(self))


@_answers(Tensor.bernoulli_)
def _bernoulli_(source: Source, self: Tensor, p: float | Tensor = 0.5) -> Tensor:
    return self.copy_(source.uniform(self) < p)


@_answers(Tensor.exponential_)
def _exponential_(source: Source, self: Tensor, lambd: float = 1.0) -> Tensor:
    return self.copy_(-source.uniform(self).log() / lambd)


class Answering(TorchFunctionMode):
    """Lets torch's own random functions answer from `source`, for the length of the block."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        answer = RANDOM.get(func)
        if answer is None:
            return func(*args, **(kwargs or {}))
        return answer(self.source, *args, **(kwargs or {}))


class Rows:
    """A source for some passes over some images, whose calls it counts.

    Arguments:
        draws: The numbers of all passes.
        passes: Which passes, :math:`S` of them.
        images: The numbers of the images, :math:`B` of them.
        lifted: Whether tensors come with shape :math:`(S, B, *)`, either of them 1 where a value
            is the same for all, or with shape :math:`(S B, *)`.
    """

    def __init__(
        self, draws: Draws, passes: range, images: Tensor, lifted: bool, call: int = 0
    ) -> None:
        self.draws, self.passes, self.images, self.lifted = draws, passes, images, lifted
        self.call = call

    def normal(self, like: Tensor) -> Tensor:
        return self._shaped(like, self.draws.normal)

    def uniform(self, like: Tensor) -> Tensor:
        return self._shaped(like, self.draws.uniform)

    def kept(self, f: Tensor, rate: float | Tensor, whole_channels: bool) -> Tensor:
        if isinstance(rate, Tensor) and rate.ndim:
            return self.uniform(f) >= rate
        lead = 2 if self.lifted else 1
        like = f
        for axis in range(lead + 1, f.ndim if whole_channels else 0):
            like = like.narrow(axis, 0, 1)
        return self._shaped(like, self.draws.kept, rate)

    def _shaped(self, like: Tensor, draw: Callable[..., Tensor], *more: Any) -> Tensor:
        """Draws for the units of `like`, in the order of channels-last memory."""
        call, self.call = self.call, self.call + 1
        if not self.lifted and len(like) != len(self.passes) * len(self.images):
            return self._common(like, draw, call, *more)
        unit = like.shape[2 if self.lifted else 1 :]
        found = draw(call, self.passes, self.images, unit.numel(), *more)
        if len(unit) == 3:
            channels, height, width = unit
            found = found.unflatten(-1, (height, width, channels)).movedim(-1, 2)
        else:
            found = found.unflatten(-1, unit) if unit else found[..., 0]
        if self.lifted:
            return found
        return found.expand(-1, len(self.images), *unit).flatten(0, 1)

    def _common(self, like: Tensor, draw: Callable[..., Tensor], call: int, *more: Any) -> Tensor:
        """Draws for a tensor that has no axis of images, such as a weight."""
        if len(self.passes) > 1:
            raise NotImplementedError("a draw of weights is another one in each pass")
        found = draw(call, self.passes, self.images[:1] * 0 - 1, like.numel(), *more)
        return found.view(like.shape)
