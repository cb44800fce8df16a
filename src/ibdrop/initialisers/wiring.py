"""What stands before and after each layer, found by watching the network at work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ibdrop.initialisers.fans import affine_layers
from ibdrop.initialisers.gains import ACTIVATIONS, gain_of
from ibdrop.noise.base import Noise, Noisy

__all__ = ["Place", "at_work", "rescale", "wiring"]

FEW = 2
"""Images that are enough to see how a network is wired."""

AFFINE = ("conv2d", "linear")
NORMS = ("batch_norm", "instance_norm", "layer_norm", "group_norm")


@dataclass
class Place:
    r"""What surrounds a layer.

    Attributes:
        moment: :math:`\mu_2`, the product of the second moments of the noise on its input.
        before: The gain of the activation that its input passed last; 1 where there is none.
        after: The gain of the activation that its output passes first; 1 where there is none.
    """

    moment: float = 1.0
    before: float = 1.0
    after: float = 1.0


class _Tag(NamedTuple):
    """What a tensor went through since it left a layer, and that layer."""

    moment: float = 1.0
    gain: float = 1.0
    maker: str | None = None


@torch.no_grad()
def wiring(module: nn.Module, inputs: Tensor, raw_sd: float = 0.0) -> dict[str, Place]:
    """What surrounds each convolution and linear layer, by name, in order of execution.

    The noise is off, so nothing is drawn; a layer that is not reached is left out. Noise and
    activations are followed through pooling and reshaping, where branches meet the stronger noise
    counts, and a norm ends both.

    Arguments:
        module: The model, called as `module(inputs)` in evaluation mode.
        inputs: Inputs of the network, with shape (B, C, H, W); two are looked at.
        raw_sd: The standard deviation of the raw maps of a noise, see `Noise.second_moment`.
    """
    names = {id(layer.weight): name for name, layer in affine_layers(module)}
    watch = _Watch(names, raw_sd)
    with at_work(module), ExitStack() as hooks:
        for part in module.modules():
            if isinstance(part, Noise):
                hooks.callback(part.register_forward_hook(watch.noise).remove)
        with watch:
            module(inputs[:FEW])
    return watch.found


@torch.no_grad()
def rescale(module: nn.Module, factors: Mapping[str, float]) -> None:
    """Multiplies the weights of the named layers."""
    for name, layer in affine_layers(module):
        layer.weight.mul_(factors.get(name, 1.0))


@contextmanager
def at_work(module: nn.Module) -> Iterator[None]:
    """Puts a network into evaluation mode with each layer called for itself, and back again.

    A layer that computes its raw maps along with the rest, in one product, does so no more
    meanwhile: else its weights could not be told apart.
    """
    modes = {part: part.training for part in module.modules()}
    merges = {part: part.merge for part in module.modules() if hasattr(part, "merge")}
    module.eval()
    for part in merges:
        part.merge = False  # type: ignore[assignment]
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode
        for part, merge in merges.items():
            part.merge = merge


class _Watch(TorchFunctionMode):
    """Hands tags from the inputs of each operation to its output."""

    def __init__(self, names: Mapping[int, str], raw_sd: float) -> None:
        super().__init__()
        self.names, self.raw_sd = names, raw_sd
        self.found: dict[str, Place] = {}
        # Tensors are kept, lest another takes the place, and so the number, of one that is gone.
        self.tags: dict[int, tuple[Tensor, _Tag]] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, Tensor):
            self._mark(out, self._after(getattr(func, "__name__", ""), args, kwargs or {}))
        elif isinstance(out, tuple | list):
            tag = self._merged(args)
            for part in out:
                if isinstance(part, Tensor):
                    self._mark(part, tag)
        return out

    def noise(self, noise: nn.Module, args: tuple[Any, ...], out: Noisy) -> Noisy:
        """Hears of a noise that was applied; its output becomes a tensor of its own."""
        assert isinstance(noise, Noise)
        tag, z = self._tag(args[0]), out.z.view_as(out.z)
        self._mark(z, tag._replace(moment=tag.moment * noise.second_moment(self.raw_sd)))
        return out._replace(z=z)

    def _after(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> _Tag:
        if name in AFFINE:
            return self._layer(*args[:2])
        tag = self._merged(args)
        if name in NORMS:
            return _Tag(maker=tag.maker)
        gain = _gain(name.removesuffix("_"), args, kwargs)
        if gain is None:
            return tag
        if tag.maker is not None and tag.maker in self.found:
            place = self.found[tag.maker]
            self.found[tag.maker] = replace(place, after=gain)
        return tag._replace(gain=gain, maker=None)

    def _layer(self, x: Tensor, weight: Tensor) -> _Tag:
        name = self.names.get(id(weight))
        if name is None:
            return _Tag()
        tag = self._tag(x)
        self.found.setdefault(name, Place(tag.moment, tag.gain))
        return _Tag(maker=name)

    def _merged(self, args: Any) -> _Tag:
        found = [self._tag(x) for x in _tensors(args) if id(x) in self.tags]
        if not found:
            return _Tag()
        return max(found, key=lambda tag: (tag.moment, tag.maker is not None))

    def _tag(self, x: Tensor) -> _Tag:
        return self.tags[id(x)][1] if id(x) in self.tags else _Tag()

    def _mark(self, x: Tensor, tag: _Tag) -> None:
        self.tags[id(x)] = (x, tag)


def _gain(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> float | None:
    """The gain of what is called so, `None` if it is no activation."""
    if name == "relu":
        return gain_of("relu")
    if name == "leaky_relu":
        slope = args[1] if len(args) > 1 else kwargs.get("negative_slope", 0.01)
        return gain_of("leaky", float(slope))
    if name == "prelu":
        return gain_of("leaky", float(args[1].mean()))
    return gain_of(name) if name in ACTIVATIONS else None


def _tensors(args: Any) -> Iterator[Tensor]:
    for value in args:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
