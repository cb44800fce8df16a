"""Batch-norm statistics of the network as it is tested: noise off, every image counted once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

__all__ = ["reestimate"]


class _Moments:
    """Pools the moments of batches of any size, per channel, in float64."""

    def __init__(self) -> None:
        self.count = 0
        self.mean: Tensor = torch.zeros(())
        self.square: Tensor = torch.zeros(())

    def add(self, x: Tensor) -> None:
        count = x.numel() // x.shape[1]
        axes = [axis for axis in range(x.ndim) if axis != 1]
        variance, mean = (part.double() for part in torch.var_mean(x.float(), axes, correction=0))
        square = variance * count
        if self.count == 0:
            self.count, self.mean, self.square = count, mean, square
            return
        total, step = self.count + count, mean - self.mean
        self.square = self.square + square + step.square() * (self.count * count / total)
        self.mean = self.mean + step * (count / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        return self.square / max(1, self.count - 1)


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[Tensor]) -> None:
    r"""Replaces the running moments of every batch norm by those over `batches`, noise off.

    Training leaves a decaying average over the last steps, taken with the noise on. Here every
    image counts once and equally: mean and (unbiased) variance are pooled exactly over all
    positions of all images,

    .. math:: \mu = \frac{1}{n} \sum x, \quad \sigma^2 = \frac{1}{n - 1} \sum (x - \mu)^2

    while each layer reads what the layers before it, normalised by the moments of the batch, make
    of the image. The flags of the model are restored.

    References:
        Achille & Soatto's batch-norm dry run, without its decay.

    Arguments:
        model: A classifier called as `model(images, sample=False)`.
        batches: Inputs of the training set, with shape :math:`(B, C, H, W)`.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return
    moments = {norm: _Moments() for norm in norms}
    with _batch_statistics(model, norms):
        handles = [
            norm.register_forward_pre_hook(lambda norm, inputs: moments[norm].add(inputs[0]))
            for norm in norms
        ]
        try:
            for images in batches:
                model(images, sample=False)
        finally:
            for handle in handles:
                handle.remove()
    for norm, found in moments.items():
        if found.count and norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean.copy_(found.mean)
            norm.running_var.copy_(found.variance)


@contextmanager
def _batch_statistics(model: nn.Module, norms: list[_BatchNorm]) -> Iterator[None]:
    """Normalises by the batch, and leaves running moments alone, for the length of the block."""
    flags = {module: module.training for module in model.modules()}
    momenta = {norm: norm.momentum for norm in norms}
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
        for module, training in flags.items():
            module.training = training
