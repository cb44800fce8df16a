"""The convolutional network of the Monte Carlo dropout post."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.models.base import ACTIVATIONS, NoisyLayer, Prediction, check_activation
from ibdrop.noise.base import NoiseFactory, Noisy

__all__ = ["LeNet"]


class LeNet(nn.Module):
    r"""Convolutions with pooling, then two wide dense layers with noise.

    Each convolution is 3x3 without padding, followed by the activation and a 2x2 max-pooling that
    keeps the last, incomplete window. Chainer, in which the post was written, calls that
    `cover_all`; side :math:`s` becomes :math:`\lceil (s - 2) / 2 \rceil`, for MNIST
    28 - 26 - 13 - 11 - 6, so that 1152 values reach the dense layers and the network has
    2,168,810 parameters. The dense layers are named D1 and D2; with `noisy_convs` the convolutions
    are noisy too, before the pooling, and named C1, C2, ...

    References:
        LeCun et al., Gradient-based learning applied to document recognition, 1998, for the form.
        Gal & Ghahramani, Bayesian convolutional neural networks with Bernoulli approximate
        variational inference, arXiv 1506.02158, for noise after every layer of it.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Makes the noise of a layer from its number of channels or units.
        channels: The channels of each convolution.
        width: The number of units in each of the two dense layers.
        activation: `relu` or `softplus`.
        noisy_convs: Whether the convolutions are noisy too.

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
        channels: Sequence[int] = (16, 32),
        width: int = 1000,
        activation: Literal["relu", "softplus"] = "relu",
        noisy_convs: bool = False,
    ) -> None:
        super().__init__()
        check_activation(activation)
        if width < 1:
            raise ValueError(f"width={width}: a dense layer needs at least 1 unit.")
        height, breadth = _maps_left(image_size, channels)
        self.activation = activation
        self.convs = nn.ModuleDict()
        for number, count in enumerate(channels, start=1):
            conv = nn.Conv2d(in_channels, count, 3)
            self.convs[f"C{number}"] = (
                NoisyLayer(conv, nn.Identity(), activation, noise(count)) if noisy_convs else conv
            )
            in_channels = count
        self.dense = nn.ModuleDict()
        features = in_channels * height * breadth
        for number in (1, 2):
            affine = nn.Linear(features, width)
            self.dense[f"D{number}"] = NoisyLayer(affine, nn.Identity(), activation, noise(width))
            features = width
        self.out = nn.Linear(features, num_classes)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Inputs, with shape :math:`(B, C, H, W)`.
            sample: Whether to draw noise; `None` draws in training mode only.
        """
        noise_on = self.training if sample is None else sample
        x = images
        layers: dict[str, Noisy] = {}
        for name, conv in self.convs.items():
            if isinstance(conv, NoisyLayer):
                layers[name] = conv(x, noise_on)
                x = _pooled(layers[name].z)
            else:
                # Activations rise, so they may as well follow: on a quarter of the numbers.
                x = ACTIVATIONS[self.activation](_pooled(conv(x)))
        x = x.flatten(1)
        for name, dense in self.dense.items():
            layers[name] = dense(x, noise_on)
            x = layers[name].z
        return Prediction(self.out(x), layers)


def _pooled(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2, ceil_mode=True)


def _maps_left(image_size: tuple[int, int], channels: Sequence[int]) -> tuple[int, int]:
    """Gives height and width of the maps after the last pooling, in pixels."""
    if not channels or min(channels) < 1:
        raise ValueError(
            f"channels={list(channels)}: must be one number of at least 1 for each convolution."
        )
    count, (height, width) = len(channels), image_size
    needed = 2 ** (count + 1) - 1
    if min(image_size) < needed:
        raise ValueError(
            f"images of {height} x {width} pixels are too small: {count} convolutions with "
            f"pooling need at least {needed} x {needed}; shorten channels={list(channels)}."
        )
    for _ in channels:
        height, width = (height - 1) // 2, (width - 1) // 2
    return height, width
