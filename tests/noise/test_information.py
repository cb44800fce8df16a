from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.information import kl_log_normal, kl_log_uniform
from ibdrop.noise.information import InformationNoise, sigmoid_rate, squareplus_rate


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    f = torch.rand(2, 3, 4, 4, dtype=dtype, generator=generator)
    a = torch.randn(2, 3, 4, 4, dtype=dtype, generator=generator)
    return f, a


OPTIONS: list[dict[str, Any]] = [
    {},
    {"parametrisation": "squareplus"},
    {"atom": "exact"},
    {"unit_mean": True},
    {"prior": "log_normal"},
    {"prior": "log_normal", "parametrisation": "squareplus", "unit_mean": True},
]


@pytest.mark.parametrize("options", OPTIONS)
def test_without_sampling_it_is_the_very_tensor(options: dict[str, Any]) -> None:
    f, a = tensors()
    assert InformationNoise(3, **options)(f, a, sample=False).z is f


@pytest.mark.parametrize("options", OPTIONS)
def test_the_price_does_not_depend_on_sampling(options: dict[str, Any]) -> None:
    f, a = tensors()
    noise = InformationNoise(3, **options)
    on, off = noise(f, a, sample=True), noise(f, a, sample=False)
    assert on.kl is not None
    assert torch.equal(on.kl, off.kl)
    assert on.kl.shape == f.shape
    assert (on.kl.dtype, on.cap) == (torch.float64, 0.701)
    assert not torch.equal(on.z, f)


@pytest.mark.parametrize("options", OPTIONS)
def test_halves_give_a_price_in_float32(options: dict[str, Any]) -> None:
    f, a = tensors(torch.bfloat16)
    noisy = InformationNoise(3, **options)(f, a, sample=True)
    assert noisy.kl is not None
    assert noisy.alpha is not None
    assert (noisy.z.dtype, noisy.kl.dtype) == (torch.bfloat16, torch.float32)
    assert noisy.alpha.dtype == torch.float32


@pytest.mark.parametrize("options", OPTIONS)
def test_gradients_are_finite_at_both_ends(options: dict[str, Any]) -> None:
    f = torch.tensor([1e-30, 0.0, 1.0, 1e3]).repeat(6).requires_grad_()
    a = torch.tensor([-1e4, -50.0, 0.0, 50.0, 1e4, 1e6]).repeat_interleave(4).requires_grad_()
    noisy = InformationNoise(1, **options)(f, a, sample=True)
    assert noisy.kl is not None
    assert noisy.kl.isfinite().all()
    (noisy.kl.sum() + noisy.z.sum()).backward()
    for name, x in [("f", f), ("a", a)]:
        assert x.grad is not None, name
        assert x.grad.isfinite().all(), name


def test_sigmoid_is_the_papers() -> None:
    _, a = tensors()
    noisy = InformationNoise(3)(a.exp(), a, sample=False)
    assert noisy.alpha is not None
    assert noisy.kl is not None
    torch.testing.assert_close(noisy.alpha, 0.001 + 0.7 * torch.sigmoid(a))
    torch.testing.assert_close(noisy.kl, kl_log_uniform(noisy.alpha, 0.701))


@pytest.mark.parametrize("sign", [-1, 1])
def test_sigmoid_rate_keeps_its_digits(sign: int) -> None:
    a = sign * torch.linspace(0, 30, 61)
    exact = sigmoid_rate(a.double(), 0.7)
    torch.testing.assert_close(sigmoid_rate(a, 0.7).double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize("parametrisation", ["sigmoid", "squareplus"])
def test_the_price_is_never_negative(parametrisation: str) -> None:
    a = torch.linspace(-200, 200, 4001)
    noisy = InformationNoise(1, parametrisation=parametrisation)(a, a.neg(), sample=False)
    assert noisy.kl is not None
    assert noisy.alpha is not None
    assert float(noisy.kl.min()) >= 0
    assert float(noisy.alpha.max()) <= 0.701 + 1e-7


def test_squareplus_matches_its_formula_in_float32() -> None:
    a = torch.linspace(-1000, 1000, 2001)
    wide = a.double()
    b = 4 * math.log(2) ** 2
    root = (wide.square() + b).sqrt()
    exact = torch.where(wide < 0, b / 2 / (root - wide), (wide + root) / 2)
    torch.testing.assert_close(squareplus_rate(a).double(), exact, rtol=1e-6, atol=0)
    assert float(squareplus_rate(torch.zeros(()))) == pytest.approx(math.log(2), rel=1e-7)
    torch.testing.assert_close(
        squareplus_rate(torch.tensor(-3.0, dtype=torch.float64)),
        torch.tensor((math.sqrt(9 + b) - 3) / 2, dtype=torch.float64),
    )


def test_squareplus_has_a_gradient_where_sigmoid_has_none() -> None:
    def slope(rate: Tensor, a: Tensor) -> float:
        return float(torch.autograd.grad(rate, a)[0])

    # The paper's alpha reaches its cap where a is large, ours where it is small.
    low = torch.tensor(-20.0, dtype=torch.float64, requires_grad=True)
    high = torch.tensor(20.0, dtype=torch.float64, requires_grad=True)
    ours, papers = slope(squareplus_rate(low), low), slope(sigmoid_rate(high, 0.7), high)
    assert ours > 1e4 * abs(papers)
    assert ours == pytest.approx(math.log(2) ** 2 / 20**2, rel=0.02)


def test_squareplus_starts_with_half_a_slope() -> None:
    a = torch.zeros((), dtype=torch.float64, requires_grad=True)
    assert float(torch.autograd.grad(squareplus_rate(a), a)[0]) == 0.5


@pytest.mark.parametrize("parametrisation", ["sigmoid", "squareplus"])
def test_gradient_by_differences(parametrisation: str) -> None:
    a = torch.linspace(-6, 6, 13, dtype=torch.float64, requires_grad=True)
    noise = InformationNoise(1, parametrisation=parametrisation, prior="log_normal").double()

    f = a.detach().exp()

    def price(x: Tensor) -> Tensor:
        kl: Tensor = noise(f, x, sample=False).kl
        return kl

    assert torch.autograd.gradcheck(price, (a,))


def test_atom_charges_zeros_once_and_without_gradient() -> None:
    f = torch.tensor([0.0, 1e-30], dtype=torch.float64)
    a = torch.tensor([0.3, 0.3], dtype=torch.float64, requires_grad=True)
    exact = InformationNoise(1, atom="exact", q0=0.2)(f, a, sample=False)
    paper = InformationNoise(1)(f, a, sample=False)
    assert float(exact.kl[0].detach()) == pytest.approx(-math.log(0.2))
    assert torch.equal(exact.kl[1], paper.kl[1])
    assert torch.equal(paper.kl[0], paper.kl[1])
    (gradient,) = torch.autograd.grad(exact.kl.sum(), a)
    assert float(gradient[0]) == 0
    assert float(gradient[1]) != 0


def test_a_certain_zero_is_free() -> None:
    zero = torch.zeros(1)
    assert float(InformationNoise(1, atom="exact", q0=1.0)(zero, zero, sample=True).kl) == 0


@pytest.mark.parametrize("parametrisation", ["sigmoid", "squareplus"])
def test_unit_mean(parametrisation: str) -> None:
    torch.manual_seed(0)
    f = torch.full((1_000_000,), 2.0, dtype=torch.float64)
    a = torch.full_like(f, 0.4)
    plain = InformationNoise(1, parametrisation=parametrisation)(f, a, sample=True)
    unit = InformationNoise(1, parametrisation=parametrisation, unit_mean=True)(f, a, sample=True)
    assert float(unit.z.mean()) == pytest.approx(2, abs=5e-3)
    assert float(plain.z.mean()) == pytest.approx(
        2 * math.exp(float(plain.alpha[0]) ** 2 / 2), abs=8e-3
    )
    assert torch.equal(plain.kl, unit.kl)


def test_unit_mean_moves_the_log_normal_price() -> None:
    f, a = tensors()
    noise = InformationNoise(3, prior="log_normal", unit_mean=True)
    noisy = noise(f, a, sample=False)
    location = f.log() - noisy.alpha.square() / 2
    torch.testing.assert_close(noisy.kl, kl_log_normal(location, noisy.alpha, 0.0, 1.0))


def test_log_normal_learns_its_prior() -> None:
    f, a = tensors(torch.float32)
    noise = InformationNoise(3, prior="log_normal")
    assert noise.positive
    assert {name: p.item() for name, p in noise.named_parameters()} == {"mu": 0, "log_sigma": 0}
    noise(f, a, sample=True).kl.sum().backward()
    for name, parameter in noise.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad) != 0, name


def test_noise_is_log_normal_of_the_alpha_it_reports() -> None:
    torch.manual_seed(0)
    f, a = torch.ones(1_000_000), torch.full((1_000_000,), -1.0)
    noisy = InformationNoise(1)(f, a, sample=True)
    log_noise = noisy.z.double().log()
    assert float(log_noise.std()) == pytest.approx(float(noisy.alpha[0]), rel=3e-3)
    assert float(log_noise.mean()) == pytest.approx(0, abs=1e-3)


def test_same_global_seed_same_noise() -> None:
    f, a = tensors()
    noise = InformationNoise(3)
    torch.manual_seed(3)
    first = noise(f, a, sample=True).z
    torch.manual_seed(3)
    assert torch.equal(first, noise(f, a, sample=True).z)
    assert not torch.equal(first, noise(f, a, sample=True).z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "normal"}, "prior=normal: must be one of log_uniform, log_normal."),
        (
            {"parametrisation": "tanh"},
            "parametrisation=tanh: must be one of sigmoid, squareplus.",
        ),
        ({"atom": "none"}, "atom=none: must be one of paper, exact."),
        ({"max_alpha": 0.0}, "max_alpha=0.0: must be above 0 and at most 2."),
        ({"max_alpha": 2.1}, "max_alpha=2.1: must be above 0 and at most 2."),
        ({"q0": 0.0}, "q0=0.0: the prior probability of a zero must be in (0, 1]."),
        (
            {"prior": "log_normal", "atom": "exact"},
            "atom=exact needs prior=log_uniform: a log-normal prior has no atom at zero.",
        ),
    ],
)
def test_ranges(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        InformationNoise(1, **options)
