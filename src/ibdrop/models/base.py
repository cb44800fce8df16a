"""The contract of a model, and the layer that all of ours are made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.noise.base import Noise, Noisy, spread

__all__ = ["ACTIVATIONS", "NoisyLayer", "Prediction", "check_activation"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "softplus": F.softplus}


class Prediction(NamedTuple):
    """What a classifier returns.

    Attributes:
        logits: Unnormalised log-probabilities, with shape :math:`(B, K)`.
        layers: The output of each noisy layer by name, in order of execution.
    """

    logits: Tensor
    layers: dict[str, Noisy]

    @property
    def kls(self) -> dict[str, Tensor]:
        """KL in nats per unit of each layer that has one, with shape :math:`(B, C, *)`."""
        return {name: layer.kl for name, layer in self.layers.items() if layer.kl is not None}


def check_activation(name: str) -> None:
    """Refuses an unknown activation.

    Raises:
        ValueError: If `name` is not in `ACTIVATIONS`; the choices are named.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"activation={name}: must be one of {', '.join(ACTIVATIONS)}.")


class NoisyLayer(nn.Module):
    r"""An affine map with its norm and activation, followed by noise.

    .. math:: f(x) = \phi(\mathrm{norm}(W x)), \quad a(x) = V x + c, \quad
        z = \mathrm{noise}(f(x), a(x))

    Noise that lives in the weights draws :math:`W x` itself. The raw maps :math:`a(x)` are read
    from the same input with the same kernel and stride, have no norm, and start with
    :math:`c = 0`.

    Arguments:
        affine: :math:`W`, which fixes the sizes of :math:`V` too.
        norm: The norm of :math:`f`, for example batch norm or `nn.Identity()`.
        activation: :math:`\phi`, a key of `ACTIVATIONS`.
        noise: The noise, made for as many channels as `affine` gives.
        merge: Whether :math:`W x` and :math:`V x` are computed as one map with stacked weights;
            parameters and results are the same. `None` merges convolutions on CUDA and, on the
            CPU, in contiguous layout, where `benchmarks/merge.py` found it about 20 % faster; in
            channels-last layout it is slower there. Linear layers stay separate.

    Raises:
        ValueError: If the noise needs a positive :math:`f` and the activation gives zeros.
    """

    def __init__(
        self,
        affine: nn.Conv2d | nn.Linear,
        norm: nn.Module,
        activation: str,
        noise: Noise,
        merge: bool | None = None,
    ) -> None:
        super().__init__()
        check_activation(activation)
        if noise.positive and activation == "relu":
            raise ValueError(
                "prior=log_normal needs activation=softplus: "
                "log f(x) does not exist where ReLU gives 0"
            )
        self.affine = affine
        self.norm = norm
        self.activation = activation
        self.noise = noise
        self.merge = merge
        self.raw = _maps_beside(affine, noise.maps) if noise.maps else None
        noise.attach(affine)

    def forward(self, x: Tensor, sample: bool) -> Noisy:
        """Computes the noisy activation.

        Arguments:
            x: The input, with shape :math:`(B, C_{in}, H, W)` or :math:`(B, C_{in})`.
            sample: Whether to draw noise.
        """
        y, a = self._affine(x, sample)
        f = ACTIVATIONS[self.activation](self.norm(y))
        noisy: Noisy = self.noise(f, a, sample)
        price = self.noise.price(self.affine)
        return noisy if price is None else noisy._replace(kl=spread(price, noisy.z))

    def _affine(self, x: Tensor, sample: bool) -> tuple[Tensor, Tensor | None]:
        if self.raw is None:
            return self.noise.affine(x, self.affine, sample), None
        if self._merges(x):
            return self._merged(x, self.raw)
        return self.affine(x), self.raw(x)

    def _merges(self, x: Tensor) -> bool:
        if self.merge is not None:
            return self.merge
        return isinstance(self.affine, nn.Conv2d) and (x.is_cuda or x.is_contiguous())

    def _merged(self, x: Tensor, raw: nn.Conv2d | nn.Linear) -> tuple[Tensor, Tensor]:
        assert raw.bias is not None
        weight = torch.cat([self.affine.weight, raw.weight])
        own = self.affine.bias
        start = weight.new_zeros(len(self.affine.weight)) if own is None else own
        bias = torch.cat([start, raw.bias])
        if isinstance(self.affine, nn.Conv2d):
            both = F.conv2d(x, weight, bias, self.affine.stride, self.affine.padding)
        else:
            both = F.linear(x, weight, bias)
        y, a = both.split([len(self.affine.weight), len(raw.weight)], dim=1)
        return y, a


def _maps_beside(affine: nn.Conv2d | nn.Linear, maps: int) -> nn.Conv2d | nn.Linear:
    """Makes the layer of the raw maps, as `affine` but with a bias, which starts at zero."""
    raw: nn.Conv2d | nn.Linear
    if isinstance(affine, nn.Linear):
        raw = nn.Linear(affine.in_features, maps * affine.out_features)
    else:
        raw = nn.Conv2d(
            affine.in_channels,
            maps * affine.out_channels,
            affine.kernel_size,  # type: ignore[arg-type]
            affine.stride,  # type: ignore[arg-type]
            affine.padding,  # type: ignore[arg-type]
        )
    assert raw.bias is not None
    nn.init.zeros_(raw.bias)
    return raw
