"""The step of a tied sigmoid autoencoder with derivatives by hand: weights are touched once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import SGD, Optimizer

__all__ = ["TiedStep", "is_plain"]


def is_plain(optimizer: Optimizer) -> bool:
    """Whether a step of this optimiser is the gradient times the learning rate, and no more."""
    others = ("momentum", "dampening", "weight_decay", "nesterov", "maximize")
    groups = optimizer.param_groups
    return type(optimizer) is SGD and not any(group[name] for group in groups for name in others)


class TiedStep:
    r"""Gradient descent on the cross-entropy of :math:`z = \sigma(y W + c)`, in place.

    With :math:`y = \sigma(\tilde x W^\top + b)`, :math:`d = z - x` and
    :math:`e = (d W^\top) \odot y \odot (1 - y)`, over a batch of :math:`B` images

    .. math:: W \leftarrow W - \frac{\eta}{B} (e^\top \tilde x + y^\top d), \quad
        b \leftarrow b - \frac{\eta}{B} \sum e, \quad c \leftarrow c - \frac{\eta}{B} \sum d .

    Both products are one, :math:`(e, y)^\top (\tilde x, d)`, and added to the weights as it is
    computed: the gradient, which is as large as the weights, is never stored.

    Arguments:
        encoder: Holds :math:`W`, with shape :math:`(H, D)`, and :math:`b`.
        bias: :math:`c`, with shape :math:`(D)`.
        corrupted: Makes :math:`\tilde x` of :math:`x`.
    """

    def __init__(
        self, encoder: nn.Linear, bias: Tensor, corrupted: Callable[[Tensor], Tensor]
    ) -> None:
        self.encoder, self.bias, self.corrupted = encoder, bias, corrupted
        self.left = self.right = torch.empty(0)

    @torch.no_grad()
    def __call__(self, x: Tensor, lr: float) -> Tensor:
        r"""Does one step.

        Arguments:
            x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
            lr: The learning rate :math:`\eta`.

        Returns:
            The mean cost of an image before the step, in nats.
        """
        count, W = len(x), self.encoder.weight
        self._make_room(2 * count, W)
        (e, y), (shown, d) = self.left.view(2, count, -1), self.right.view(2, count, -1)
        shown.copy_(self.corrupted(x).flatten(1))
        target = x.flatten(1)
        torch.addmm(self.encoder.bias, shown, W.T, out=y).sigmoid_()
        torch.addmm(self.bias, y, W, out=d)
        cost = F.binary_cross_entropy_with_logits(d, target, reduction="sum") / count
        d.sigmoid_().sub_(target)
        torch.mm(d, W.T, out=e)
        torch.ops.aten.sigmoid_backward.grad_input(e, y, grad_input=e)
        scale = -lr / count
        W.addmm_(self.left.T, self.right, alpha=scale)
        self.encoder.bias.add_(e.sum(0), alpha=scale)
        self.bias.add_(d.sum(0), alpha=scale)
        return cost

    def _make_room(self, rows: int, W: Tensor) -> None:
        if len(self.left) != rows or self.left.device != W.device:
            self.left = W.new_empty(rows, W.shape[0])
            self.right = W.new_empty(rows, W.shape[1])
