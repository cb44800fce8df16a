"""ZCA whitening as in the Information Dropout paper: exact, computed once, kept on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ibdrop.data import cache
from ibdrop.data.base import ImageSet, ImageSpec, StaticImages, Transform
from ibdrop.data.samples import samples

__all__ = ["EPSILON", "Whitened", "standardised", "whitened", "zca_matrix"]

EPSILON = 1e-5
FORMAT = 1
"""To be raised with every change of the formula, so that no old matrix is used for it."""
LARGEST = 64 * 64 * 3
SAMPLE = 50_000
"""The most images that are read from disk to compute a matrix."""
STRIP = 512


def standardised(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    r"""Takes brightness and contrast out of each image: :math:`(x - \bar x) / s`.

    Mean :math:`\bar x` and standard deviation :math:`s` (over :math:`D - 1`) are those of all
    :math:`D = C H W` values of an image. Their sums are of integers, so they are exact, and an
    image of one colour becomes 0. Floats are treated alike, differentiably and up to rounding.

    Arguments:
        images: Pixels as uint8, or as floats from 0 to 255, with shape :math:`(B, C, H, W)`.
        dtype: The type of the result.

    Returns:
        Values of mean 0 and standard deviation 1, with shape :math:`(B, D)`.
    """
    values = images.flatten(1)
    D = values.shape[1]
    if values.is_floating_point():
        centred = values.to(dtype) - values.to(dtype).mean(1, keepdim=True)
        spread = centred.square().sum(1, keepdim=True) / (D - 1)
        return centred / spread.where(spread > 0, 1).sqrt()
    total = values.sum(1, keepdim=True)
    spread = D * values.int().square_().sum(1, keepdim=True) - total.square()
    scale = spread.double().mul_(D / (D - 1)).sqrt_().masked_fill_(spread == 0, 1)
    return values.to(dtype).mul_(D).sub_(total).div_(scale.to(dtype))


class Whitened(Transform):
    r"""Decorrelates the values of an image: :math:`y = W (z - \mu)`.

    Here :math:`z` is the image after `standardised`. The product is always one of float32 in
    full, whatever autocast and the global precision of products say; like every such product, it
    is the same for any size of the batch up to rounding, not bit for bit.

    Arguments:
        mean: The mean :math:`\mu` over the training images, as float32 with shape :math:`(D)`.
        matrix: The symmetric matrix :math:`W`, as float32 with shape :math:`(D, D)`.
    """

    def __init__(self, mean: Tensor, matrix: Tensor) -> None:
        self.mean = mean
        self.matrix = matrix

    def __call__(self, images: Tensor) -> Tensor:
        centred = standardised(images) - self.mean
        with _in_full(images.device):
            return (centred @ self.matrix).view(images.shape)

    def to(self, device: torch.device) -> Whitened:
        return Whitened(self.mean.to(device), self.matrix.to(device))


@contextmanager
def _in_full(device: torch.device) -> Iterator[None]:
    """Products of float32 without bfloat16 or TF32 while the block runs."""
    kind = {"cuda": torch.backends.cuda, "cpu": torch.backends.mkldnn}.get(device.type)
    flag: Any = getattr(kind, "matmul", None)
    before = getattr(flag, "fp32_precision", "ieee")
    with torch.autocast(device.type, enabled=False):
        if before in ("ieee", "none"):
            yield
            return
        flag.fp32_precision = "ieee"
        try:
            yield
        finally:
            # What came from a more general setting is to come from there again.
            flag.fp32_precision = "none"
            if flag.fp32_precision != before:
                flag.fp32_precision = before


def whitened(train: ImageSet, spec: ImageSpec) -> Whitened:
    r"""Computes the whitening of the Information Dropout paper, or takes it from the disk.

    Each image loses its brightness and contrast (`standardised`); of what is left, the covariance
    over the training images is :math:`U \Lambda U^\top`, with the standard deviation
    :math:`S = \sqrt\Lambda` of each principal component, and

    .. math:: W = U \operatorname{diag}\left(\frac{1}{S + 10^{-5}}\right) U^\top .

    All in float64, over all components. Directions in which no training image varies count for
    nothing: their :math:`1/S` would be :math:`10^5`, which on the training images multiplies
    rounding errors alone, and on others differences that were never seen (on MNIST, where 72 of
    784 directions do not vary, the test images would get a variance of 201 instead of 1.3). One
    such direction is always there, the constant vector, as every :math:`z` sums to 0; leaving it
    out changes nothing in exact arithmetic. Whether a direction varies is judged as the rank of a
    matrix is, by :math:`\Lambda > D \epsilon \max \Lambda` with the :math:`\epsilon` of float64.

    Mean and matrix are kept in the folder that `ibdrop.data.cache.folder` names, under a digest
    of the training pixels. A set that is read from disk is judged by 50,000 evenly spaced images.

    Arguments:
        train: The training images.
        spec: Their shape; :math:`D` is at most 12,288, as time grows with :math:`D^3` and memory
            with :math:`D^2`.

    Raises:
        ValueError: The images are too large, no more than :math:`D`, or each of one colour.

    Reference:
        Achille & Soatto, Information Dropout (arXiv 1611.01353), section 6.
    """
    D = spec.channels * spec.height * spec.width
    count = len(train) if train.resident else min(len(train), SAMPLE)
    _check(D, count, spec)
    if not train.resident:
        train = StaticImages(torch.cat(list(samples(train, SAMPLE))), torch.zeros(count))
    name = f"zca-{_digest(train)}.npz"
    kept = cache.load(name, {"mean": (D,), "matrix": (D, D)})
    if kept is None:
        kept = _computed(train, D)
        cache.keep(name, kept)
    return Whitened(kept["mean"], kept["matrix"])


def _check(D: int, count: int, spec: ImageSpec) -> None:
    size = f"{spec.height} x {spec.width} pixels in {spec.channels} channels"
    if not 2 <= D <= LARGEST:
        raise ValueError(
            f"normalise=zca is for small images, of 2 to {LARGEST:,} values (64 x 64 pixels in"
            f" 3 channels), and these have {D:,} ({size}); use standard or unit, or a smaller size"
        )
    if count <= D:
        raise ValueError(
            f"normalise=zca needs more training images than an image has values, {D:,} ({size}),"
            f" and there are {count:,}; use standard or unit, or a smaller size"
        )


def _digest(images: ImageSet) -> str:
    digest = hashlib.sha256(f"ibdrop zca {FORMAT} {EPSILON}".encode())
    for pixels in samples(images, SAMPLE):
        digest.update(f"{list(pixels.shape)}".encode())
        digest.update(pixels.contiguous().numpy().data)
    return digest.hexdigest()[:32]


def _computed(images: ImageSet, D: int) -> dict[str, Tensor]:
    total = torch.zeros(D, dtype=torch.float64)
    for pixels in samples(images, SAMPLE):
        total += standardised(pixels, torch.float64).sum(0)
    mean = total / len(images)
    matrix = zca_matrix(_covariance(images, mean))
    return {"mean": (mean - mean.mean()).float(), "matrix": matrix.float()}


def _covariance(images: ImageSet, mean: Tensor) -> Tensor:
    D = len(mean)
    covariance = torch.zeros(D, D, dtype=torch.float64)
    for pixels in samples(images, SAMPLE):
        centred = standardised(pixels, torch.float64).sub_(mean)
        for row in range(0, D, STRIP):
            # Only what is on or above the diagonal; the rest is its mirror image.
            strip = centred[:, row : row + STRIP]
            covariance[row : row + STRIP, row:].addmm_(strip.T, centred[:, row:])
    covariance /= len(images) - 1
    return covariance.triu() + covariance.triu(1).T


def zca_matrix(covariance: Tensor) -> Tensor:
    """Gives the matrix that whitens values of this covariance; see `whitened`.

    Arguments:
        covariance: The covariance, as float64 with shape :math:`(D, D)`.

    Returns:
        The matrix as float64, symmetric, with rows that sum to 0.

    Raises:
        ValueError: Nothing varies.
    """
    variance, U = torch.linalg.eigh(covariance)
    rounding = torch.finfo(torch.float64).eps
    if float(variance[-1]) <= rounding:
        raise ValueError(
            "normalise=zca needs training images that differ, and these are all the same up to"
            " brightness and contrast; use unit"
        )
    varies = variance > len(variance) * rounding * variance[-1]
    gain = torch.where(varies, 1 / (variance.clamp(min=0).sqrt() + EPSILON), 0)
    W = (U * gain) @ U.T
    W -= W.mean(0)
    W -= W.mean(1, keepdim=True)
    symmetric: Tensor = (W + W.T) / 2
    return symmetric
