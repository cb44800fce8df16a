from __future__ import annotations

import math
import re
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from ibdrop.learning.monitor import LayerMonitor, collapse_warnings
from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.gaussian_kl import kl_cubic, kl_exact
from ibdrop.noise.variational import VariationalNoise
from ibdrop.noise.weights import perturbed

OPTIONS: list[dict[str, Any]] = [
    {"per": per, "at": at, "kl": kl}
    for per, at, kl in product(
        ("layer", "unit", "input"), ("activation", "weights"), ("approximate", "exact")
    )
    if (per, at) != ("input", "weights")
]


def layer(kind: str, **options: Any) -> NoisyLayer:
    torch.manual_seed(0)
    noise = VariationalNoise(4, **options)
    affine: nn.Conv2d | nn.Linear
    affine = nn.Linear(5, 4) if kind == "linear" else nn.Conv2d(3, 4, 3, stride=2, padding=1)
    made = NoisyLayer(affine, nn.Identity(), "relu", noise, merge=False).double()
    if options.get("per", "unit") != "input":
        nn.init.normal_(made.noise.raw)
    return made


def images(kind: str, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 5) if kind == "linear" else (count, 3, 6, 6)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("options", OPTIONS)
def test_noise_off_is_the_plain_network(kind: str, options: dict[str, Any]) -> None:
    made, x = layer(kind, **options), images(kind)
    assert torch.equal(made(x, sample=False).z, torch.relu(made.affine(x)))
    assert not torch.equal(made(x, sample=True).z, made(x, sample=False).z)


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_price_has_the_shape_of_z_and_does_not_depend_on_sampling(
    kind: str, options: dict[str, Any]
) -> None:
    made, x = layer(kind, **options), images(kind)
    on, off = made(x, sample=True), made(x, sample=False)
    assert on.kl.shape == on.alpha.shape == on.z.shape
    assert torch.equal(on.kl, off.kl)
    assert on.cap == 1.0
    assert float(on.kl.detach().min()) > 0


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("options", OPTIONS)
def test_every_parameter_learns(kind: str, options: dict[str, Any]) -> None:
    made = layer(kind, **options)
    noisy = made(images(kind), sample=True)
    (noisy.z.square().sum() + noisy.kl.sum()).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("kind", ["linear", "conv"])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_can_be_traced(kind: str, options: dict[str, Any]) -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer(kind, **options)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            noisy = self.layer(x, sample=True)
            return noisy.z, noisy.kl

    plain, x = Wrapper(), images(kind)
    traced = fx.symbolic_trace(plain)
    torch.manual_seed(5)
    z, kl = plain(x)
    torch.manual_seed(5)
    again, kl_again = traced(x)
    assert torch.equal(z, again)
    assert torch.equal(kl, kl_again)


@pytest.mark.parametrize("per", ["layer", "unit", "input"])
def test_mean_and_variance_of_the_noise(per: str) -> None:
    noise = VariationalNoise(2, per=per, initial_alpha=0.3).double()
    f = torch.tensor([2.0, -0.5], dtype=torch.float64).expand(400_000, 2)
    a = torch.zeros_like(f) if per == "input" else None
    torch.manual_seed(0)
    z = noise(f, a, sample=True).z.detach()
    for unit in range(2):
        mean, variance = float(z[:, unit].mean()), float(z[:, unit].var())
        expected = 0.3 * float(f[0, unit]) ** 2
        assert mean == pytest.approx(float(f[0, unit]), abs=4 * math.sqrt(expected / len(z)))
        assert variance == pytest.approx(expected, rel=4 * math.sqrt(2 / len(z)))


def test_the_start_is_the_variance_asked_for() -> None:
    for alpha in (0.01, 0.5, 0.9):
        noisy = VariationalNoise(3, initial_alpha=alpha)(torch.ones(1, 3), None, sample=False)
        torch.testing.assert_close(noisy.alpha, torch.full((1, 3), math.sqrt(alpha)))


@pytest.mark.parametrize(("kl", "formula"), [("approximate", kl_cubic), ("exact", kl_exact)])
def test_the_price_of_units_and_of_weights(kl: str, formula: Any) -> None:
    log_alpha = torch.tensor(math.log(0.3), dtype=torch.float64)
    options = {"kl": kl, "initial_alpha": 0.3}
    for kind, units, weights in (("linear", 4, 5), ("conv", 4 * 9, 27)):
        for at, count in (("activation", units), ("weights", 4 * weights)):
            made = layer(kind, at=at, **options)
            nn.init.zeros_(made.noise.raw)
            total = made(images(kind), sample=False).kl[0].sum()
            torch.testing.assert_close(total, count * formula(log_alpha))


def test_alpha_never_passes_one_and_comes_back_from_there() -> None:
    a = torch.tensor([-1e6, -300.0, 0.0, 300.0], dtype=torch.float64, requires_grad=True)
    noise = VariationalNoise(1, per="input")
    noisy = noise(torch.ones(4, 1).double(), a[:, None], sample=False)
    assert float(noisy.alpha.detach().max()) <= 1
    (gradient,) = torch.autograd.grad(noisy.kl.sum(), a)
    assert bool((gradient[:3] != 0).all())
    assert gradient.isfinite().all()


def test_maps_are_asked_for_by_the_instance() -> None:
    assert (VariationalNoise(1, per="input").maps, VariationalNoise(1).maps) == (1, 0)
    assert layer("linear", per="input").raw is not None
    assert layer("linear").raw is None
    assert [*VariationalNoise(3).state_dict()] == ["raw"]
    assert VariationalNoise(3, per="layer").raw.shape == (1,)
    assert [*VariationalNoise(3, per="input").state_dict()] == []


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("options", OPTIONS)
def test_halves_give_a_price_in_float32(options: dict[str, Any], dtype: torch.dtype) -> None:
    made, x = layer("conv", **options).float(), images("conv").float()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        noisy = made(x, sample=True)
    assert (noisy.z.dtype, noisy.kl.dtype, noisy.alpha.dtype) == (dtype, *[torch.float32] * 2)


def sampled(affine: nn.Conv2d | nn.Linear, x: Tensor, sd: Tensor, draws: int) -> Tensor:
    """The long way round: draws weights, and applies each draw to the one input."""
    generator = torch.Generator().manual_seed(3)
    shape = (draws, *affine.weight.shape)
    noise = torch.randn(shape, dtype=torch.float64, generator=generator)
    weights = (affine.weight + sd * noise).detach()
    if isinstance(affine, nn.Linear):
        return torch.einsum("dij,j->di", weights, x[0]) + affine.bias
    found = torch.conv2d(x, weights.flatten(0, 1), None, affine.stride, affine.padding)
    return found.unflatten(1, (draws, len(sd)))[0] + affine.bias[:, None, None]


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_local_reparametrisation_has_the_moments_of_sampled_weights(kind: str) -> None:
    affine, x, draws = layer(kind).affine, images(kind, 1), 40_000
    sd = 0.3 * torch.rand_like(affine.weight)
    torch.manual_seed(0)
    many = x.expand(draws, *x.shape[1:])
    quick, slow = perturbed(many, affine, sd.square()).detach(), sampled(affine, x, sd, draws)
    assert quick.shape == slow.shape
    variance = slow.var(0)
    bound = 5 * (2 * variance / draws).sqrt()
    assert bool(((quick.mean(0) - slow.mean(0)).abs() < bound).all())
    torch.testing.assert_close(quick.var(0), variance, rtol=5 * 2 / math.sqrt(draws), atol=0)


@pytest.mark.parametrize("per", ["layer", "unit"])
def test_noise_in_the_weights_is_in_proportion_to_them(per: str) -> None:
    made, x = layer("conv", per=per, at="weights"), images("conv", 1)
    alpha = made(x, sample=False).alpha[0, :, 0, 0].square()
    expected = alpha[:, None, None] * torch.conv2d(
        x.square(), made.affine.weight.square(), None, 2, 1
    )
    torch.manual_seed(0)
    many = x.expand(40_000, *x.shape[1:])
    found = made.noise.affine(many, made.affine, sample=True).var(0)
    torch.testing.assert_close(found, expected[0], rtol=0.05, atol=0)


def test_a_zero_input_has_finite_gradients() -> None:
    affine, variance = nn.Linear(3, 2), torch.zeros(2, 3, requires_grad=True)
    x = torch.zeros(4, 3, requires_grad=True)
    perturbed(x, affine, variance).sum().backward()
    assert x.grad is not None
    assert variance.grad is not None
    assert x.grad.isfinite().all()
    assert variance.grad.isfinite().all()


def test_alpha_rises_where_noise_does_no_harm() -> None:
    torch.manual_seed(0)
    noise = VariationalNoise(2, initial_alpha=0.1)
    optimizer = torch.optim.Adam(noise.parameters(), lr=0.05)
    f = torch.ones(64, 2)
    for _ in range(200):
        noisy = noise(f, None, sample=True)
        # Only the first unit is read, and its noise is an error.
        loss = 200 * (noisy.z[:, 0] - 1).square().mean() + noisy.kl[0].sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    read, unread = noise(f, None, sample=False).alpha[0].square().tolist()
    assert read < 0.01
    assert unread > 0.5


def test_collapse_is_told_with_what_the_cap_still_costs() -> None:
    noise = VariationalNoise(3, kl="exact")
    nn.init.constant_(noise.raw, -1e4)
    monitor = LayerMonitor()
    noisy = noise(torch.ones(2, 3, 2, 2), None, sample=False)
    monitor.update(Prediction(torch.zeros(2, 2), {"D1": noisy}))
    figures = monitor.figures()
    assert figures["at_cap/D1"] == 1
    assert figures["kl_per_unit/D1"] == pytest.approx(0.426686, rel=1e-3)
    (sentence,) = collapse_warnings(figures)
    assert "100% of its alphas are at the cap" in sentence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "weight"}, "per=weight: must be one of layer, unit, input."),
        ({"at": "input"}, "at=input: must be one of activation, weights."),
        ({"kl": "cubic"}, "kl=cubic: must be one of approximate, exact."),
        (
            {"per": "input", "at": "weights"},
            "per=input needs at=activation: weights do not know the input.",
        ),
        ({"initial_alpha": 1.0}, "initial_alpha=1.0: the variance of eps must be in (0, 1)."),
        ({"initial_alpha": 0.0}, "initial_alpha=0.0: the variance of eps must be in (0, 1)."),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        VariationalNoise(3, **options)


def test_repr_names_every_option() -> None:
    text = repr(VariationalNoise(3))
    assert text == "VariationalNoise(per=unit, at=activation, kl=approximate, initial_alpha=0.5)"
