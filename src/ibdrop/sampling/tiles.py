"""Carries a network out on tiles: some passes over some images at once."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from ibdrop.noise.base import widen
from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.graph import Plain, Split, call
from ibdrop.sampling.random import RANDOM, Answering, Rows

__all__ = ["PASSIVE", "RELU", "Tiles", "elementwise", "method"]

FUNCTIONS = {
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg, operator.pow),
    *(torch.add, torch.sub, torch.mul, torch.div, torch.neg, torch.exp, torch.log, torch.log1p),
    *(torch.expm1, torch.sqrt, torch.rsqrt, torch.square, torch.abs, torch.sigmoid, torch.tanh),
    *(torch.relu, torch.clamp, torch.where, torch.minimum, torch.maximum, torch.special.ndtri),
    *(F.relu, F.softplus, F.sigmoid, F.logsigmoid, F.tanh, F.gelu, F.silu, F.elu, F.leaky_relu),
    *(operator.gt, operator.ge, operator.lt, operator.le, operator.eq, operator.ne, widen),
}
METHODS = {
    *("add", "sub", "mul", "div", "neg", "exp", "log", "log1p", "expm1", "sqrt", "rsqrt", "pow"),
    *("square", "abs", "sigmoid", "tanh", "relu", "clamp", "clamp_min", "clamp_max", "where"),
    *("float", "double", "to", "type_as", "reciprocal"),
}
MODULES = (nn.ReLU, nn.Softplus, nn.Sigmoid, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, nn.LeakyReLU)
"""What works unit by unit, and so on tensors with any number of leading axes."""

RELU = (F.relu, torch.relu)
FRESH = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.BatchNorm1d, nn.BatchNorm2d)
"""Modules whose output is new memory, which nobody else has seen."""

CACHE = 24 << 20
FEWEST = 16
MANY = 1 << 40

PASSIVE = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
"""Modules that hand their input on in evaluation mode."""


def method(node: fx.Node) -> Any:
    """What stands for the tensor method or function that a node calls."""
    if node.op == "call_method":
        return getattr(Tensor, str(node.target), None)
    return node.target


def elementwise(split: Split, node: fx.Node) -> bool:
    """Whether a node treats each unit by itself."""
    if node.op == "call_module":
        return isinstance(split.module(node), MODULES + PASSIVE)
    if node.op == "call_method":
        return node.target in METHODS
    return node.op == "call_function" and node.target in FUNCTIONS


class Tiles:
    r"""The network, noise on, for tiles of :math:`S` passes over :math:`B` images.

    What depends on draws has the shape :math:`(S, B, *)`, with a 1 in place of :math:`B` where
    all images share it; what works unit by unit is done on that, so that the prefix is never
    copied. Everything else is folded to :math:`(S B, *)`.

    Arguments:
        split: The network taken apart.
        off: The network with its noise off.
        draws: The random numbers.
    """

    def __init__(self, split: Split, off: Plain, draws: Draws) -> None:
        self.split, self.off, self.draws = split, off, draws
        self.constants: dict[fx.Node, Any] = {}
        for node in split.constants:
            self.constants[node] = self._plainly(node, self.constants)
        self.joined = set(split.frontier) - {split.images}
        self.row_bytes, self.image_bytes = split.row_bytes, split.held_bytes
        self.chunk = max(FEWEST, CACHE // split.prefix_bytes)
        if draws.device.type != "cpu":
            self.image_bytes, self.chunk = split.held_bytes + split.prefix_bytes, MANY
        self.folds = {
            node: not (elementwise(split, node) or method(node) in (getattr, operator.getitem))
            for node in split.suffix
        }

    def prefix(self, inputs: Tensor) -> dict[fx.Node, Any]:
        """Computes what does not depend on draws, once for all passes.

        On the CPU a few images at a time, such that they stay in the cache.

        Arguments:
            inputs: What the network reads, with shape :math:`(B, C, H, W)`.
        """
        parts = [self._prefix(part) for part in inputs.split(self.chunk)]
        if len(parts) == 1:
            return parts[0]
        ours = [node for node in parts[0] if node in self.joined]
        if not all(isinstance(parts[0][node], Tensor) for node in ours):
            return self._prefix(inputs)
        joined = {node: torch.cat([part[node] for part in parts]) for node in ours}
        return {**self.constants, **joined, self.split.images: inputs}

    def _prefix(self, inputs: Tensor) -> dict[fx.Node, Any]:
        values = {**self.constants, self.split.images: inputs}
        for node in self.split.prefix:
            if node is not self.split.images:
                values[node] = self._plainly(node, values)
            for source in node.all_input_nodes:
                if self.split.last[source] is node and source is not self.split.images:
                    values.pop(source, None)
        return values

    def plain(self, known: dict[fx.Node, Any]) -> Tensor:
        """Computes the logits with the noise off, with shape :math:`(B, K)`."""
        return self.off.logits(known)

    def logits(self, known: dict[fx.Node, Any], passes: range, images: Tensor) -> Tensor:
        """Computes the rest for a tile.

        Arguments:
            known: What `prefix` gave for these images.
            passes: The numbers of the passes.
            images: The numbers of the images as int64, with shape :math:`(B)`.

        Returns:
            Logits with shape :math:`(S, B, K)`.
        """
        values: dict[fx.Node, Any] = {}
        sizes = len(passes), len(images)
        for node in self.split.suffix:
            values[node] = self._step(node, known, values, passes, images)
            for source in node.all_input_nodes:
                if self.split.last[source] is node:
                    values.pop(source, None)
        found: Tensor = self._lifted(self.split.output, known, values)
        return found.expand(*sizes, -1)

    def _step(
        self,
        node: fx.Node,
        known: dict[fx.Node, Any],
        values: dict[fx.Node, Any],
        passes: range,
        images: Tensor,
    ) -> Any:
        """Carries out one node of the suffix."""
        args, kwargs = self._arguments(node, known, values, (len(passes), len(images)))
        return self._do(node, args, kwargs, passes, images)

    def _plainly(self, node: fx.Node, values: dict[fx.Node, Any]) -> Any:
        given: Any = fx.map_arg((node.args, node.kwargs), lambda source: values[source])
        args, kwargs = given
        return self._call(node, args, kwargs)

    def _call(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.target in RELU and self._fresh(node.all_input_nodes[0]):
            return args[0].relu_()
        return call(self.split.root, node, args, kwargs)

    def _fresh(self, node: fx.Node) -> bool:
        """Whether a value may be overwritten by its only reader: new pages cost as much again."""
        return len(node.users) == 1 and isinstance(self.split.module(node), FRESH)

    def _arguments(
        self,
        node: fx.Node,
        known: dict[fx.Node, Any],
        values: dict[fx.Node, Any],
        sizes: tuple[int, int],
    ) -> tuple[Any, Any]:
        fold = self.folds[node] and not self._draws_lifted(node)

        def give(source: fx.Node) -> Any:
            if source in self.constants:
                return self.constants[source]
            lifted = self._lifted(source, known, values)
            return tree_map(lambda x: _fold(x, sizes), lifted) if fold else lifted

        found: tuple[Any, Any] = fx.map_arg((node.args, node.kwargs), give)
        return found

    def _lifted(
        self, source: fx.Node, known: dict[fx.Node, Any], values: dict[fx.Node, Any]
    ) -> Any:
        return values[source] if source in values else _lift(known[source])

    def _draws_lifted(self, node: fx.Node) -> bool:
        """Whether a node is a random function that draws in the shape of a new tensor."""
        return method(node) in RANDOM and not str(node.target).endswith("_")

    def _do(self, node: fx.Node, args: Any, kwargs: Any, passes: range, images: Tensor) -> Any:
        if node in self.split.calls:
            lifted = self._draws_lifted(node)
            source = Rows(self.draws, passes, images, lifted, self.split.calls[node])
            if lifted:
                return RANDOM[method(node)](source, *args, **kwargs)
            with drawing_from(source), Answering(source):
                found = call(self.split.root, node, args, kwargs)
        else:
            found = self._call(node, args, kwargs)
        if not self.folds[node]:
            return found
        return tree_map(lambda x: _unfold(x, len(passes), len(images)), found)


def _lift(value: Any) -> Any:
    return tree_map(lambda x: x[None] if isinstance(x, Tensor) and x.ndim else x, value)


def _fold(x: Any, sizes: tuple[int, int]) -> Any:
    """From (S, B, *) to (S B, *), in the memory format that it has."""
    if not isinstance(x, Tensor) or x.ndim < 2:
        return x
    if x.shape[:2] == sizes and 0 not in x.stride()[:2]:
        return x.flatten(0, 1)
    if x.ndim == 5 and x.stride(2) < x.stride(4):
        return x.movedim(2, -1).expand(*sizes, -1, -1, -1).flatten(0, 1).movedim(-1, 1)
    return x.expand(*sizes, *x.shape[2:]).flatten(0, 1)


def _unfold(x: Any, passes: int, images: int) -> Any:
    fits = isinstance(x, Tensor) and x.ndim and len(x) == passes * images
    return x.unflatten(0, (passes, images)) if fits else x
