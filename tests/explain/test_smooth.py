from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.explain import smooth
from ibdrop.explain.smooth import REACH, MaxConvolution, kernel

DOUBLE = torch.zeros((), dtype=torch.float64)


def made(
    height: int = 21, width: int = 18, step: int = 3, radius: float = 5.0, temperature: float = 20
) -> MaxConvolution:
    return MaxConvolution((height, width), step, radius, temperature, DOUBLE)


def parameters(convolution: MaxConvolution, count: int = 3) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return torch.rand(count, *convolution.grid, generator=random, dtype=torch.float64)


def slowly(p: Tensor, step: int, radius: float, temperature: float) -> Tensor:
    """One pixel after the other, one parameter or mirror image of one after the other."""
    rows, columns = p.shape
    mask = torch.zeros(rows * step, columns * step, dtype=torch.float64)
    for y in range(rows * step):
        for x in range(columns * step):
            values, weights = [], []
            for i in range(-rows, 2 * rows):
                for j in range(-columns, 2 * columns):
                    down, right = (i + 0.5) * step - 0.5 - y, (j + 0.5) * step - 0.5 - x
                    distance = math.hypot(down, right)
                    if distance > REACH * radius:
                        continue
                    there = p[_mirror(i, rows), _mirror(j, columns)].item()
                    beyond = max(0.0, distance - radius / 2) / (radius / 4)
                    values.append(math.exp(-(beyond**2) / 2) * there)
                    weights.append(math.exp(temperature * values[-1]))
            mask[y, x] = sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights)
    return mask


def _mirror(i: int, length: int) -> int:
    return -1 - i if i < 0 else 2 * length - 1 - i if i >= length else i


@pytest.mark.parametrize(("step", "radius"), [(1, 2.6), (2, 5.0), (3, 6.0)])
def test_fast_and_slow_agree(step: int, radius: float) -> None:
    convolution = made(6 * step, 5 * step, step, radius)
    p = parameters(convolution, 1)
    assert torch.allclose(convolution(p)[0], slowly(p[0], step, radius, 20), rtol=0, atol=1e-12)


def test_derivative_by_differences() -> None:
    convolution = made(9, 12, 3, 4.0, 7.0)
    p = parameters(convolution, 2).requires_grad_()
    assert torch.autograd.gradcheck(convolution, (p,), atol=1e-7)


def test_derivative_by_autograd() -> None:
    convolution = made()
    p = parameters(convolution).requires_grad_()
    weights = torch.rand(3, 21, 18, dtype=torch.float64)
    (ours,) = torch.autograd.grad((convolution(p) * weights).sum(), p)
    padded = p
    for axis in (1, 2):
        padded = smooth._mirrored(padded, convolution.table.reach, axis)
    v, _ = smooth._terms(padded, convolution.table, 20)
    phases = (v * (20 * v).softmax(1)).sum(1)
    m = torch.nn.functional.pixel_shuffle(phases, 3)[:, 0]
    (theirs,) = torch.autograd.grad((m * weights).sum(), p)
    assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_masks_do_not_depend_on_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    convolution = made()
    p = parameters(convolution, 5)
    whole = convolution(p)
    assert torch.equal(whole, torch.cat([convolution(part) for part in p.split(1)]))
    monkeypatch.setattr(smooth, "CPU_CHUNK", 1)
    assert torch.equal(whole, convolution(p))


def test_the_temperature_makes_it_the_maximum() -> None:
    sharp = made(temperature=2000.0)
    p = parameters(sharp, 1)
    rows, columns = ((torch.arange(n) + 0.5) * 3 - 0.5 for n in sharp.grid)
    place = torch.cartesian_prod(rows, columns)
    pixel = torch.cartesian_prod(torch.arange(21.0), torch.arange(18.0))
    terms = kernel(torch.cdist(pixel.double(), place.double()), 5.0) * p.flatten()
    inside = torch.zeros(21, 18, dtype=torch.bool)
    inside[6:-6, 6:-6] = True
    found, exact = sharp(p)[0][inside], terms.amax(1).view(21, 18)[inside]
    assert torch.allclose(found, exact, rtol=0, atol=2e-3)


def test_nothing_is_smaller_than_the_kernel() -> None:
    """Wherever a mask is above one half, a whole disc of the kernel's plateau is beside it."""
    convolution = made(96, 96, 3, 9.0)
    random = torch.Generator().manual_seed(1)
    p = (torch.rand(4, *convolution.grid, generator=random) < 0.01).double()
    m = convolution(p)
    pixel = torch.arange(-4, 5).double()
    disc = torch.hypot(pixel[:, None], pixel) <= 3.0
    off = torch.nn.functional.pad((m < 0.9).float(), (4,) * 4)[:, None]
    whole = torch.nn.functional.conv2d(off, disc.float()[None, None])[:, 0] == 0
    near = torch.nn.functional.max_pool2d(whole.float()[:, None], 19, 1, 9)[:, 0] > 0
    assert bool(near[m > 0.5].all())
    one = (convolution(p[:1] * 0 + _single(convolution)) > 0.5).double().mean()
    assert 0.016 < float(one) < 0.019


def _single(convolution: MaxConvolution) -> Tensor:
    p = torch.zeros(1, *convolution.grid, dtype=torch.float64)
    p[0, 16, 16] = 1
    return p


def test_flat_parameters_have_equal_influence_everywhere() -> None:
    convolution = made()
    p = torch.full((1, *convolution.grid), 0.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(convolution(p).sum(), p)
    assert float(slope.max() - slope.min()) < 1e-12 * float(slope.max())


@pytest.mark.parametrize("size", [(28, 28), (40, 40), (50, 47), (96, 96), (224, 224)])
def test_sizes_that_cells_do_not_divide(size: tuple[int, int]) -> None:
    scale = min(size) / 224
    convolution = MaxConvolution(size, max(1, round(7 * scale)), 21 * scale, 20, DOUBLE)
    m = convolution(torch.ones(1, *convolution.grid, dtype=torch.float64))
    assert m.shape == (1, *size)
    assert 0.98 < float(m.min()) <= float(m.max()) <= 1
    assert not convolution(torch.zeros(1, *convolution.grid, dtype=torch.float64)).any()


def test_gaps_are_refused() -> None:
    with pytest.raises(ValueError, match="parameters every 9 px with a kernel of 4 px leave gaps"):
        made(step=9, radius=4.0)
    with pytest.raises(ValueError, match=r"temperature is 0; it must be above 0\."):
        made(temperature=0)
