from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from ibdrop.models.discrete.categorical import ExpConcrete, gumbel
from ibdrop.noise.draws import drawing_from

TEMPERATURES = [0.1, 2 / 3, 2.0]


def log_density_on_the_simplex(x: Tensor, a: Tensor, lam: float) -> Tensor:
    """The log-density of X, as the paper writes it."""
    n = x.shape[-1]
    above = math.lgamma(n) + (n - 1) * math.log(lam) + (a.log() - (lam + 1) * x.log()).sum(-1)
    return above - n * (a * x**-lam).sum(-1).log()


@pytest.mark.parametrize("lam", TEMPERATURES)
@pytest.mark.parametrize("n", [2, 3, 5])
def test_log_density_is_that_of_the_simplex_times_the_jacobian(n: int, lam: float) -> None:
    random = torch.Generator().manual_seed(n)
    y = torch.log_softmax(2 * torch.randn(50, n, generator=random, dtype=torch.float64), dim=-1)
    logits = torch.randn(50, n, generator=random, dtype=torch.float64)
    paper = log_density_on_the_simplex(y.exp(), logits.exp(), lam) + y.sum(-1)
    ours = ExpConcrete(n, "one_hot").log_density(y, logits, lam)
    torch.testing.assert_close(ours, paper, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lam", [0.5, 1.5])
def test_the_density_integrates_to_one(lam: float) -> None:
    """Over the differences to the last state, whose Jacobian is the product of all x."""
    u = torch.linspace(-60, 60, 601, dtype=torch.float64)
    grid = torch.stack([*torch.meshgrid(u, u, indexing="ij"), torch.zeros(601, 601)], dim=-1)
    logits = torch.tensor([0.5, -1.0, 0.2], dtype=torch.float64)
    density = ExpConcrete(3, "one_hot").log_density(torch.log_softmax(grid, -1), logits, lam).exp()
    total = torch.trapezoid(torch.trapezoid(density, u), u)
    assert total.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("lam", TEMPERATURES)
def test_rounding_has_the_discrete_probability_at_every_temperature(lam: float) -> None:
    torch.manual_seed(0)
    units = ExpConcrete(4)
    logits = torch.tensor([0.5, -1.0, 0.0, 1.0]).expand(200_000, 4)
    p = units.probabilities(logits[0])
    for rounded in (units.hard(units.relax(logits, lam)), units.draw(logits)):
        miss = (rounded.mean(0) - p).abs()
        assert (miss < 3 * (p * (1 - p) / len(logits)).sqrt()).all()


@pytest.mark.parametrize("n", [2, 3, 4])
@pytest.mark.parametrize(("factor", "violated"), [(1.0, False), (1.5, True)])
def test_the_simplex_has_no_inner_mode_up_to_one_over_n_minus_one(
    n: int, factor: float, violated: bool
) -> None:
    random = torch.Generator().manual_seed(n)
    a = torch.rand(n, generator=random, dtype=torch.float64) + 0.5
    x = -torch.rand(2, 20_000, n, generator=random, dtype=torch.float64).clamp(min=1e-6).log()
    x = x / x.sum(-1, keepdim=True)
    lam = factor / (n - 1)
    each = log_density_on_the_simplex(x, a, lam).mean(0)
    middle = log_density_on_the_simplex(x.mean(0), a, lam)
    assert (middle > each + 1e-9).any().item() is violated


@pytest.mark.parametrize("lam", [0.01, 0.02, 0.1, 1.0])
def test_the_density_of_own_draws_is_finite_for_ten_states(lam: float) -> None:
    torch.manual_seed(0)
    units = ExpConcrete(10, "one_hot")
    logits = 2 * torch.randn(5_000, 10)
    assert units.log_density(units.relax(logits, lam), logits, lam).isfinite().all()


def test_several_units_with_one_temperature_keep_their_shape() -> None:
    units = ExpConcrete(4)
    logits = torch.zeros(5, 3, 4)
    y = units.relax(logits, 0.5)
    assert y.shape == (5, 3, 4)
    assert units.log_density(y, logits, 0.5).shape == (5, 3)
    assert units.kl(logits, logits).shape == (5, 3)


def test_divergence_is_torchs_where_that_is_finite_and_stays_finite() -> None:
    units = ExpConcrete(3, "one_hot")
    random = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 3, generator=random, dtype=torch.float64)
    theirs = kl_divergence(Categorical(logits=a), Categorical(logits=b))
    torch.testing.assert_close(units.kl(a, b), theirs, rtol=0, atol=1e-12)
    even, sure = torch.zeros(3), torch.tensor([200.0, 0.0, 0.0])
    assert kl_divergence(Categorical(logits=even), Categorical(logits=sure)).isinf()
    assert units.kl(even, sure).item() == pytest.approx(400 / 3 - math.log(3), rel=1e-6)


def test_log_mass_averages_to_the_divergence() -> None:
    units = ExpConcrete(3, "one_hot")
    a, b = (torch.tensor(each, dtype=torch.float64) for each in ([0.7, 0, -1], [0.1, 0.2, 0.9]))
    corners = torch.eye(3, dtype=torch.float64)
    gap = units.log_mass(corners, a) - units.log_mass(corners, b)
    torch.testing.assert_close((units.probabilities(a) * gap).sum(), units.kl(a, b))


def test_codes() -> None:
    states = torch.eye(4)[:, None]
    assert ExpConcrete(4).embed(states).tolist() == [[-1, -1], [1, -1], [-1, 1], [1, 1]]
    assert ExpConcrete(4, "one_hot").embed(states)[1].tolist() == [-1, 1, -1, -1]
    assert ExpConcrete(8).outputs == 3
    assert ExpConcrete(5, "one_hot").outputs == 5


class Ends:
    """A source at both ends of what a uniform draw may be."""

    def uniform(self, like: Tensor) -> Tensor:
        ends = torch.tensor([2**-25, 1 - 2**-24])
        return ends.repeat(like.numel())[: like.numel()].view_as(like)

    def normal(self, like: Tensor) -> Tensor:
        raise NotImplementedError

    def kept(self, f: Tensor, rate: float | Tensor, whole_channels: bool) -> Tensor:
        raise NotImplementedError


def test_gumbel_noise_is_finite_at_both_ends() -> None:
    with drawing_from(Ends()):
        assert gumbel(torch.zeros(2)).tolist() == pytest.approx([-2.853, 16.636], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((1,), "states=1: a unit must have at least 2"),
        ((3,), "states=3: code=hypercube needs a power of 2; code=one_hot takes any"),
        ((4, "binary"), "code=binary: must be one of hypercube, one_hot"),
    ],
)
def test_ranges(arguments: tuple[int, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ExpConcrete(*arguments)


@pytest.mark.parametrize("lam", [0.0, -1.0])
def test_a_temperature_that_relaxes_nothing_is_refused(lam: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number"):
        ExpConcrete(4).relax(torch.zeros(4), lam)
