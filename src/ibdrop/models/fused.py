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
        self._prepare(0)

    def __call__(self, x: Tensor, lr: float) -> Tensor:
        r"""Does one step.

        Arguments:
            x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
            lr: The learning rate :math:`\eta`.

        Returns:
            The mean cost of an image before the step, in nats, still on the device.
        """
        count = len(x)
        if count != self.count or self.encoder.weight.data_ptr() != self.place:
            self._prepare(count)
        W, b, c, y, e, d = self.W, self.b, self.c, self.y, self.e, self.d
        target = x.flatten(1)
        self.shown.copy_(self.corrupted(x).flatten(1))
        torch.addmm(b, self.shown, self.transposed, out=y).sigmoid_()
        torch.addmm(c, y, W, out=d)
        cost = F.binary_cross_entropy_with_logits(d, target, reduction="sum") / count
        d.sigmoid_().sub_(target)
        torch.mm(d, self.transposed, out=e)
        torch.ops.aten.sigmoid_backward.grad_input(e, y, grad_input=e)
        scale = -lr / count
        W.addmm_(self.left, self.right, alpha=scale)
        b.add_(e.sum(0), alpha=scale)
        c.add_(d.sum(0), alpha=scale)
        return cost

    def _prepare(self, count: int) -> None:
        """Makes room for a batch, and views of everything: made per step they cost a twentieth."""
        parts = self.encoder.weight, self.encoder.bias, self.bias
        self.W, self.b, self.c = (part.detach() for part in parts)
        self.count, self.place, self.transposed = count, self.W.data_ptr(), self.W.T
        stack, self.right = (self.W.new_empty(2 * count, size) for size in self.W.shape)
        self.e, self.y = stack[:count], stack[count:]
        self.shown, self.d = self.right[:count], self.right[count:]
        self.left = stack.T
