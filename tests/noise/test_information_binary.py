from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, fx, nn
from torch.nn import functional as F

from ibdrop.models.base import NoisyLayer
from ibdrop.models.mlp import MLP
from ibdrop.noise.information_binary import InformationBinaryNoise
from ibdrop.sampling.engine import MonteCarlo

OPTIONS: list[dict[str, Any]] = [{}, {"evaluation": "soft"}, {"prior": 0.2, "temperature": 0.1}]


def tensors(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    f = torch.rand(2, 3, 4, 4, dtype=dtype, generator=generator)
    a = torch.randn(2, 3, 4, 4, dtype=dtype, generator=generator)
    return f, a


def keep(a: Tensor, pi: float) -> Tensor:
    return pi + (1 - pi) * torch.sigmoid(a.double())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_without_sampling_it_is_the_very_tensor(options: dict[str, Any], training: bool) -> None:
    f, a = tensors()
    noise = InformationBinaryNoise(3, **options).train(training)
    assert noise(f, a, sample=False).z is f


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_the_price_does_not_depend_on_sampling(options: dict[str, Any], training: bool) -> None:
    f, a = tensors()
    noise = InformationBinaryNoise(3, **options).train(training)
    on, off = noise(f, a, sample=True), noise(f, a, sample=False)
    assert torch.equal(on.kl, off.kl)
    assert torch.equal(on.alpha, off.alpha)
    assert on.kl.shape == on.z.shape == on.alpha.shape == f.shape
    assert on.kl.dtype == torch.float64
    assert not torch.equal(on.z, f)


@pytest.mark.parametrize("pi", [0.01, 0.5, 0.9])
def test_price_is_the_sum_over_both_outcomes(pi: float) -> None:
    a = torch.linspace(-12, 12, 97, dtype=torch.float64)
    q = keep(a, pi)
    expected = q * (q / pi).log() + (1 - q) * ((1 - q) / (1 - pi)).log()
    noisy = InformationBinaryNoise(1, prior=pi)(a, a, sample=False)
    torch.testing.assert_close(noisy.kl, expected, rtol=1e-6, atol=1e-13)
    torch.testing.assert_close(noisy.alpha, 1 - q)
    assert noisy.cap == 1 - pi


def test_price_falls_to_nothing_at_the_prior_and_only_there() -> None:
    a = torch.linspace(-40, 40, 801)
    noisy = InformationBinaryNoise(1)(a, a, sample=False)
    assert (noisy.kl.diff() >= 0).all()
    assert (noisy.alpha.diff() <= 0).all()
    assert 0 < float(noisy.kl[0]) < 1e-30
    assert float(noisy.alpha[0]) == noisy.cap == 0.5
    assert float(noisy.kl[-1]) == pytest.approx(math.log(2), rel=1e-6)


def test_a_new_layer_starts_half_way_to_certainty() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    noisy = InformationBinaryNoise(1)(zero, zero, sample=False)
    assert float(noisy.alpha) == 0.25
    assert float(noisy.kl) == pytest.approx(math.log(2) + 0.25 * math.log(0.25 * 0.75**3))


@pytest.mark.parametrize("pi", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("a", [-4.0, 0.0, 2.0])
def test_hard_noise_has_mean_one(pi: float, a: float) -> None:
    torch.manual_seed(0)
    n = 400_000
    f = torch.full((n,), 3.0)
    z = InformationBinaryNoise(1, prior=pi).eval()(f, torch.full_like(f, a), sample=True).z
    q = float(keep(torch.tensor(a), pi))
    assert z.unique().tolist() == pytest.approx([0, 3 / q])
    assert float((z > 0).double().mean()) == pytest.approx(q, abs=4 * math.sqrt(q * (1 - q) / n))
    error = 3 * math.sqrt((1 - q) / q / n)
    assert float(z.double().mean()) == pytest.approx(3, abs=4 * error)


@pytest.mark.parametrize("a", [-4.0, 0.0, 2.0])
def test_training_relaxes_the_same_gate(a: float) -> None:
    torch.manual_seed(1)
    n = 400_000
    f = torch.ones(n)
    noise = InformationBinaryNoise(1)
    z = noise(f, torch.full_like(f, a), sample=True).z
    q = float(keep(torch.tensor(a), 0.5))
    share = (z * q > 0.5).double().mean()
    assert len(z.unique()) > n / 10
    assert float(share) == pytest.approx(q, abs=4 * math.sqrt(q * (1 - q) / n))
    assert 0.935 < float(z.double().mean()) < 1.005


def test_soft_evaluation_draws_as_training_does() -> None:
    f, a = tensors()
    noise = InformationBinaryNoise(3, evaluation="soft")
    torch.manual_seed(2)
    training = noise(f, a, sample=True).z
    torch.manual_seed(2)
    assert torch.equal(noise.eval()(f, a, sample=True).z, training)


@pytest.mark.parametrize("training", [False, True])
def test_halves_are_reckoned_in_float32(training: bool) -> None:
    f, a = tensors(torch.bfloat16)
    noisy = InformationBinaryNoise(3).train(training)(f, a, sample=True)
    assert noisy.z.dtype == torch.bfloat16
    assert noisy.kl.dtype == noisy.alpha.dtype == torch.float32


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("pi", [0.01, 0.5, 0.99])
@pytest.mark.parametrize("temperature", [0.01, 2 / 3, 10.0])
def test_values_and_gradients_are_finite_at_both_ends(
    temperature: float, pi: float, training: bool
) -> None:
    a = torch.tensor([-1e4, -200.0, -50.0, 0.0, 50.0, 200.0, 1e4]).repeat(200).requires_grad_()
    f = torch.rand_like(a).requires_grad_()
    noise = InformationBinaryNoise(1, prior=pi, temperature=temperature).train(training)
    noisy = noise(f, a, sample=True)
    assert noisy.kl.isfinite().all()
    assert noisy.z.isfinite().all()
    assert noisy.alpha.isfinite().all()
    (noisy.kl.sum() + noisy.z.square().sum() + noisy.alpha.sum()).backward()
    for name, x in [("f", f), ("a", a)]:
        assert x.grad is not None, name
        assert x.grad.isfinite().all(), name


def test_gradient_by_differences() -> None:
    f, a = tensors()
    f.requires_grad_()
    a.requires_grad_()
    noise = InformationBinaryNoise(3, prior=0.3)

    def noisy(f: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        found = noise(f, a, sample=True)
        return found.z, found.kl

    assert torch.autograd.gradcheck(noisy, (f, a))


class Small(nn.Module):
    """A convolution and a linear layer with this noise."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        torch.manual_seed(0)
        conv, linear = nn.Conv2d(1, 3, 3, stride=2), nn.Linear(27, 5)
        noises = [InformationBinaryNoise(c, **options) for c in (3, 5)]
        self.first = NoisyLayer(conv, nn.BatchNorm2d(3), "relu", noises[0], merge=False)
        self.second = NoisyLayer(linear, nn.Identity(), "relu", noises[1])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        first = self.first(images, True)
        second = self.second(first.z.flatten(1), True)
        return second.z, first.kl, second.kl


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
def test_it_can_be_traced(options: dict[str, Any], training: bool) -> None:
    model = Small(**options).train(training)
    traced = fx.symbolic_trace(model)
    images = torch.rand(4, 1, 8, 8)
    torch.manual_seed(5)
    expected = model(images)
    torch.manual_seed(5)
    for one, other in zip(traced(images), expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("evaluation", ["hard", "soft"])
def test_sampling_takes_it_apart(evaluation: Any) -> None:
    model = MLP(
        1, (8, 8), 3, lambda c: InformationBinaryNoise(c, evaluation=evaluation), width=16
    ).eval()
    sampler = MonteCarlo(model, seed=0, passes=20)
    found = sampler(torch.rand(6, 1, 8, 8), torch.arange(6))
    assert sampler.notes == []
    assert float(found.mutual_information.min()) > 0


def test_beta_trades_nats_for_accuracy() -> None:
    found = [digits(beta) for beta in (0.0, 0.01, 0.1)]
    nats, accuracy = zip(*found, strict=True)
    assert nats[0] > 3 * nats[1] > 60 * nats[2]
    assert accuracy[0] > accuracy[1] + 0.01 > accuracy[2] + 0.05
    assert accuracy[2] > 0.7


def digits(beta: float, seed: int = 0) -> tuple[float, float]:
    """Trains on the bundled digits; gives nats per image and the accuracy with the noise on."""
    torch.manual_seed(seed)
    data = load_digits()
    x = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    y = torch.tensor(data.target)
    model = MLP(1, (8, 8), 10, InformationBinaryNoise, width=32, depth=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        rows = torch.randint(1400, (128,))
        prediction = model(x[rows])
        kl = prediction.kls["D1"].sum() / 128
        loss = F.cross_entropy(prediction.logits, y[rows]) + beta * kl
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        noisy = model(x[1400:].repeat(10, 1, 1, 1), sample=True)
    right = noisy.logits.argmax(1) == y[1400:].repeat(10)
    return float(noisy.kls["D1"].sum() / len(right)), float(right.float().mean())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": 0.0}, "prior=0.0: the probability to keep a unit must be in (0, 1)."),
        ({"prior": 1.0}, "prior=1.0: the probability to keep a unit must be in (0, 1)."),
        ({"temperature": 0.0}, "temperature=0.0: must be a positive number."),
        ({"evaluation": "mean"}, "evaluation=mean: must be one of hard, soft."),
    ],
)
def test_ranges(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        InformationBinaryNoise(1, **options)
