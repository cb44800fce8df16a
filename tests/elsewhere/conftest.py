"""A device that is not there, so that whatever forgets where its tensors are fails without a GPU.

Its numbers lie in ordinary memory and are computed there, so results are those of the CPU to the
last bit; but its tensors may not meet the CPU's, as those of a GPU may not. It calls itself
`meta`, the only device beside the CPU that every torch has; so what asks for `meta` itself, as
`model=torchvision` does to learn sizes, cannot be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.strategies import SingleDeviceStrategy
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from ibdrop.learning.trainer import TrainerOptions

AWAY = torch.device("meta")

aten = torch.ops.aten
INDEXING = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
CROSSING = {aten._to_copy.default, aten.copy_.default} | INDEXING
"""What may meet tensors of both devices; indices may lie on the CPU."""

MAKERS = {torch.tensor, torch.as_tensor, torch.asarray}


class Away(Tensor):
    """A tensor of the device; `numbers` lie in memory."""

    numbers: Tensor

    @staticmethod
    def __new__(cls: type[Away], numbers: Tensor) -> Away:
        made: Away = Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=AWAY,
        )
        made.numbers = numbers
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.numbers.__reduce_ex__(protocol)

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["numbers"], None

    @staticmethod
    def __tensor_unflatten__(parts: dict[str, Tensor], *_: Any) -> Away:
        return Away(parts["numbers"])

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


def computed(op: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """What an operation gives, on the device where the tensors are or `device` asks for it."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    away = [isinstance(tensor, Away) for tensor in tensors]
    check(op, tensors, away)
    asked = kwargs.get("device")
    there = any(away) if asked is None else torch.device(asked) == AWAY
    given, named = tree_map(lambda leaf: getattr(leaf, "numbers", leaf), (args, kwargs))
    if asked is not None:
        named["device"] = torch.device("cpu")
    out = op(*given, **named)
    if op is aten.copy_.default:
        return args[0]
    if not there:
        return out
    out = tree_map(lambda leaf: Away(leaf) if isinstance(leaf, Tensor) else leaf, out)
    return return_and_correct_aliasing(op, args, kwargs, out) if any(away) else out


def check(op: Any, tensors: list[Tensor], away: list[bool]) -> None:
    """Refuses what a GPU would refuse; single numbers of the CPU may meet anything."""
    if op in INDEXING and any(away) and not away[0]:
        raise RuntimeError(f"{op}: a tensor of the CPU is indexed by one of the device")
    here = [tensor for tensor, far in zip(tensors, away, strict=True) if not far and tensor.ndim]
    if any(away) and here and op not in CROSSING:
        raise RuntimeError(f"{op}: tensors of the CPU meet tensors of the device")


class Operations(TorchDispatchMode):
    """Takes every operation to where its tensors are."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


class Literals(TorchFunctionMode):
    """Takes numbers from Python to the device and back by way of the CPU."""

    def __torch_function__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if op in MAKERS and kwargs.get("device") is not None:
            rest = {name: value for name, value in kwargs.items() if name != "device"}
            return op(*args, **rest).to(kwargs["device"])
        if op is Tensor.new_tensor and isinstance(args[0], Away):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(AWAY)
        if op is Tensor.tolist and isinstance(args[0], Away):
            return args[0].cpu().tolist()
        return op(*args, **kwargs)


class Anywhere(CPUAccelerator):
    """Lightning's accelerator of the CPU, which takes any device."""

    def setup_device(self, device: torch.device) -> None:
        """Has nothing to prepare."""


@pytest.fixture
def device() -> Iterator[torch.device]:
    """The device, which exists during the test."""
    with ExitStack() as stack:
        stack.enter_context(Literals())
        stack.enter_context(Operations())
        yield AWAY


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    """Lets everything that picks a device pick this one."""
    trainer: Callable[..., pl.Trainer] = pl.Trainer
    load = torch.load

    def lightning(accelerator: str, devices: int, **kwargs: Any) -> pl.Trainer:
        strategy = SingleDeviceStrategy(device=str(AWAY), accelerator=Anywhere())
        return trainer(strategy=strategy, **kwargs)

    def loaded(path: Any, map_location: Any = "cpu", **kwargs: Any) -> Any:
        found = load(path, map_location="cpu", **kwargs)
        where = torch.device(map_location)
        return tree_map(lambda leaf: leaf.to(where) if isinstance(leaf, Tensor) else leaf, found)

    monkeypatch.setattr(TrainerOptions, "pick_device", lambda self: AWAY)
    monkeypatch.setattr(pl, "Trainer", lightning)
    monkeypatch.setattr(torch, "load", loaded)
