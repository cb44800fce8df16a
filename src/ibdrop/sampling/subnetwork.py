"""Shared masks as smaller networks: what a pass has switched off is left out of its products."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ibdrop.noise.draws import dropout
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.graph import Plain, Split, call
from ibdrop.sampling.tiles import PASSIVE, RELU, Tiles, elementwise

__all__ = ["Subnetworks"]

RATES: dict[Any, str] = {dropout: "rate", F.dropout: "p"}
"""The functions that make masks, and what they call the rate."""

POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
THROUGH_ZERO = (F.relu, torch.relu, F.leaky_relu, torch.tanh, F.tanh, F.gelu, F.silu, F.elu)
MODULES_THROUGH_ZERO = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.GELU, nn.SiLU, nn.ELU, *PASSIVE, *POOLS)


class Part(NamedTuple):
    """The channels that a pass has kept.

    Attributes:
        x: Their values, with shape :math:`(B, n, *)`, still to be multiplied by `scale`.
        kept: Their numbers, with shape :math:`(n)`.
        channels: The number of all channels :math:`C`.
        scale: The factor :math:`1 / (1 - p)` of inverted dropout.
    """

    x: Tensor
    kept: Tensor
    channels: int
    scale: float


class Subnetworks(Tiles):
    """Tiles of a single pass, in which dropped channels are cut out of the weights.

    With one mask for all images, dropout before a linear map (or of whole channels before a
    convolution) removes rows of its input, and dropout after it removes outputs that nobody
    reads. At a rate of one half a quarter of a hidden product remains. What this cannot express
    is widened to full size again.

    Arguments:
        split: The network taken apart.
        off: The network with its noise off.
        draws: The random numbers, shared by all images.
    """

    def __init__(self, split: Split, off: Plain, draws: Draws) -> None:
        super().__init__(split, off, draws)
        self.shapes = split.seen.shapes
        self.masks = {node for node in split.suffix if self._is_mask(node)}
        self.before: dict[fx.Node, fx.Node] = {}
        for mask in self.masks:
            self._claim(mask)
        self.after = self._follow()

    @property
    def useful(self) -> bool:
        """Whether anything can be left out."""
        return any(
            self.after.get(source) is not None
            for node in self.split.suffix
            if self._affine(node) is not None
            for source in node.all_input_nodes
        )

    def logits(self, known: dict[fx.Node, Any], passes: range, images: Tensor) -> Tensor:
        drawn = {mask: self._drawn(mask, passes, images) for mask in self.masks}
        found = []
        for s, t in enumerate(passes):
            kept = {mask: rows[s].nonzero()[:, 0] for mask, rows in drawn.items()}
            found.append(super().logits(known | kept, range(t, t + 1), images))
        return torch.cat(found)

    def _drawn(self, mask: fx.Node, passes: range, images: Tensor) -> Tensor:
        """Which channels each pass keeps, with shape (S, C)."""
        call, channels = self.split.calls[mask], self.shapes[mask][1]
        return self.draws.kept(call, passes, images, channels, self._rate(mask))[:, 0]

    def _step(
        self,
        node: fx.Node,
        known: dict[fx.Node, Any],
        values: dict[fx.Node, Any],
        passes: range,
        images: Tensor,
    ) -> Any:
        source = node.all_input_nodes[0] if node.all_input_nodes else node
        part = values.get(source)
        if node in self.masks:
            return self._drop(node, part, known, values)
        module = self._affine(node)
        if module is not None and (isinstance(part, Part) or node in self.before):
            return self._multiply(node, module, part, known, values, len(images))
        if isinstance(part, Part) and (node in self.before or node in self.after):
            return part._replace(x=self._each(node, part))
        return super()._step(node, known, values, passes, images)

    def _drop(self, node: fx.Node, part: Any, known: Any, values: Any) -> Part:
        rate = self._rate(node)
        if isinstance(part, Part) and self.before.get(node.all_input_nodes[0]) is node:
            return part._replace(scale=1 / (1 - rate))
        kept = known[node]
        x = self._lifted(node.all_input_nodes[0], known, values)[0]
        return Part(_select(x, kept), kept, x.shape[1], 1 / (1 - rate))

    def _multiply(
        self,
        node: fx.Node,
        module: nn.Linear | nn.Conv2d,
        part: Any,
        known: Any,
        values: Any,
        images: int,
    ) -> Any:
        """The product, of the inputs that are there to the outputs that are read."""
        weight, bias = module.weight, module.bias
        mask = self.before.get(node)
        kept = None if mask is None else known[mask]
        if kept is not None:
            weight, bias = weight.index_select(0, kept), None if bias is None else bias[kept]
        if isinstance(part, Part):
            x, weight = part.x, weight.index_select(1, part.kept).mul_(part.scale)
        else:
            x = self._lifted(node.all_input_nodes[0], known, values)[0].expand(
                images, *self.shapes[node.all_input_nodes[0]][1:]
            )
        if isinstance(module, nn.Linear):
            y = _linear(x, weight, bias)
        else:
            weight = _like(weight, module.weight)
            y = F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation)
        return y[None] if kept is None else Part(y, kept, len(module.weight), 1.0)

    def _each(self, node: fx.Node, part: Part) -> Tensor:
        """What is done to each channel by itself, to those that are there."""
        module = self.split.module(node)
        if isinstance(module, _BatchNorm):
            mean, variance, weight, bias = (
                None if values is None else values[part.kept]
                for values in (
                    module.running_mean,
                    module.running_var,
                    module.weight,
                    module.bias,
                )
            )
            return F.batch_norm(part.x, mean, variance, weight, bias, False, 0.0, module.eps)
        if node in self.before and (node.target in RELU or isinstance(module, nn.ReLU)):
            return part.x.relu_()
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda source: part.x)
        found: Tensor = call(self.split.root, node, args, kwargs)
        return found

    def _lifted(
        self, source: fx.Node, known: dict[fx.Node, Any], values: dict[fx.Node, Any]
    ) -> Any:
        found = super()._lifted(source, known, values)
        if not isinstance(found, Part):
            return found
        x = found.x.new_zeros(found.x.shape[0], found.channels, *found.x.shape[2:])
        return x.index_copy(1, found.kept, found.x * found.scale)[None]

    def _rate(self, mask: fx.Node) -> float:
        rate = _option(mask, 1, RATES[mask.target], 0.0)
        return float(self.constants[rate] if isinstance(rate, fx.Node) else rate)

    def _is_mask(self, node: fx.Node) -> bool:
        """Whether a node switches whole channels off, at a rate that is a number."""
        name = RATES.get(node.target)
        if name is None or node not in self.split.calls:
            return False
        rate = _option(node, 1, name, None)
        if not isinstance(rate, float | int) and rate not in self.constants:
            return False
        flat = len(self.shapes[node]) == 2
        return flat or bool(_option(node, 2, "whole_channels", False))

    def _claim(self, mask: fx.Node) -> None:
        """Goes back from a mask to the product of which it reads no more than it keeps."""
        path, node = [], mask.all_input_nodes[0]
        while self._alone(node) and self._each_channel(node):
            path.append(node)
            node = node.all_input_nodes[0]
        if self._alone(node) and self._affine(node) is not None:
            self.before |= dict.fromkeys([node, *path], mask)

    def _follow(self) -> dict[fx.Node, fx.Node]:
        """The nodes whose values are zero in the channels that a mask has switched off."""
        after = {mask: mask for mask in self.masks}
        for node in self.split.suffix:
            sources = node.all_input_nodes
            if len(sources) == 1 and sources[0] in after and self._through_zero(node):
                after[node] = after[sources[0]]
        return after

    def _alone(self, node: fx.Node) -> bool:
        known = set(self.split.suffix)
        return node in known and len(node.users) == 1 and len(node.all_input_nodes) == 1

    def _each_channel(self, node: fx.Node) -> bool:
        single = elementwise(self.split, node) and node not in self.split.calls
        return single or isinstance(self.split.module(node), _BatchNorm)

    def _through_zero(self, node: fx.Node) -> bool:
        if node.op == "call_module":
            return isinstance(self.split.module(node), MODULES_THROUGH_ZERO)
        return node.op == "call_function" and node.target in THROUGH_ZERO

    def _affine(self, node: fx.Node) -> nn.Linear | nn.Conv2d | None:
        module = self.split.module(node)
        if isinstance(module, nn.Linear):
            return module if len(self.shapes[node]) == 2 else None
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros":
            return module
        return None


def _option(node: fx.Node, place: int, name: str, default: Any) -> Any:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name, default)


def _select(x: Tensor, kept: Tensor) -> Tensor:
    """Some channels, in the memory format of `x`."""
    if x.ndim == 4:
        return x.permute(0, 2, 3, 1).index_select(-1, kept).permute(0, 3, 1, 2)
    return x.index_select(1, kept)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A product; on the CPU a bias added in place costs less than one the product begins with."""
    if bias is None or x.is_cuda:
        return F.linear(x, weight, bias)
    return (x @ weight.T).add_(bias)


def _like(weight: Tensor, whole: Tensor) -> Tensor:
    if whole.is_contiguous(memory_format=torch.channels_last):
        return weight.contiguous(memory_format=torch.channels_last)
    return weight
