"""What a reconstruction must be compared with: the floor, the mean image, PCA of its width."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSet, Transform
from ibdrop.models.generative import Autoencoder
from ibdrop.models.likelihood import floor, nll

__all__ = [
    "MOST_PIXELS",
    "PCA",
    "TrainingPixels",
    "compared",
    "references",
    "target_of",
    "training_pixels",
]

Target = Callable[[Tensor], Tensor]
"""Gives the pixels that are to be reconstructed, of pixels :math:`(B, C, H, W)`."""

MOST_PIXELS = 4096
"""Values per image up to which there is a PCA: the covariance of so many takes 134 MB."""

IMAGES = 1000
"""Images per batch; the figures do not depend on it."""


class PCA(NamedTuple):
    """The linear reconstruction of least squared error on the training images.

    Attributes:
        mean: The mean training image in float64, with shape :math:`(D)`.
        axes: Orthonormal principal axes, the longest first, with shape :math:`(K, D)`.
    """

    mean: Tensor
    axes: Tensor

    def rebuild(self, x: Tensor) -> Tensor:
        r"""Gives :math:`\mu + V^\top V (x - \mu)` in float64, with the shape of `x`."""
        apart = x.flatten(1).double() - self.mean
        return (self.mean + apart @ self.axes.T @ self.axes).view(x.shape)


class TrainingPixels(NamedTuple):
    """The first two moments of what is to be reconstructed of the training images.

    Attributes:
        images: Their number :math:`N`.
        mean: Their mean in float64, with shape :math:`(D)`.
        axes: The eigenvectors of their covariance, the longest first, with shape
            :math:`(D, D)`; `None` where an image has more than `MOST_PIXELS` values, and where
            the target is a part of it: PCA is shown what it gives back.
    """

    images: int
    mean: Tensor
    axes: Tensor | None

    @property
    def certain(self) -> Tensor:
        r"""The mean as probabilities that are never 0 or 1, :math:`(N \mu + 1/2) / (N + 1)`.

        A pixel that no training image lit would else cost infinitely much where a test image does
        (Krichevsky & Trofimov, 1981).
        """
        return (self.images * self.mean + 0.5) / (self.images + 1)

    def pca(self, width: int) -> PCA | None:
        """PCA with `width` components, or all if there are fewer; `None` where there is none."""
        return None if self.axes is None else PCA(self.mean, self.axes[:width])


_known: WeakKeyDictionary[ImageSet, tuple[Transform, Target, TrainingPixels]] = WeakKeyDictionary()


def as_they_are(x: Tensor) -> Tensor:
    """The target of an autoencoder that has to give all that it is shown."""
    return x


def target_of(model: Autoencoder) -> Target:
    """What a network has to give: the pixels, unless it makes something else its `target`."""
    return as_they_are if type(model).target is Autoencoder.target else model.target


def compared(model: Autoencoder, output: Tensor, x: Tensor) -> dict[str, Tensor]:
    r"""What reconstructions cost against the target of a network.

    Where the target is shorter than the images it is their lower part.

    Arguments:
        model: The network.
        output: What it says of each pixel, with shape :math:`(B, C, H, W)`.
        x: The images, likewise.

    Returns:
        In float64 with shape :math:`(B)`: the cost `ce` in nats per image, and
        :math:`\frac{1}{D} \sum_k (x_k - p_k)^2` as `mse`.
    """
    aim = target_of(model)(x)
    said = output[:, :, -aim.shape[2] :]
    ce = nll(said, aim, model.likelihood, model.deviation).double()
    return {"ce": ce, "mse": (model.means(said) - aim).double().square().flatten(1).mean(1)}


def training_pixels(data: ImageData, target: Target = as_they_are) -> TrainingPixels:
    """Goes over the training images, once as long as they live.

    Arguments:
        data: The data set.
        target: What is to be reconstructed.
    """
    known = _known.get(data.train)
    if known is None or known[0] is not data.transform or known[1] != target:
        known = _known[data.train] = (data.transform, target, _measured(data, target))
    return known[2]


@torch.no_grad()
def _measured(data: ImageData, target: Target) -> TrainingPixels:
    """Sums differences from the first batch's mean, which keeps all digits."""
    start = total = products = None
    for x in _streamed(data, data.train, len(data.train)):
        pixels = target(x).flatten(1).double()
        if start is None or total is None:
            start, total = pixels.mean(0), torch.zeros_like(pixels[0])
            if len(total) == x[0].numel() <= MOST_PIXELS:
                products = total.new_zeros(len(total), len(total))
        apart = pixels - start
        total += apart.sum(0)
        if products is not None:
            products.addmm_(apart.T, apart)
    assert start is not None
    assert total is not None
    count = len(data.train)
    shift = total / count
    if products is None:
        return TrainingPixels(count, start + shift, None)
    _, vectors = torch.linalg.eigh(products / count - torch.outer(shift, shift))
    return TrainingPixels(count, start + shift, vectors.flip(1).T.contiguous())


@torch.no_grad()
def references(
    data: ImageData,
    width: int,
    likelihood: str,
    deviation: float = 1.0,
    images: int | None = None,
    target: Target = as_they_are,
) -> dict[str, float]:
    r"""Gives the figures beside which those of an autoencoder can be read.

    - `ce_floor`: the least cost there can be, the entropy of the pixels themselves;
    - `ce_mean_image`: the cost of saying the mean training image each time;
    - `mse_mean_image`: :math:`\frac{1}{D} \sum_k (x_k - \mu_k)^2` of it;
    - `mse_pca`: the same of PCA of the training images with as many components as the code has
      units, which no linear autoencoder can undercut on them.

    Costs are nats per image, squared errors means per pixel; all are sums in float64.

    Arguments:
        data: The data set; the test images are measured, all else is learnt from the training
            images.
        width: The number of units of the code.
        likelihood: `bernoulli` or `gaussian`, see `ibdrop.models.likelihood.nll`.
        deviation: The standard deviation of a pixel; of `gaussian` only.
        images: The number of test images to stop after.
        target: What is to be reconstructed, see `target_of`; all figures are of that.

    Returns:
        The figures by name; no `mse_pca` where there is no PCA, see `TrainingPixels`.
    """
    count = min(len(data.test), images or len(data.test))
    known = training_pixels(data, target)
    pca, guess = known.pca(width), known.certain.logit()
    sums: dict[str, Tensor] = {}
    for x in _streamed(data, data.test, count):
        pixels = target(x).flatten(1).double()
        found = {
            "ce_floor": floor(pixels, likelihood, deviation),
            "ce_mean_image": nll(guess.expand_as(pixels), pixels, likelihood, deviation),
            "mse_mean_image": (pixels - known.mean).square().mean(1),
        }
        if pca is not None:
            found["mse_pca"] = (pixels - pca.rebuild(pixels)).square().mean(1)
        for name, each in found.items():
            sums[name] = sums.get(name, each.new_zeros(())) + each.sum()
    return {name: float(total) / count for name, total in sums.items()}


def _streamed(data: ImageData, images: ImageSet, count: int) -> Iterator[Tensor]:
    """What the network reads of the first images, batch by batch."""
    for index in torch.arange(count).split(IMAGES):
        yield data.inputs(images.batch(index).images)
