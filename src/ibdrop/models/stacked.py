"""A classifier of sigmoid layers, each of which can first learn as a denoising autoencoder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.models.base import Prediction
from ibdrop.models.likelihood import nll
from ibdrop.noise.base import NoiseFactory
from ibdrop.noise.draws import standard_uniform

__all__ = ["Softmax", "StackedAutoencoder", "Stage"]


class Stage:
    r"""A layer of a stack as a denoising autoencoder with tied weights.

    .. math:: \tilde x = x m, \quad m \sim \mathrm{Bernoulli}(1 - \nu), \qquad
        y = s(W \tilde x + b), \qquad z = s(W^\top y + b')

    :math:`W` and :math:`b` are the layer's own tensors, so that whoever trains the stage trains
    the layer; :math:`b'` is the stage's, and forgotten with it. The target is the clean
    :math:`x`, the pixels or what the layers below make of them.

    Reference: Vincent et al., Extracting and composing robust features with denoising
    autoencoders, ICML 2008.

    Arguments:
        layer: The layer.
        corruption: The share :math:`\nu` in [0, 1) of inputs that are set to 0.
    """

    def __init__(self, layer: nn.Linear, corruption: float) -> None:
        self.weight, self.bias = layer.weight, layer.bias
        self.visible = torch.zeros_like(layer.weight[0]).detach()
        self.corruption = corruption

    def corrupt(self, x: Tensor) -> Tensor:
        r"""Draws :math:`\tilde x` from `x`, with shape :math:`(B, D)`."""
        if self.corruption == 0:
            return x
        return x * (standard_uniform(x) >= self.corruption)

    def encode(self, x: Tensor) -> Tensor:
        """The activations :math:`y` in (0, 1) of inputs (B, D), with shape :math:`(B, H)`."""
        return F.linear(x, self.weight, self.bias).sigmoid()

    def decode(self, y: Tensor) -> Tensor:
        """What :math:`y` says of each input before the sigmoid, with shape :math:`(B, D)`."""
        return F.linear(y, self.weight.t(), self.visible)

    def cost(self, x: Tensor, seen: Tensor) -> Tensor:
        """The cross-entropy, summed over inputs, mean over the batch, in nats.

        Arguments:
            x: What is to be given back, in [0, 1], with shape :math:`(B, D)`.
            seen: What is shown of it, with the same shape.
        """
        return nll(self.decode(self.encode(seen)), x, "bernoulli").mean()


class Softmax(nn.Module):
    """Logistic regression whose weights start at 0; an initialisation of layers leaves them so.

    Arguments:
        features: The number of inputs :math:`H`.
        classes: The number of classes :math:`K`.
    """

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, h: Tensor) -> Tensor:
        """Logits of inputs (B, H), with shape :math:`(B, K)`."""
        return F.linear(h, self.weight, self.bias)


class StackedAutoencoder(nn.Module):
    r"""Sigmoid layers under a softmax, which may be pretrained one after the other.

    .. math:: h_0 = x, \qquad h_l = s(W_l h_{l-1} + b_l), \qquad
        p = \mathrm{softmax}(V h_L + c)

    Training it as a classifier is the second half of the recipe. In the first, each layer learns
    by itself to give back its own input from a corrupted copy, see `pretraining` and
    `ibdrop.learning.pretraining`; with no pretraining epochs the start is random. Nothing is
    corrupted where the network classifies.

    References:
        Bengio et al., Greedy layer-wise training of deep networks, NIPS 2006.
        Vincent et al., Stacked denoising autoencoders, JMLR 11 (2010).
        Deep Learning Tutorials, SdA: 784-1000-1000-1000-10, test error 1.30 %.

    Arguments:
        in_channels: The number of colour channels.
        image_size: Height and width in pixels.
        num_classes: The number of classes :math:`K`.
        noise: Not used.
        hidden: The width of each layer.
        corruption: The share of inputs set to 0 in the pretraining of each layer.
        pretrain_epochs: Epochs of pretraining for each layer; 0 is a random start.
        pretrain_lr: The learning rate of pretraining, by plain gradient descent.
        pretrain_batch: Images per step of pretraining.

    Raises:
        ValueError: An argument is out of its range, or there is not one level for each layer.
    """

    task: ClassVar[str] = "classification"
    uses_noise: ClassVar[bool] = False

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        noise: NoiseFactory,
        *,
        hidden: Sequence[int] = (1000, 1000, 1000),
        corruption: Sequence[float] = (0.1, 0.2, 0.3),
        pretrain_epochs: int = 15,
        pretrain_lr: float = 0.001,
        pretrain_batch: int = 1,
    ) -> None:
        super().__init__()
        _check_layers(hidden, corruption)
        _check_pretraining(pretrain_epochs, pretrain_lr, pretrain_batch)
        widths = [in_channels * math.prod(image_size), *hidden]
        pairs = zip(widths, widths[1:], strict=False)
        self.hidden = nn.ModuleList(nn.Linear(below, width) for below, width in pairs)
        self.out = Softmax(widths[-1], num_classes)
        self.corruption = tuple(corruption)
        self.pretrain_epochs = pretrain_epochs
        self.pretrain_lr = pretrain_lr
        self.pretrain_batch = pretrain_batch

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        """Classifies images.

        Arguments:
            images: Inputs, with shape :math:`(B, C, H, W)`.
            sample: Nothing is random here.
        """
        return Prediction(self.out(self.encode(images)), {})

    def encode(self, x: Tensor, upto: int | None = None) -> Tensor:
        """The activations :math:`h_l` in (0, 1), with shape :math:`(B, H_l)`.

        Arguments:
            x: Inputs, with shape :math:`(B, C, H, W)` or :math:`(B, D)`.
            upto: The number of layers :math:`l`; 0 gives the inputs, `None` all layers.
        """
        h = x.flatten(1)
        for layer in self.hidden[:upto]:
            h = layer(h).sigmoid()
        return h

    def pretraining(self) -> tuple[Stage, ...]:
        """Each layer, from the pixels up, as a denoising autoencoder that shares its weights."""
        stages = []
        for layer, level in zip(self.hidden, self.corruption, strict=True):
            assert isinstance(layer, nn.Linear)
            stages.append(Stage(layer, level))
        return tuple(stages)


def _check_layers(hidden: Sequence[int], corruption: Sequence[float]) -> None:
    widths, levels = list(hidden), list(corruption)
    if not widths or min(widths) < 1:
        raise ValueError(f"hidden={widths}: must be one width or more, each at least 1.")
    if len(levels) != len(widths):
        raise ValueError(
            f"corruption={levels}: must be one level for each of the {len(widths)} layers"
            f" of hidden={widths}."
        )
    if not all(0 <= level < 1 for level in levels):
        raise ValueError(f"corruption={levels}: each level must be at least 0 and below 1.")


def _check_pretraining(epochs: int, lr: float, batch: int) -> None:
    if epochs < 0:
        raise ValueError(f"pretrain_epochs={epochs}: must be at least 0, which is a random start.")
    if not 0 < lr < math.inf:
        raise ValueError(f"pretrain_lr={lr}: must be a positive number.")
    if batch < 1:
        raise ValueError(f"pretrain_batch={batch}: must be at least 1.")
