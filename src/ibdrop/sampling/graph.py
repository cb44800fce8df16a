"""A network taken apart: what comes before its first noise, and what comes after."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from torch import Tensor, fx, nn

from ibdrop.models.base import NoisyLayer
from ibdrop.noise.base import Noise

__all__ = ["Plain", "Seen", "Split", "call", "trace"]


class _Logits(nn.Module):
    """The network as a function of its images alone, with the noise on or off."""

    def __init__(self, model: nn.Module, sample: bool) -> None:
        super().__init__()
        self.model = model
        self.sample = sample

    def forward(self, images: Tensor) -> Any:
        return self.model(images, sample=self.sample).logits


class _Tracer(fx.Tracer):
    """Looks into every module but torch's own; on demand not into noise either."""

    def __init__(self, whole_noises: bool) -> None:
        super().__init__()
        self.whole_noises = whole_noises

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        if self.whole_noises and isinstance(m, Noise):
            return True
        return super().is_leaf_module(m, module_qualified_name)

    def call_module(
        self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        with _unmerged(m):
            return super().call_module(m, forward, args, kwargs)


@contextmanager
def _unmerged(module: nn.Module) -> Iterator[None]:
    """Keeps a noisy layer from looking at the tensor in order to choose its kernel."""
    if not isinstance(module, NoisyLayer):
        yield
        return
    module.merge, before = False, module.merge
    try:
        yield
    finally:
        module.merge = before


def trace(model: nn.Module, sample: bool = True) -> tuple[nn.Module, fx.Graph]:
    """Writes down what the network computes with its noise on, or off.

    Returns:
        The module that the names in the graph refer to, and the graph.

    Raises:
        Exception: The network does what cannot be written down, such as a decision by the value
            of a tensor; what is raised is up to it.
    """
    root = _Logits(model, sample)
    try:
        graph = _Tracer(whole_noises=False).trace(root)
    except Exception:
        graph = _Tracer(whole_noises=True).trace(root)
    return root, graph


class Seen(NamedTuple):
    """What a run of the graph on a few images has shown.

    Attributes:
        calls: The nodes that draw, with the number of their first draw.
        weights: The bytes of each node's value, per image.
        shapes: The shape of each node's value; empty where it is no tensor.
    """

    calls: dict[fx.Node, int]
    weights: dict[fx.Node, int]
    shapes: dict[fx.Node, tuple[int, ...]]


class Split:
    """The nodes of a graph, sorted by what they depend on.

    Attributes:
        root: What the names in the graph refer to.
        constants: Nodes that depend on neither images nor draws.
        prefix: Nodes that depend on the images alone.
        suffix: Nodes that depend on draws.
        images: The node of the images.
        output: The node of the logits.
        last: For each node, the last one that reads it.

    Arguments:
        root: The module.
        graph: Its graph.
        seen: What a run of it has shown.
    """

    def __init__(self, root: nn.Module, graph: fx.Graph, seen: Seen) -> None:
        self.root, self.seen, self.calls = root, seen, seen.calls
        nodes = list(graph.nodes)
        self.images = next(node for node in nodes if node.op == "placeholder")
        self.output: fx.Node = nodes[-1].args[0]
        needed = _needed(self.output)
        live = [node for node in nodes if node in needed]
        random = _reached(live, set(seen.calls))
        visual = _reached(live, {self.images})
        self.suffix = [node for node in live if node in random]
        self.prefix = [node for node in live if node in visual and node not in random]
        self.constants = [node for node in live if node not in visual and node not in random]
        order = [*self.constants, *self.prefix, *self.suffix]
        self.last = {source: node for node in order for source in node.all_input_nodes}

    @property
    def frontier(self) -> list[fx.Node]:
        """What the suffix reads of the prefix."""
        ours = set(self.prefix)
        read = {source for node in self.suffix for source in node.all_input_nodes}
        return [node for node in self.prefix if node in read & ours or node is self.output]

    @property
    def held_bytes(self) -> int:
        """The bytes per image that the suffix reads of the prefix."""
        return max(1, sum(self.seen.weights[node] for node in self.frontier))

    @property
    def prefix_bytes(self) -> int:
        """The most bytes per image alive at once in the prefix."""
        return max(1, self._peak(self.prefix))

    @property
    def row_bytes(self) -> int:
        """The most bytes per row alive at once in the suffix."""
        return max(1, self._peak(self.suffix))

    def _peak(self, nodes: Sequence[fx.Node]) -> int:
        alive: dict[fx.Node, int] = {}
        peak = 0
        for node in nodes:
            alive[node] = self.seen.weights[node]
            peak = max(peak, sum(alive.values()))
            for source in node.all_input_nodes:
                if self.last[source] is node:
                    alive.pop(source, None)
        return peak

    def module(self, node: fx.Node) -> nn.Module | None:
        """The module that a node calls, if it calls one."""
        return self.root.get_submodule(str(node.target)) if node.op == "call_module" else None


class Plain:
    """The network with its noise off, as far as it is not in the prefix already.

    Arguments:
        split: The network with its noise on, taken apart.
        root: The module with its noise off.
        graph: Its graph.
    """

    def __init__(self, split: Split, root: nn.Module, graph: fx.Graph) -> None:
        self.root = root
        at_hand = {split.images, *split.constants, *split.frontier}
        self.same = _matches(split.prefix + split.constants, list(graph.nodes))
        self.same = {node: other for node, other in self.same.items() if other in at_hand}
        nodes = list(graph.nodes)
        self.output: fx.Node = nodes[-1].args[0]
        needed = _needed(self.output, set(self.same))
        self.nodes = [node for node in nodes if node in needed]

    def logits(self, known: dict[fx.Node, Any]) -> Tensor:
        """Computes the logits from the values of the prefix."""
        values: dict[fx.Node, Any] = {}
        for node in self.nodes:
            if node in self.same:
                values[node] = known[self.same[node]]
            else:
                args, kwargs = fx.map_arg((node.args, node.kwargs), values.__getitem__)
                values[node] = call(self.root, node, args, kwargs)
        found: Tensor = values[self.output]
        return found


def _matches(known: Sequence[fx.Node], nodes: Sequence[fx.Node]) -> dict[fx.Node, fx.Node]:
    """The nodes that compute the same from the same as a known one."""
    names: dict[fx.Node, str] = {}
    places = {_signature(node, names): node for node in known}
    same: dict[fx.Node, fx.Node] = {}
    for node in nodes:
        other = places.get(_signature(node, names))
        if other is not None:
            same[node], names[node] = other, other.name
        else:
            names[node] = f"{node.name} without noise"
    return same


def _signature(node: fx.Node, names: dict[fx.Node, str]) -> str:
    def name(source: fx.Node) -> Any:
        return f"<{names.get(source, source.name)}>"

    target = node.target if isinstance(node.target, str) else id(node.target)
    given = "" if node.op == "placeholder" else fx.map_arg((node.args, node.kwargs), name)
    return f"{node.op} {target} {given}"


def call(root: nn.Module, node: fx.Node, args: Any, kwargs: Any) -> Any:
    """Does what a node says."""
    if node.op == "call_function":
        return node.target(*args, **kwargs)  # type: ignore[operator]
    if node.op == "call_method":
        return getattr(args[0], str(node.target))(*args[1:], **kwargs)
    if node.op == "call_module":
        return root.get_submodule(str(node.target))(*args, **kwargs)
    if node.op == "get_attr":
        return _attribute(root, str(node.target))
    raise NotImplementedError(f"a node of the kind {node.op}")


def _needed(output: fx.Node, given: Collection[fx.Node] = ()) -> set[fx.Node]:
    """What leads to `output`, without what leads to nodes that are given."""
    found, waiting = set(), [output]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += [] if node in given else node.all_input_nodes
    return found


def _reached(nodes: Sequence[fx.Node], start: set[fx.Node]) -> set[fx.Node]:
    found = set(start)
    for node in nodes:
        if any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _attribute(root: nn.Module, name: str) -> Any:
    found: Any = root
    for part in name.split("."):
        found = getattr(found, part)
    return found
