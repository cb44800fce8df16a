"""Plain stacks of many layers, with which He et al. showed what initial weights are worth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.base import Noise, NoiseFactory, Noisy
from ibdrop.noise.baselines import NoNoise

__all__ = ["DeepNet"]

BEFORE_LAST_STAGE, DENSE = 5, 3
"""Convolutions before the last stage of the recipe, and dense layers behind it."""

Step = tuple[nn.Module, nn.Conv2d | nn.Linear, int]
"""What stands before a weight layer, the layer, and its channels."""


class DeepNet(nn.Module):
    r"""A plain stack of weight layers with ReLU: no shortcuts and, unless asked for, no norm.

    `kind=fc`: :math:`L - 1` hidden layers of equal width, so that fan-in equals fan-out, and an
    output layer. `kind=conv`: the small model of He et al., whose 14 layers are a convolution
    with max-pooling, four convolutions, max-pooling, six convolutions, spatial pyramid pooling
    and three dense layers; deeper ones have more convolutions in the last stage, 14 of them at 22
    layers and 22 at 30. Hidden layers are named D1, D2, ... in order. A prediction tells of the
    noisy ones that have an information term, and of the last hidden one.

    Even kernels are padded by one pixel left and above, then right and below, in turns: the maps
    keep their size and stay where they are.

    Reference: He et al., Delving deep into rectifiers, arXiv 1502.01852, section 2.2 and table 1.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Makes the noise of a layer from its number of units or channels.
        kind: `fc` or `conv`.
        layers: :math:`L`, the number of layers with weights, the output layer included.
        width: The number of units in a hidden layer; `fc` only.
        channels: Those of the first convolution, of the next four, and of the last stage.
        kernel: The side of all kernels but the first, in pixels.
        stem: Side and stride of the first kernel and side of the pooling behind it, in pixels.
        pyramid: The bins along each side in every level of the pyramid pooling.
        dense: The number of units in each of the two hidden dense layers behind it.
        activation: `relu` or `softplus`.
        batch_norm: Whether batch norm precedes each activation.
        noise_every: Noise follows each hidden layer whose number is a multiple of this.

    Raises:
        ValueError: If an argument is out of its range, the images are too small, or noise and
            activation do not agree.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        kind: Literal["fc", "conv"] = "fc",
        layers: int = 30,
        width: int = 256,
        channels: Sequence[int] = (8, 16, 24),
        kernel: int = 3,
        stem: Sequence[int] = (3, 1, 2),
        pyramid: Sequence[int] = (2, 1),
        dense: int = 64,
        activation: Literal["relu", "softplus"] = "relu",
        batch_norm: bool = False,
        noise_every: int = 1,
    ) -> None:
        super().__init__()
        _check(kind, layers)
        _check_counts(width=width, kernel=kernel, dense=dense, noise_every=noise_every)
        _check_lists(channels=channels, stem=stem, pyramid=pyramid)
        if kind == "fc":
            steps = _dense(in_channels * image_size[0] * image_size[1], width, layers - 1)
        else:
            _check_room(image_size, stem)
            many = layers - DENSE - BEFORE_LAST_STAGE
            steps = _convolutions(in_channels, channels, kernel, stem, pyramid, dense, many)
        self.activation = activation
        self.before, self.hidden = nn.ModuleDict(), nn.ModuleDict()
        for number, (before, affine, size) in enumerate(steps, start=1):
            own: Noise = NoNoise(size) if number % noise_every else noise(size)
            norm = _norm(affine, size) if batch_norm else nn.Identity()
            if batch_norm:
                affine.register_parameter("bias", None)
            self.before[f"D{number}"] = before
            self.hidden[f"D{number}"] = NoisyLayer(affine, norm, activation, own)
        self.out = nn.Linear(size, num_classes)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Inputs, with shape :math:`(B, C, H, W)`.
            sample: Whether to draw noise; `None` draws in training mode only.
        """
        noise_on = self.training if sample is None else sample
        x = images
        layers: dict[str, Noisy] = {}
        last = f"D{len(self.hidden)}"
        for name, layer in self.hidden.items():
            noisy: Noisy = layer(self.before[name](x), noise_on)
            if noisy.kl is not None or name == last:
                layers[name] = noisy
            x = noisy.z
        return Prediction(self.out(x), layers)


class _Pyramid(nn.Module):
    """The largest value of each channel in each bin of each level, in one row."""

    def __init__(self, bins: Sequence[int]) -> None:
        super().__init__()
        self.bins = tuple(bins)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([F.adaptive_max_pool2d(x, side).flatten(1) for side in self.bins], 1)

    def extra_repr(self) -> str:
        return f"bins={self.bins}"


def _dense(features: int, width: int, count: int) -> Iterator[Step]:
    """Dense layers of equal width, the first of which flattens what it reads."""
    for number in range(count):
        yield nn.Identity() if number else nn.Flatten(), nn.Linear(features, width), width
        features = width


def _convolutions(
    in_channels: int,
    channels: Sequence[int],
    kernel: int,
    stem: Sequence[int],
    pyramid: Sequence[int],
    dense: int,
    many: int,
) -> Iterator[Step]:
    """The convolutions of the recipe with `many` in the last stage, and its dense layers."""
    side, stride, pool = stem
    yield nn.Identity(), nn.Conv2d(in_channels, channels[0], side, stride, side // 2), channels[0]
    size, done = channels[0], 1
    for count, out, before in ((4, channels[1], pool), (many, channels[2], 2)):
        for number in range(count):
            shrink = nn.Identity() if number else nn.MaxPool2d(before)
            conv = nn.Conv2d(size, out, kernel, padding=kernel // 2 if kernel % 2 else 0)
            yield nn.Sequential(shrink, _pad(kernel, done)), conv, out
            size, done = out, done + 1
    bins = sum(one**2 for one in pyramid)
    yield _Pyramid(pyramid), nn.Linear(bins * size, dense), dense
    yield nn.Identity(), nn.Linear(dense, dense), dense


def _pad(kernel: int, number: int) -> nn.Module:
    """What an even kernel lacks: its padding cannot be the same on both sides."""
    if kernel % 2:
        return nn.Identity()
    small, large = sorted((kernel // 2, (kernel - 1) // 2))
    first, second = (large, small) if number % 2 else (small, large)
    return nn.ZeroPad2d((first, second, first, second))


def _norm(affine: nn.Conv2d | nn.Linear, size: int) -> nn.Module:
    return nn.BatchNorm2d(size) if isinstance(affine, nn.Conv2d) else nn.BatchNorm1d(size)


def _check(kind: str, layers: int) -> None:
    least = {"fc": 2, "conv": BEFORE_LAST_STAGE + DENSE + 1}
    if kind not in least:
        raise ValueError(f"kind={kind}: must be fc or conv.")
    if layers < least[kind]:
        raise ValueError(f"layers={layers}: kind={kind} needs at least {least[kind]}.")


def _check_counts(**counts: int) -> None:
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name}={count}: must be at least 1.")


def _check_lists(**lists: Sequence[int]) -> None:
    for name, given in lists.items():
        wanted = "some" if name == "pyramid" else "three"
        if not given or min(given) < 1 or (wanted == "three" and len(given) != 3):
            raise ValueError(f"{name}={list(given)}: must be {wanted} numbers of at least 1.")


def _check_room(image_size: tuple[int, int], stem: Sequence[int]) -> None:
    height, width = image_size
    side, stride, pool = stem
    least = min((length + 2 * (side // 2) - side) // stride + 1 for length in image_size)
    if least // pool // 2 < 1:
        raise ValueError(
            f"images of {height} x {width} pixels are too small for kind=conv with "
            f"stem={list(stem)}: two poolings leave nothing of them."
        )
