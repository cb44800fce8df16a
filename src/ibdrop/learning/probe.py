"""What initial weights make of signals: variances of activations and gradients, measured."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from ibdrop.learning.propagation import Stage, backward, forward, similarities
from ibdrop.models.base import ACTIVATIONS, NoisyLayer
from ibdrop.noise.base import Noisy
from ibdrop.noise.baselines import NoNoise
from ibdrop.seeds import key

__all__ = ["probe", "summary"]

Row = dict[str, Any]
ENDS = ("", "_predicted")


@dataclass
class _Tap:
    """What passes one weight layer."""

    name: str
    affine: nn.Conv2d | nn.Linear
    x: Tensor
    y: Tensor
    normed: Tensor | None = None
    norm_gain: float = 1.0
    f: Tensor | None = None
    z: Tensor | None = None


def probe(model: nn.Module, x: Tensor, labels: Tensor, seed: int) -> list[Row]:
    r"""Measures how variance passes through a classifier, and predicts it from its weights.

    The network runs as in training, batch norm on the moments of the batch, with its noise on and
    with it off; the loss :math:`L` is the mean cross-entropy in nats. Afterwards the network is
    what it was: modes, buffers, gradients and the state of torch's generators.

    Arguments:
        model: A classifier called as `model(x, sample=...)`.
        x: Inputs, with shape :math:`(B, C, H, W)`, at least two.
        labels: Classes, with shape :math:`(B)`.
        seed: Keys the noise.

    Returns:
        A row for each state of the noise (`on` where there is any, then `off`) and weight layer in
        order of execution: `noise`, `layer` (its number), `name`, `fan_in`, `fan_out`,
        `weight_variance`, `bias_variance`, `mu2` (:math:`E[\varepsilon^2]` of the noise behind
        it), `segment` (a new one begins where something that prediction does not follow, such as
        pooling, lies before the layer), `variance` (:math:`\mathrm{Var}[y_l]` over images, units
        and positions) and `variance_predicted`, `gradient` (:math:`\mathrm{Var}[\partial L /
        \partial y_l]`) and `gradient_predicted`, `cosine` (the mean over pairs of images, of
        their :math:`y_l`) and `cosine_predicted`, `dead` (the share of units or channels that
        ReLU leaves at 0 for every image), `weight_gradient` (:math:`\|\partial L / \partial
        W_l\|`) and, in the last layer, `logit_deviation`.
    """
    rows = []
    for sample in (True, False) if _has_noise(model) else (False,):
        with _as_in_training(model, seed), _tapped(model) as taps:
            logits = model(x, sample=sample).logits
            wanted = [tap.y for tap in taps] + [tap.affine.weight for tap in taps]
            gradients = torch.autograd.grad(F.cross_entropy(logits, labels), wanted)
        stages = _stages(model, taps, gradients)
        noise = {"noise": "on" if sample else "off"}
        rows += [noise | row for row in _rows(taps, stages, gradients[len(taps) :])]
    return rows


def summary(rows: list[Row]) -> str:
    """What a probe found, in a sentence; with the noise as training has it.

    Arguments:
        rows: Those of `probe`.
    """
    own = [row for row in rows if row["noise"] == rows[0]["noise"]]
    first, last = own[0], own[-1]
    there, there_predicted = (last[f"variance{end}"] / first["variance"] for end in ENDS)
    back, back_predicted = (first[f"gradient{end}"] / last["gradient"] for end in ENDS)
    return (
        f"probe: over {len(own)} layers the variance of activations changes by a factor of "
        f"{there:.2g} (predicted {there_predicted:.2g}), that of gradients by {back:.2g} "
        f"({back_predicted:.2g}); the logits deviate by {last['logit_deviation']:.2g}"
    )


def _has_noise(model: nn.Module) -> bool:
    layers = [module for module in model.modules() if isinstance(module, NoisyLayer)]
    return any(not isinstance(layer.noise, NoNoise) for layer in layers)


@contextmanager
def _as_in_training(model: nn.Module, seed: int) -> Iterator[None]:
    """Training mode and keyed noise; afterwards modes, buffers and generators are as before."""
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.is_cuda})
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        try:
            model.train()
            torch.manual_seed(key(seed, "probe", "noise"))
            yield
        finally:
            for module, training in modes:
                module.training = training
            with torch.no_grad():
                for buffer, kept in buffers:
                    buffer.copy_(kept)


@contextmanager
def _tapped(model: nn.Module) -> Iterator[list[_Tap]]:
    """Gathers what passes the weight layers of a network, in order, while the block runs."""
    taps: list[_Tap] = []
    within = [layer for layer in model.modules() if isinstance(layer, NoisyLayer)]
    owned = {part for layer in within for part in layer.modules()} - set(within)
    with ExitStack() as hooks:
        for name, module in model.named_modules():
            for handle in _hooks(name, module, module in owned, taps):
                hooks.callback(handle.remove)
        yield taps


def _hooks(name: str, module: nn.Module, owned: bool, taps: list[_Tap]) -> Iterator[Any]:
    """The hooks of one module; those of a noisy layer do not ask how it makes its map."""
    if isinstance(module, NoisyLayer):
        yield from _noisy_hooks(name, module, taps)
    elif isinstance(module, nn.Conv2d | nn.Linear) and not owned:

        def passed(affine: Any, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
            taps.append(_Tap(name, affine, inputs[0], y))
            # Whatever follows may work in place.
            return y.clone()

        yield module.register_forward_hook(passed)
    if isinstance(module, _BatchNorm):

        def normed(norm: Any, inputs: tuple[Tensor, ...], y: Tensor) -> None:
            taps[-1].normed = y.detach()
            taps[-1].norm_gain = _norm_gain(inputs[0].detach(), norm.eps)

        yield module.register_forward_hook(normed)


def _noisy_hooks(name: str, layer: NoisyLayer, taps: list[_Tap]) -> Iterator[Any]:
    inputs: list[Tensor] = []

    def entered(_: nn.Module, given: tuple[Any, ...]) -> None:
        inputs.append(given[0])

    def mapped(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        taps.append(_Tap(name, layer.affine, inputs.pop(), given[0]))

    def noised(_: nn.Module, given: tuple[Any, ...], made: Noisy) -> None:
        taps[-1].f, taps[-1].z = given[0].detach(), made.z.detach()

    yield layer.register_forward_pre_hook(entered)
    yield layer.norm.register_forward_pre_hook(mapped)
    yield layer.noise.register_forward_hook(noised)


def _stages(model: nn.Module, taps: list[_Tap], gradients: tuple[Tensor, ...]) -> list[Stage]:
    activations = [*(_activation(model, tap) for tap in taps[:-1]), None]
    stages = []
    for place, tap in enumerate(taps):
        known = place > 0 and activations[place - 1] in ACTIVATIONS
        mean, square = _noise(tap)
        stages.append(
            Stage(
                *_fans(tap.affine),
                weight_variance=_square(tap.affine.weight),
                bias_variance=0.0 if tap.affine.bias is None else _square(tap.affine.bias),
                activation=activations[place],
                norm_gain=None if tap.normed is None else tap.norm_gain,
                dense=isinstance(tap.affine, nn.Linear),
                first=not (known and _follows(tap.x, taps[place - 1].y)),
                noise_mean=mean,
                noise_square=square,
                input_square=_square(tap.x),
                gradient=_variance(gradients[place]),
            )
        )
    return stages


def _activation(model: nn.Module, tap: _Tap) -> str:
    """The name of what follows a layer; a network that says nothing has ReLU."""
    module = model.get_submodule(tap.name)
    found = getattr(module if isinstance(module, NoisyLayer) else model, "activation", "relu")
    return str(found)


def _fans(affine: nn.Conv2d | nn.Linear) -> tuple[float, float]:
    if isinstance(affine, nn.Linear):
        return affine.in_features, affine.out_features
    positions, strides = math.prod(affine.kernel_size), math.prod(affine.stride)
    into = positions * affine.in_channels / affine.groups
    return into, positions * affine.out_channels / affine.groups / strides


def _follows(x: Tensor, y: Tensor) -> bool:
    """Whether nothing but an activation, and perhaps padding, lies between two layers."""
    if x.ndim == 4 and y.ndim == 4:
        sides = zip(x.shape[2:], y.shape[2:], strict=True)
        return x.shape[1] == y.shape[1] and all(0 <= a - b <= 2 for a, b in sides)
    return x[0].numel() == y[0].numel()


def _noise(tap: _Tap) -> tuple[float, float]:
    r"""The moments of :math:`\varepsilon` as the activations meet it."""
    if tap.f is None or tap.z is None:
        return 1.0, 1.0
    f, z = tap.f.double(), tap.z.double()
    total = float(f.square().sum())
    return (float((f * z).sum()) / total, float(z.square().sum()) / total) if total else (1.0, 1.0)


def _rows(taps: list[_Tap], stages: list[Stage], weights: tuple[Tensor, ...]) -> Iterator[Row]:
    cosines = [_cosines(tap.y.detach()) for tap in taps]
    predicted = zip(forward(stages), backward(stages), similarities(stages, cosines), strict=True)
    segment = 0
    for place, (there, back, cosine) in enumerate(predicted):
        tap, stage = taps[place], stages[place]
        segment += stage.first
        variance = _variance(tap.y)
        last = place + 1 == len(taps)
        yield {
            "layer": place + 1,
            "name": tap.name,
            "fan_in": stage.fan_in,
            "fan_out": stage.fan_out,
            "weight_variance": stage.weight_variance,
            "bias_variance": stage.bias_variance,
            "mu2": stage.noise_square,
            "segment": segment,
            "variance": variance,
            "variance_predicted": there,
            "gradient": stage.gradient,
            "gradient_predicted": back,
            "cosine": float(cosines[place].mean()),
            "cosine_predicted": cosine,
            "dead": None if last or stage.activation != "relu" else _dead(tap),
            "weight_gradient": float(weights[place].double().norm()),
            "logit_deviation": math.sqrt(variance) if last else None,
        }


def _square(x: Tensor) -> float:
    return float(x.detach().double().square().mean())


def _variance(y: Tensor) -> float:
    return float(y.detach().double().var(correction=0))


def _cosines(y: Tensor) -> Tensor:
    """Of all pairs of images, with shape (P)."""
    rows = F.normalize(y.flatten(1).double(), eps=1e-300)
    above = torch.ones(len(rows), len(rows), device=y.device).triu(1) > 0
    return (rows @ rows.T)[above].cpu()


def _norm_gain(y: Tensor, eps: float) -> float:
    axes = [axis for axis in range(y.ndim) if axis != 1]
    return float((1 / (y.double().var(axes, correction=0) + eps)).mean())


def _dead(tap: _Tap) -> float:
    read = tap.y.detach() if tap.normed is None else tap.normed
    axes = [axis for axis in range(read.ndim) if axis != 1]
    return float((read.amax(axes) <= 0).double().mean())
