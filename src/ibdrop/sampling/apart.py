"""From a network to tiles: trace it, find what draws, split it at the first draw."""

from __future__ import annotations

from typing import Any

from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.graph import Plain, Seen, Split, call, trace
from ibdrop.sampling.random import Answering, Rows
from ibdrop.sampling.subnetwork import Subnetworks
from ibdrop.sampling.tiles import Tiles

__all__ = ["take_apart"]


def take_apart(
    model: nn.Module, draws: Draws, inputs: Tensor, images: Tensor, calls: int
) -> Tiles:
    """Finds the nodes that draw, by running the graph once, and splits it at the first.

    Arguments:
        model: The network.
        draws: The random numbers.
        inputs: A few images, as the network reads them.
        images: Their numbers.
        calls: The number of draws in a pass of the whole network.

    Raises:
        Exception: The network cannot be traced, or the graph does not draw as it does.
    """
    root, graph = trace(model)
    source = Rows(draws, range(1), images, lifted=False)
    split = Split(root, graph, _run(root, graph, inputs, source))
    if source.call != calls:
        raise NotImplementedError(f"{source.call} of its {calls} random functions can be traced")
    off = Plain(split, *trace(model, sample=False))
    if draws.sharing == "batch":
        smaller = Subnetworks(split, off, draws)
        if smaller.useful:
            return smaller
    return Tiles(split, off, draws)


def _run(root: nn.Module, graph: fx.Graph, inputs: Tensor, source: Rows) -> Seen:
    """Runs a graph node by node, on a few images."""
    values: dict[fx.Node, Any] = {}
    seen = Seen({}, {}, {})
    with drawing_from(source), Answering(source):
        for node in graph.nodes:
            if node.op == "output":
                continue
            before = source.call
            args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
            values[node] = inputs if node.op == "placeholder" else call(root, node, args, kwargs)
            tensors = [x for x in tree_leaves(values[node]) if isinstance(x, Tensor)]
            seen.weights[node] = sum(x.nbytes for x in tensors) // len(inputs)
            seen.shapes[node] = tuple(tensors[0].shape) if tensors else ()
            if source.call > before:
                seen.calls[node] = before
    return seen
