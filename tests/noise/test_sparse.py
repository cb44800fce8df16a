from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ibdrop.models.base import NoisyLayer
from ibdrop.noise.gaussian_kl import kl_exact, kl_sigmoid
from ibdrop.noise.sparse import SparseVariationalNoise


def layer(kind: str, **options: Any) -> NoisyLayer:
    torch.manual_seed(0)
    affine: nn.Conv2d | nn.Linear
    affine = nn.Linear(5, 4) if kind == "linear" else nn.Conv2d(3, 4, 3, stride=2, padding=1)
    made = NoisyLayer(affine, nn.Identity(), "relu", SparseVariationalNoise(4, **options)).double()
    nn.init.normal_(made.noise.log_sigma2, -3, 1)
    return made


def images(kind: str, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 5) if kind == "linear" else (count, 3, 6, 6)
    return torch.randn(shape, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_noise_off_is_the_plain_network(kind: str) -> None:
    made, x = layer(kind), images(kind)
    assert torch.equal(made(x, sample=False).z, torch.relu(made.affine(x)))
    assert not torch.equal(made(x, sample=True).z, made(x, sample=False).z)


@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_mean_and_variance_are_those_of_sampled_weights(kind: str) -> None:
    made, x, draws = layer(kind), images(kind, 1), 40_000
    torch.manual_seed(0)
    many = x.expand(draws, *x.shape[1:])
    quick = made.noise.affine(many, made.affine, sample=True).detach()
    weight, sd = made.affine.weight.detach(), (made.noise.log_sigma2 / 2).exp().detach()
    weights = weight + sd * torch.randn(draws, *weight.shape, dtype=torch.float64)
    if kind == "linear":
        slow = torch.einsum("dij,j->di", weights, x[0]) + made.affine.bias.detach()
    else:
        slow = F.conv2d(x, weights.flatten(0, 1), None, 2, 1).unflatten(1, (draws, 4))[0]
        slow = slow + made.affine.bias.detach()[:, None, None]
    bound = 5 * (2 * slow.var(0) / draws).sqrt()
    assert bool(((quick.mean(0) - slow.mean(0)).abs() < bound).all())
    torch.testing.assert_close(quick.var(0), slow.var(0), rtol=0.05, atol=0)


@pytest.mark.parametrize(("kl", "formula"), [("approximate", kl_sigmoid), ("exact", kl_exact)])
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_the_price_is_summed_over_weights(kind: str, kl: str, formula: Any) -> None:
    made = layer(kind, kl=kl)
    log_alpha = made.noise.log_sigma2 - made.affine.weight.square().log()
    expected = formula(log_alpha.clamp(max=8)).detach()
    assert isinstance(made.noise, SparseVariationalNoise)
    torch.testing.assert_close(made.noise.price(made.affine), expected.flatten(1).sum(1))
    noisy = made(images(kind), sample=True)
    assert noisy.kl.shape == noisy.z.shape
    torch.testing.assert_close(noisy.kl[1].sum(), expected.sum())


@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e-6, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("log_sigma2", [-40.0, -10.0, 10.0])
@pytest.mark.parametrize("kl", ["approximate", "exact"])
def test_gradients_are_finite(kl: str, weight: float, log_sigma2: float) -> None:
    affine = nn.Linear(2, 2)
    nn.init.constant_(affine.weight, weight)
    noise = SparseVariationalNoise(2, kl=kl, initial_log_sigma2=log_sigma2)
    made = NoisyLayer(affine, nn.Identity(), "relu", noise)
    noisy = made(torch.tensor([[0.0, 0.0], [1.0, -2.0]]), sample=True)
    (noisy.kl.sum() + noisy.z.sum()).backward()
    for name, parameter in made.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_a_weight_far_above_its_noise_still_pays() -> None:
    affine = nn.Linear(1, 1)
    nn.init.constant_(affine.weight, 1.0)
    made = NoisyLayer(affine, nn.Identity(), "relu", SparseVariationalNoise(1))
    made.noise.price(affine).sum().backward()
    torch.testing.assert_close(
        made.noise.log_sigma2.grad, torch.full((1, 1), -0.5), rtol=1e-3, atol=0
    )


def test_parameters_have_the_shape_of_the_weights_and_the_map_is_not_kept() -> None:
    made = layer("conv")
    assert made.noise.log_sigma2.shape == made.affine.weight.shape
    assert [*made.noise.state_dict()] == ["log_sigma2"]
    assert [*SparseVariationalNoise(4).state_dict()] == []
    fresh = SparseVariationalNoise(4, initial_log_sigma2=-7)
    fresh.attach(made.affine)
    assert bool((fresh.log_sigma2 == -7).all())
    assert fresh.log_sigma2.requires_grad


@pytest.mark.parametrize("kl", ["approximate", "exact"])
@pytest.mark.parametrize("kind", ["linear", "conv"])
def test_it_can_be_traced(kind: str, kl: str) -> None:
    class Wrapper(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer(kind, kl=kl)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            noisy = self.layer(x, sample=True)
            return noisy.z, noisy.kl

    plain, x = Wrapper(), images(kind)
    traced = fx.symbolic_trace(plain)
    torch.manual_seed(5)
    z, kl_of_plain = plain(x)
    torch.manual_seed(5)
    again, kl_of_traced = traced(x)
    assert torch.equal(z, again)
    assert torch.equal(kl_of_plain, kl_of_traced)


def test_a_channels_last_network_draws_and_prices() -> None:
    made = layer("conv").float().to(memory_format=torch.channels_last)
    x = images("conv").float().to(memory_format=torch.channels_last)
    noisy = made(x, sample=True)
    assert noisy.z.isfinite().all()
    torch.testing.assert_close(noisy.kl[0].sum(), made.noise.price(made.affine).sum())


def test_bfloat16_draws_with_a_price_in_float32() -> None:
    made, x = layer("conv").float(), images("conv").float()
    with torch.autocast("cpu", torch.bfloat16):
        noisy = made(x, sample=True)
    assert (noisy.z.dtype, noisy.kl.dtype) == (torch.bfloat16, torch.float32)


def test_training_prunes_the_weights_that_carry_nothing() -> None:
    """Two of twelve inputs decide the class; the bound is minimised at its own beta of 1."""
    torch.manual_seed(0)
    x = torch.randn(400, 12)
    y = (x[:, 0] - x[:, 5] > 0).long()
    affine = nn.Linear(12, 2)
    noise = SparseVariationalNoise(2)
    noise.attach(affine)
    before = noise.log_alpha(affine).detach()
    optimizer = torch.optim.Adam([*affine.parameters(), *noise.parameters()], lr=0.03)
    for step in range(600):
        fit = F.cross_entropy(noise.affine(x, affine, sample=True), y)
        loss = fit + min(1, step / 200) * noise.price(affine).sum() / len(x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    telling = torch.zeros(12, dtype=torch.bool)
    telling[[0, 5]] = True
    assert not torch.equal(noise.log_alpha(affine), before)
    assert bool(noise.kept(affine)[:, telling].any(0).all())
    assert int(noise.kept(affine)[:, ~telling].sum()) <= 1
    pruned = F.linear(x, affine.weight * noise.kept(affine), affine.bias)
    assert float((pruned.argmax(1) == y).float().mean()) > 0.97


def test_the_threshold_decides() -> None:
    made = layer("linear", threshold=-2.0)
    assert isinstance(made.noise, SparseVariationalNoise)
    nn.init.constant_(made.affine.weight, 1.0)
    with torch.no_grad():
        made.noise.log_sigma2[0] = -2.5
        made.noise.log_sigma2[1:] = -1.5
    kept = made.noise.kept(made.affine)
    assert bool(kept[0].all())
    assert not bool(kept[1:].any())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kl": "sigmoid"}, "kl=sigmoid: must be one of approximate, exact."),
        ({"threshold": 8.0}, "threshold=8: must be in [-8, 8)."),
        ({"threshold": float("nan")}, "threshold=nan: must be in [-8, 8)."),
        ({"initial_log_sigma2": 11}, "initial_log_sigma2=11: must be in [-40, 10]."),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        SparseVariationalNoise(3, **options)


def test_repr_names_every_option() -> None:
    text = "SparseVariationalNoise(kl=approximate, threshold=3, initial_log_sigma2=-10)"
    assert repr(SparseVariationalNoise(3)) == text
