"""The step of a tied sigmoid autoencoder with derivatives by hand: weights are touched once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.optim import SGD, Optimizer

__all__ = ["TiedStep", "is_plain"]

# Found once and without `torch.nn.functional` in between: between two products the cache is cold,
# and all Python that a step runs is a twentieth of it.
_cross_entropy = torch.binary_cross_entropy_with_logits
_sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
_SUM = 2


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
        corrupted: Makes :math:`\tilde x` of :math:`x`; `None`: they are the same.
    """

    def __init__(
        self,
        encoder: nn.Linear,
        bias: Tensor,
        corrupted: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.weight, self.biases = encoder.weight, (encoder.bias, bias)
        self.corrupted = corrupted
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
        if count != self.count or self.weight.data_ptr() != self.place:
            self._prepare(count)
        W, across, b, c, shown, d, e, y, left, right, es, ds, ones = self.views
        target = x.flatten(1)
        shown.copy_(target if self.corrupted is None else self.corrupted(x).flatten(1))
        torch.addmm(b, shown, across, out=y).sigmoid_()
        torch.addmm(c, y, W, out=d)
        cost: Tensor = _cross_entropy(d, target, None, None, _SUM) / count
        d.sigmoid_().sub_(target)
        torch.mm(d, across, out=e)
        _sigmoid_backward(e, y, grad_input=e)
        scale = -lr / count
        W.addmm_(left, right, alpha=scale)
        b.addmv_(es, ones, alpha=scale)
        c.addmv_(ds, ones, alpha=scale)
        return cost

    def _prepare(self, count: int) -> None:
        """Makes room for two stacks of two matrices each, and views of all that a step touches."""
        W, b, c = (part.detach() for part in (self.weight, *self.biases))
        self.count, self.place = count, W.data_ptr()
        left, right = (W.new_empty(2 * count, size) for size in W.shape)
        e, y, shown, d = left[:count], left[count:], right[:count], right[count:]
        self.views = (W, W.T, b, c, shown, d, e, y, left.T, right, e.T, d.T, W.new_ones(count))
