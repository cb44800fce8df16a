r"""Smooth masks from a few numbers: a maximum over kernels instead of a sum.

A sum of kernels is either smooth or sharp; a maximum of kernels is as sharp as the kernel at its
edge, flat inside, and never has a part smaller than the kernel.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["REACH", "MaxConvolution", "kernel"]

REACH = 1.25
"""Kernels end at so many radii, where they have fallen to :math:`e^{-9/2}`, about 1 %."""

OUTSIDE = -1e4
"""What stands for a parameter that does not count; its weight is exactly 0."""

CPU_CHUNK, CUDA_CHUNK = 2**21, 2**28
"""Numbers worked on at once; the result does not depend on it."""


def kernel(distance: Tensor, radius: float) -> Tensor:
    r"""One parameter's share in a pixel: 1 near it, then a Gaussian, nothing beyond `REACH`.

    .. math:: k(d) = \exp\Bigl(-\frac{\max(0, d - \sigma/2)^2}{2 (\sigma/4)^2}\Bigr)

    The plateau is the published one; the width of the Gaussian and its end are chosen here. It
    is one half at :math:`0.79 \sigma`: at the published :math:`\sigma = 21` of 224 pixels the
    disc above one half takes 1.7 % of the picture, just below the least published area.

    Arguments:
        distance: Distances :math:`d` in pixels.
        radius: The radius :math:`\sigma` in pixels.
    """
    beyond = (distance - radius / 2).clamp_min(0) / (radius / 4)
    return (-beyond.square() / 2).exp() * (distance <= REACH * radius)


class MaxConvolution:
    r"""Makes masks of parameters on a coarse grid.

    .. math:: m(u) = \sum_i w_i(u)\, k(|u - u_i|)\, p_i, \qquad
              w_i(u) \propto e^{T k(|u - u_i|) p_i}

    over the parameters :math:`p_i` within reach of pixel :math:`u`; they lie in the middle of
    cells of `step` by `step` pixels. The softmax weights turn the sum into a smooth maximum.
    Beyond the edge the parameters are mirrored, so that those near it have as much influence as
    all others: without, any pressure on the area leaves corners and edges behind.

    Arguments:
        size: Height and width of the masks in pixels.
        step: The side of a cell in pixels, a whole number.
        radius: The radius :math:`\sigma` of the kernel in pixels.
        temperature: The inverse temperature :math:`T`; the maximum itself as it grows.
        like: A tensor with the wished device and dtype.

    Raises:
        ValueError: Step, radius or temperature is out of range.

    Reference:
        Fong, Patrick & Vedaldi, Understanding Deep Networks via Extremal Perturbations and
        Smooth Masks (ICCV 2019, arXiv 1910.08485).
    """

    def __init__(
        self, size: tuple[int, int], step: int, radius: float, temperature: float, like: Tensor
    ) -> None:
        if step < 1 or radius * REACH * math.sqrt(2) < step:
            raise ValueError(
                f"parameters every {step} px with a kernel of {radius:g} px leave gaps; the step"
                f" must be at least 1 px and at most {REACH * math.sqrt(2):.2f} radii."
            )
        if temperature <= 0:
            raise ValueError(f"temperature is {temperature:g}; it must be above 0.")
        self.size, self.step, self.temperature = size, step, temperature
        self.grid = (math.ceil(size[0] / step), math.ceil(size[1] / step))
        self.table = _table(step, radius, like)

    def __call__(self, p: Tensor) -> Tensor:
        """Makes masks, differentiably.

        Arguments:
            p: Parameters in [0, 1], with shape :math:`(N, h, w)`, `grid` being :math:`(h, w)`.

        Returns:
            Masks in [0, 1], with shape :math:`(N, H, W)`.
        """
        return self.cropped(self.whole(p))

    def whole(self, p: Tensor) -> Tensor:
        """Makes masks of whole cells, which may stick out by less than one on all sides."""
        p = _mirrored(_mirrored(p, self.table.reach, 1), self.table.reach, 2)
        most = CPU_CHUNK if p.device.type == "cpu" else CUDA_CHUNK
        count = max(1, most // (len(self.table.offsets) * self.size[0] * self.size[1]))
        phases = torch.cat([self._phases(part) for part in p.split(count)])
        return F.pixel_shuffle(phases, self.step)[:, 0]

    def cropped(self, whole: Tensor) -> Tensor:
        """Cuts masks of whole cells to their size, of shape (..., H, W)."""
        height, width = self.size
        top, left = (whole.shape[-2] - height) // 2, (whole.shape[-1] - width) // 2
        return whole[..., top : top + height, left : left + width]

    def _phases(self, p: Tensor) -> Tensor:
        phases: Tensor = _SmoothMaximum.apply(p, self.table, self.temperature)
        return phases


class _Table(NamedTuple):
    """Kernel values by the offset of the cell and the place in a cell.

    `offsets` are the O cells (down, right) that may matter, `k` their kernel values at the
    `step * step` places in a cell, of shape (O, P), and `c` is 0 where they count and very
    negative where they do not.
    """

    offsets: list[tuple[int, int]]
    k: Tensor
    c: Tensor
    reach: int


def _table(step: int, radius: float, like: Tensor) -> _Table:
    reach = math.ceil(REACH * radius / step + 0.5)
    cells = torch.arange(-reach, reach + 1, dtype=torch.float64)
    place = torch.arange(step, dtype=torch.float64) - (step - 1) / 2
    away = cells[:, None] * step - place
    distance = torch.hypot(away[:, None, :, None], away[None, :, None, :]).flatten(2)
    counts = (distance <= REACH * radius).any(2)
    offsets = [(int(i) - reach, int(j) - reach) for i, j in counts.nonzero().tolist()]
    near = distance[counts]
    c = torch.where(near <= REACH * radius, 0.0, OUTSIDE)
    return _Table(offsets, kernel(near, radius).to(like), c.to(like), reach)


class _SmoothMaximum(torch.autograd.Function):
    """The softmax-weighted maximum, with its derivative w (1 + T (v - m)) k by hand.

    Only parameters and result are kept for the way back; autograd would keep five times as many
    numbers as there are pairs of pixel and parameter.
    """

    @staticmethod
    def forward(ctx: Any, padded: Tensor, table: _Table, temperature: float) -> Tensor:
        v, w = _terms(padded, table, temperature)
        total = w.sum(1)
        m = v.mul_(w).sum(1) / total
        ctx.save_for_backward(padded, m, total)
        ctx.table, ctx.temperature = table, temperature
        return m

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        padded, m, total = ctx.saved_tensors
        table: _Table = ctx.table
        v, w = _terms(padded, table, ctx.temperature)
        slope = v.sub_(m[:, None]).mul_(ctx.temperature).add_(1).mul_(w)
        slope.mul_((grad / total)[:, None])
        parts = torch.einsum("nophw,op->nohw", slope, table.k)
        height, width = m.shape[2:]
        found = torch.zeros_like(padded)
        for (down, right), part in zip(table.offsets, parts.unbind(1), strict=True):
            top, left = table.reach + down, table.reach + right
            found[:, top : top + height, left : left + width] += part
        return found, None, None


def _mirrored(p: Tensor, reach: int, axis: int) -> Tensor:
    """Repeats parameters beyond both ends of an axis, as in a mirror at the edge."""
    length = p.shape[axis]
    parts = [p]
    while sum(part.shape[axis] for part in parts) < length + 2 * reach:
        parts = [p.flip(axis), *parts, p.flip(axis)]
        p = p.flip(axis)
    whole = torch.cat(parts, axis)
    return whole.narrow(axis, (whole.shape[axis] - length) // 2 - reach, length + 2 * reach)


def _terms(padded: Tensor, table: _Table, temperature: float) -> tuple[Tensor, Tensor]:
    """The terms k p and their weights, not yet normalised, of shape (N, O, P, h, w)."""
    height, width = (length - 2 * table.reach for length in padded.shape[1:])
    tops = [(table.reach + down, table.reach + right) for down, right in table.offsets]
    cells = [padded[:, top : top + height, left : left + width] for top, left in tops]
    near = torch.stack(cells, 1)[:, :, None]
    v = torch.addcmul(table.c[..., None, None], table.k[..., None, None], near)
    return v, v.sub(v.amax(1, keepdim=True)).mul_(temperature).exp_()
