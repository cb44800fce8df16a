from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence
from torch.distributions.relaxed_bernoulli import LogitRelaxedBernoulli

from ibdrop.models.discrete.binary import BinConcrete

UNITS = BinConcrete()
TEMPERATURES = [0.1, 2 / 3, 2.0]


def density_on_the_interval(x: Tensor, a: Tensor, lam: float) -> Tensor:
    """The density of X in (0, 1), as the paper writes it."""
    above = lam * a * x ** (-lam - 1) * (1 - x) ** (-lam - 1)
    return above / (a * x**-lam + (1 - x) ** -lam) ** 2


@pytest.mark.parametrize("lam", TEMPERATURES)
def test_log_density_is_that_of_the_interval_times_the_jacobian(lam: float) -> None:
    y = torch.linspace(-6, 6, 41, dtype=torch.float64)
    logits = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    x = torch.sigmoid(y)
    paper = density_on_the_interval(x, logits.exp(), lam).log() + (x * (1 - x)).log()
    torch.testing.assert_close(UNITS.log_density(y, logits, lam), paper, rtol=0, atol=1e-12)


@pytest.mark.parametrize("lam", TEMPERATURES)
def test_log_density_is_torchs_where_that_is_sound(lam: float) -> None:
    y = torch.linspace(-20, 20, 41, dtype=torch.float64)
    logits = torch.linspace(-3, 3, 7, dtype=torch.float64)[:, None]
    theirs = LogitRelaxedBernoulli(torch.tensor(lam, dtype=torch.float64), logits=logits)
    ours = UNITS.log_density(y, logits, lam)
    torch.testing.assert_close(ours, theirs.log_prob(y), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lam", TEMPERATURES)
@pytest.mark.parametrize("logit", [-2.0, 0.0, 5.0])
def test_the_density_integrates_to_one(lam: float, logit: float) -> None:
    y = torch.linspace(-45 / lam, 45 / lam, 20_001, dtype=torch.float64)
    density = UNITS.log_density(y, torch.tensor(logit, dtype=torch.float64), lam).exp()
    assert torch.trapezoid(density, y).item() == pytest.approx(1, abs=1e-10)


def test_the_density_may_be_above_one_in_log_space_too() -> None:
    assert UNITS.log_density(torch.zeros(1), torch.zeros(1), 10.0) > 0


@pytest.mark.parametrize("lam", TEMPERATURES)
def test_rounding_has_the_discrete_probability_at_every_temperature(lam: float) -> None:
    torch.manual_seed(0)
    logits = torch.tensor([-1.0, 0.3, 1.3]).expand(200_000, 3)
    rounded = UNITS.hard(UNITS.relax(logits, lam)).mean(0)
    p = torch.sigmoid(logits[0])
    assert ((rounded - p).abs() < 3 * (p * (1 - p) / len(logits)).sqrt()).all()


def test_discrete_draws_have_their_probability() -> None:
    torch.manual_seed(1)
    logits = torch.tensor([-1.0, 0.3, 1.3]).expand(200_000, 3)
    drawn = UNITS.draw(logits)
    p = UNITS.probabilities(logits[0])
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert ((drawn.mean(0) - p).abs() < 3 * (p * (1 - p) / len(logits)).sqrt()).all()


def test_the_mean_drifts_with_the_temperature() -> None:
    torch.manual_seed(0)
    logits = torch.full((200_000, 1), 1.3)
    means = [UNITS.soft(UNITS.relax(logits, lam)).mean().item() for lam in TEMPERATURES]
    assert means == pytest.approx([0.784, 0.738, 0.636], abs=0.005)


@pytest.mark.parametrize(("lam", "violated"), [(1.0, False), (1.5, True)])
def test_the_interval_has_no_mode_up_to_temperature_one(lam: float, violated: bool) -> None:
    random = torch.Generator().manual_seed(0)
    x = torch.rand(2, 20_000, generator=random, dtype=torch.float64) * 0.998 + 0.001
    a = torch.tensor(1.7, dtype=torch.float64)
    each = density_on_the_interval(x, a, lam).log().mean(0)
    middle = density_on_the_interval(x.mean(0), a, lam).log()
    assert (middle > each + 1e-9).any().item() is violated


def test_it_keeps_its_digits_far_out_where_torchs_does_not() -> None:
    y, logits = torch.tensor(-200.0), torch.tensor(0.0)
    theirs = LogitRelaxedBernoulli(torch.tensor(0.5), logits=logits).log_prob(y)
    assert theirs.item() == -math.inf  # otherwise torch is sound by now
    assert UNITS.log_density(y, logits, 0.5).item() == pytest.approx(-100.693, abs=1e-3)


def test_logits_beyond_sixteen_keep_gradient_and_place() -> None:
    torch.manual_seed(0)
    logits = torch.full((10_000, 1), 30.0, requires_grad=True)
    theirs = LogitRelaxedBernoulli(torch.tensor(1.0), logits=logits).rsample()
    (lost,) = torch.autograd.grad(theirs.sum(), logits)
    assert lost.abs().max() == 0  # otherwise torch is sound by now
    ours = UNITS.relax(logits, 1.0)
    (kept,) = torch.autograd.grad(ours.sum(), logits)
    torch.testing.assert_close(kept, torch.ones_like(kept))
    assert ours.mean().item() == pytest.approx(30, abs=0.1)


@pytest.mark.parametrize("pair", [(0.3, -1.2), (4.0, 4.0), (-2.0, 3.0)])
def test_divergence_is_torchs_where_that_is_finite(pair: tuple[float, float]) -> None:
    a, b = (torch.tensor(each, dtype=torch.float64) for each in pair)
    theirs = kl_divergence(Bernoulli(logits=a), Bernoulli(logits=b))
    torch.testing.assert_close(UNITS.kl(a, b), theirs, rtol=0, atol=1e-12)


def test_divergence_of_the_certain_is_finite() -> None:
    a, b = torch.tensor(0.0), torch.tensor(-200.0)
    assert kl_divergence(Bernoulli(logits=a), Bernoulli(logits=b)).isinf()
    assert UNITS.kl(a, b).item() == pytest.approx(100 - math.log(2), rel=1e-6)


def test_log_mass_averages_to_the_divergence() -> None:
    a, b = (torch.tensor([each], dtype=torch.float64) for each in (0.7, -0.4))
    one, zero = torch.ones_like(a), torch.zeros_like(a)
    p = UNITS.probabilities(a)
    gap = [UNITS.log_mass(state, a) - UNITS.log_mass(state, b) for state in (one, zero)]
    torch.testing.assert_close(p * gap[0] + (1 - p) * gap[1], UNITS.kl(a, b))


@pytest.mark.parametrize("lam", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_that_relaxes_nothing_is_refused(lam: float) -> None:
    with pytest.raises(ValueError, match="must be a positive number; 0 is the discrete graph"):
        UNITS.relax(torch.zeros(1), lam)
