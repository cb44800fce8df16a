"""The sampler changes nothing, and its estimates are those of the definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from ibdrop.models.base import Prediction
from ibdrop.sampling.plain import Predictive, combine, entropy, monte_carlo


class Dropping(nn.Module):
    """A network with batch norm and dropout that obeys `sample`."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.norm = nn.BatchNorm1d(6)
        self.out = nn.Linear(6, 4)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        x = self.norm(images)
        if sample if sample is not None else self.training:
            x = x * (torch.rand_like(x) >= self.rate) / (1 - self.rate)
        return Prediction(self.out(x), {})


class Silent(Dropping):
    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        return super().forward(images, sample=False)


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(5, 6, generator=torch.Generator().manual_seed(0))


def model(kind: type[Dropping] = Dropping, rate: float = 0.5) -> Dropping:
    torch.manual_seed(1)
    return kind(rate).eval()


def test_zero_log_zero_is_zero() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert entropy(p).tolist() == pytest.approx([0.0, math.log(2)])


def test_agrees_with_all_passes_kept(inputs: Tensor) -> None:
    network = model()
    found = monte_carlo(network, inputs, 7, 3, "test")
    draws = []
    for t in range(7):
        one = monte_carlo(network, inputs, 1, 3, "test")
        assert one.passes == 1
        draws.append(_pass(network, inputs, t))
    p = torch.stack(draws)
    mean = p.mean(0)
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.entropy, -(mean * mean.log()).sum(1))
    torch.testing.assert_close(found.expected_entropy, -(p * p.log()).sum(2).mean(0))
    torch.testing.assert_close(found.mutual_information, found.entropy - found.expected_entropy)
    torch.testing.assert_close(found.variance, p.var(0, correction=0).sum(1))
    assert found.mean.dtype == torch.float64


def _pass(network: nn.Module, inputs: Tensor, t: int) -> Tensor:
    from ibdrop.seeds import key

    torch.manual_seed(key(3, "test", "pass", t))
    with torch.no_grad():
        p: Tensor = network(inputs, sample=True).logits.double().softmax(1)
    return p


def test_information_is_between_nothing_and_entropy(inputs: Tensor) -> None:
    found = monte_carlo(model(), 5 * inputs, 40, 0)
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= found.entropy).all()
    assert (found.entropy <= math.log(4) + 1e-12).all()
    torch.testing.assert_close(found.mean.sum(1), torch.ones(5, dtype=torch.float64))


def test_leaves_model_and_generators_bit_identical(inputs: Tensor) -> None:
    network = model()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    monte_carlo(network, inputs, 5, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == flags
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_same_key_same_draws_whatever_the_state(inputs: Tensor) -> None:
    torch.manual_seed(11)
    first = monte_carlo(model(), inputs, 5, 0, "a")
    torch.manual_seed(12)
    second, other = (monte_carlo(model(), inputs, 5, 0, name) for name in "ab")
    assert torch.equal(first.mean, second.mean)
    assert not torch.equal(first.mean, other.mean)


def test_without_noise_one_pass_is_enough(inputs: Tensor) -> None:
    network = model(Silent)
    found = monte_carlo(network, inputs, 50, 0)
    assert found.passes == 1
    assert torch.equal(found.mean, network(inputs, sample=False).logits.double().softmax(1))
    assert found.mutual_information.tolist() == found.variance.tolist() == [0.0] * 5


def test_noise_of_rate_zero_is_drawn_and_changes_nothing(inputs: Tensor) -> None:
    network = model(rate=0.0)
    found = monte_carlo(network, inputs, 6, 0)
    expected = network(inputs, sample=False).logits.double().softmax(1)
    torch.testing.assert_close(found.mean, expected)
    assert found.passes == 6
    assert found.variance.abs().max() < 1e-20


def test_pooled_halves_equal_one_long_run() -> None:
    p = torch.rand(9, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    p = p / p.sum(2, keepdim=True)
    parts = [_of(p[:4]), _of(p[4:])]
    for found, wanted in zip(combine(*parts), _of(p), strict=True):
        torch.testing.assert_close(found, wanted)


def _of(p: Tensor) -> Predictive:
    mean, total, expected = p.mean(0), entropy(p.mean(0)), entropy(p).mean(0)
    return Predictive(
        mean, total, expected, total - expected, p.var(0, correction=0).sum(1), len(p)
    )


def test_refuses_training_mode(inputs: Tensor) -> None:
    with pytest.raises(ValueError, match="^the model is in training mode; call model.eval"):
        monte_carlo(model().train(), inputs, 5, 0)


def test_refuses_no_passes(inputs: Tensor) -> None:
    with pytest.raises(ValueError, match="^passes is 0; at least 1 is needed$"):
        monte_carlo(model(), inputs, 0, 0)
