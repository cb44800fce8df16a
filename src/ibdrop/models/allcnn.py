"""The all-convolutional networks of the Information Dropout paper."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.models.base import ACTIVATIONS, NoisyLayer, Prediction, check_activation
from ibdrop.noise.base import NoiseFactory, Noisy

__all__ = ["AllCNN", "blocks_for"]

BATCHNORM_EPS = 1e-3


def blocks_for(image_size: tuple[int, int]) -> tuple[int, ...]:
    """Gives the channels of each block for images of this size.

    Below 40 pixels All-CNN-32, from 64 pixels All-CNN-96, between them the latter at half width.

    Arguments:
        image_size: Height and width in pixels; the shorter one counts.
    """
    side = min(image_size)
    if side < 40:
        return 96, 192
    return (16, 32, 48, 96) if side < 64 else (32, 64, 96, 192)


class AllCNN(nn.Module):
    """All-CNN with a noisy layer at the end of each block.

    A block of c channels is two 3x3 convolutions and a noisy one of stride 2. The head is a 3x3
    and a 1x1 convolution of as many channels as the last block, a 1x1 convolution to the classes,
    and the mean over positions. Every convolution is followed by batch norm (eps 1e-3) and the
    activation, the one to the classes too. Reference: arXiv 1611.01353, table 2.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Makes the noise of a layer from its number of channels.
        blocks: The channels of each block, or `auto` to choose by image size (`blocks_for`).
        width: Multiplies all channels but the classes; the product is rounded down.
        activation: `relu` or `softplus`.
        norm_scale: Whether batch norm learns a scale beside its shift; the paper's code does not.
        conv_bias: Whether the convolutions before a batch norm have a bias too.
        dense: Whether a K x K linear layer follows the mean, as in the paper's code.
        input_dropout: The share of input values switched off in training, with the noise on;
            the paper has 0.2 on CIFAR-10.

    Raises:
        ValueError: If an argument is out of its range, or noise and activation do not agree.
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        blocks: str | Sequence[int] = "auto",
        width: float = 1.0,
        activation: Literal["relu", "softplus"] = "relu",
        norm_scale: bool = True,
        conv_bias: bool = False,
        dense: bool = False,
        input_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_activation(activation)
        if not 0 <= input_dropout < 1:
            raise ValueError(
                f"input_dropout={input_dropout}: the share switched off must be in [0, 1)."
            )
        self.activation = activation
        self.norm_scale = norm_scale
        self.conv_bias = conv_bias
        self.input_dropout = input_dropout
        sizes = _scaled(_resolved(blocks, image_size), width)
        self.plain = nn.ModuleList()
        self.noisy = nn.ModuleDict()
        # The paper counts the layers of All-CNN-32 from one, those of All-CNN-96 from zero.
        first = 1 if len(sizes) == 2 else 0
        for number, channels in enumerate(sizes, start=first):
            self.plain.append(
                nn.Sequential(
                    *self._unit(in_channels, channels, 3), *self._unit(channels, channels, 3)
                )
            )
            conv, norm = self._conv(channels, channels, 3, stride=2), self._norm(channels)
            self.noisy[f"D{number}"] = NoisyLayer(conv, norm, activation, noise(channels))
            in_channels = channels
        self.head = nn.Sequential(
            *self._unit(in_channels, in_channels, 3),
            *self._unit(in_channels, in_channels, 1),
            *self._unit(in_channels, num_classes, 1),
        )
        self.dense = nn.Linear(num_classes, num_classes) if dense else nn.Identity()

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Inputs, with shape :math:`(B, C, H, W)`.
            sample: Whether to draw noise; `None` draws in training mode only.
        """
        noise_on = self.training if sample is None else sample
        x = images
        if self.input_dropout and self.training and noise_on:
            x = F.dropout(x, self.input_dropout)
        layers: dict[str, Noisy] = {}
        for plain, (name, noisy) in zip(self.plain, self.noisy.items(), strict=True):
            layers[name] = noisy(plain(x), noise_on)
            x = layers[name].z
        return Prediction(self.dense(self.head(x).mean(dim=(2, 3))), layers)

    def _unit(self, channels: int, out_channels: int, kernel: int) -> tuple[nn.Module, ...]:
        conv = self._conv(channels, out_channels, kernel)
        return conv, self._norm(out_channels), _Activation(self.activation)

    def _conv(self, channels: int, out_channels: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        return nn.Conv2d(
            channels, out_channels, kernel, stride, padding=kernel // 2, bias=self.conv_bias
        )

    def _norm(self, channels: int) -> nn.BatchNorm2d:
        norm = nn.BatchNorm2d(channels, eps=BATCHNORM_EPS)
        norm.weight.requires_grad_(self.norm_scale)
        return norm


class _Activation(nn.Module):
    """One of `ACTIVATIONS` as a module."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        return ACTIVATIONS[self.name](x)

    def extra_repr(self) -> str:
        return self.name


def _resolved(blocks: str | Sequence[int], image_size: tuple[int, int]) -> tuple[int, ...]:
    if isinstance(blocks, str):
        if blocks != "auto":
            raise ValueError(f"blocks={blocks}: must be auto or a list of channels.")
        return blocks_for(image_size)
    if not blocks:
        raise ValueError("blocks=[]: the network needs at least one block.")
    return tuple(blocks)


def _scaled(blocks: tuple[int, ...], width: float) -> tuple[int, ...]:
    sizes = tuple(int(channels * width) for channels in blocks)
    if min(sizes) < 1:
        raise ValueError(f"width={width}: leaves a block of {list(blocks)} without channels.")
    return sizes
