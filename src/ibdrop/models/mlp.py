"""The fully connected network of the Information Dropout paper."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.base import NoiseFactory, Noisy

__all__ = ["MLP"]


class MLP(nn.Module):
    """Hidden layers of equal width, each one noisy, named D1, D2, ... in order.

    Reference: arXiv 1611.01353, figure 3a (FC-MNIST: three layers of 200 to 1400 units).

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Makes the noise of a layer from its number of units.
        width: The number of units in each hidden layer.
        depth: The number of hidden layers.
        activation: `relu` or `softplus`.
        batch_norm: Whether batch norm precedes each activation; the paper does not say.

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
        width: int = 1000,
        depth: int = 3,
        activation: Literal["relu", "softplus"] = "relu",
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        if width < 1 or depth < 1:
            raise ValueError(f"width={width}, depth={depth}: both must be at least 1.")
        height, breadth = image_size
        features = in_channels * height * breadth
        self.hidden = nn.ModuleDict()
        for number in range(1, depth + 1):
            norm = nn.BatchNorm1d(width) if batch_norm else nn.Identity()
            affine = nn.Linear(features, width, bias=not batch_norm)
            self.hidden[f"D{number}"] = NoisyLayer(affine, norm, activation, noise(width))
            features = width
        self.out = nn.Linear(width, num_classes)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Inputs, with shape :math:`(B, C, H, W)`.
            sample: Whether to draw noise; `None` draws in training mode only.
        """
        noise_on = self.training if sample is None else sample
        x = images.flatten(1)
        layers: dict[str, Noisy] = {}
        for name, layer in self.hidden.items():
            layers[name] = layer(x, noise_on)
            x = layers[name].z
        return Prediction(self.out(x), layers)
