from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.merit.gradients import jacobian_law, limits, scalar_law, slope
from ibdrop.noise.relaxed import bin_concrete
from ibdrop.seeds import generator

TEMPERATURES = (2, 1, 2 / 3, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
LOGITS = (0.0, 1.5, -4.0)

# Measured by Monte Carlo at a = 0, in a note on the open question of the Concrete distribution.
MEANS = (0.107, 0.167, 0.197, 0.215, 0.242, 0.248, 0.250, 0.251, 0.251)
MEDIANS = (0.116, 0.187, 0.203, 0.180, 2.0e-2, 1.7e-4, 5.6e-9)
SECONDS = (0.0240, 0.0333, 0.0371, 0.0388, 0.0412, 0.0416, 0.0417, 0.0418, 0.0418)
NOISE_TO_SIGNAL = (0.20, 0.45, 0.65, 0.83, 1.58, 2.40, 3.52, 5.68, 8.09)
ZEROS = (0, 0, 0, 0, 0.035, 0.159, 0.315, 0.563, 0.750)


def logistic(draws: int, dtype: torch.dtype = torch.float64) -> Tensor:
    u = torch.rand(draws, generator=generator(0, "gradients"), dtype=torch.float64)
    return torch.logit(u).to(dtype)


def autograd(a: float, temperature: float, noise: Tensor) -> Tensor:
    """dz/da of each draw, as training has it."""
    logit = torch.full_like(noise, a).requires_grad_()
    bin_concrete(logit, noise, temperature).sum().backward()
    assert logit.grad is not None
    return logit.grad


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("temperature", [0.05, 0.02, 0.01])
def test_the_law_of_small_temperatures(a: float, temperature: float) -> None:
    law, (mean, second) = scalar_law(a, temperature), limits(a, temperature)
    assert law.mean == pytest.approx(mean, rel=0.01)
    assert law.second == pytest.approx(second, rel=0.02)
    assert temperature * law.second == pytest.approx(slope(a) / 6, rel=0.02)
    assert law.median < 1e-6


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("temperature", [0.2, 0.1, 0.05])
def test_the_first_correction_to_the_limits(a: float, temperature: float) -> None:
    law, s = scalar_law(a, temperature), slope(a)
    third = s * (1 - 6 * s)
    left = 30 * temperature**4 * abs(s)
    mean = s + math.pi**2 / 6 * temperature**2 * third
    second = s / 6 + (math.pi**2 - 6) / 36 * temperature**2 * third
    assert law.mean == pytest.approx(mean, abs=left)
    assert temperature * law.second == pytest.approx(second, abs=left)


def test_the_table_at_a_logit_of_0() -> None:
    laws = [scalar_law(0.0, temperature) for temperature in TEMPERATURES]
    scaled = [t * law.second for t, law in zip(TEMPERATURES, laws, strict=True)]
    assert [law.mean for law in laws] == pytest.approx(MEANS, abs=0.0015)
    assert [law.median for law in laws[:7]] == pytest.approx(MEDIANS, rel=0.03)
    assert scaled == pytest.approx(SECONDS, abs=1.5e-4)
    assert [1 / law.snr for law in laws] == pytest.approx(NOISE_TO_SIGNAL, rel=0.002, abs=0.006)
    assert [law.zeros for law in laws] == pytest.approx(ZEROS, abs=1e-3)
    assert laws[1].mean == pytest.approx(1 / 6)
    assert laws[1].second == pytest.approx(1 / 30)


def test_medians_beyond_the_digits_of_a_difference() -> None:
    """That note has 1.2e-32 and 7.7e-99, as z (1 - z) is 0 in float64 for a third of all draws."""
    assert scalar_law(0.0, 0.02).median == pytest.approx(3**-50 / 0.02, rel=1e-9)
    assert scalar_law(0.0, 0.01).median == pytest.approx(3**-100 / 0.01, rel=1e-9)
    rounded = autograd(0.0, 0.02, logistic(100_001))
    assert float((rounded == 0).double().mean()) == pytest.approx(0.324, abs=0.005)
    assert 1e-33 < float(rounded.median()) < 1e-31


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("temperature", [5, 2, 1, 2 / 3, 0.2, 0.05])
def test_the_law_is_that_of_draws(a: float, temperature: float) -> None:
    draws = 400_000
    law, g = scalar_law(a, temperature, 1e-4), autograd(a, temperature, logistic(draws))
    deviation = float(g.std())
    assert float(g.mean()) == pytest.approx(law.mean, abs=4 * deviation / draws**0.5)
    assert float(g.square().mean()) == pytest.approx(
        law.second, abs=4 * float(g.square().std()) / draws**0.5
    )
    assert law.deviation**2 == pytest.approx(law.second - law.mean**2, rel=1e-6)
    assert law.snr == pytest.approx(law.mean / law.deviation)
    below = (float((g < limit).double().mean()) for limit in (1e-4, law.median))
    assert list(below) == pytest.approx([law.below, 0.5], abs=0.004)


@pytest.mark.parametrize("a", LOGITS)
@pytest.mark.parametrize("temperature", [0.5, 0.1, 0.02])
def test_zeros_are_those_of_float32(a: float, temperature: float) -> None:
    g = autograd(a, temperature, logistic(200_000, torch.float32))
    share = float((g == 0).double().mean())
    assert share == pytest.approx(scalar_law(a, temperature).zeros, abs=0.005)


@pytest.mark.parametrize("temperature", [0.01, 1.0, 100.0])
def test_far_logits_stay_finite(temperature: float) -> None:
    for a in (-800.0, -40.0, 40.0, 800.0):
        assert all(math.isfinite(value) for value in scalar_law(a, temperature)[:4])
    assert scalar_law(40.0, temperature).median == scalar_law(-40.0, temperature).median


@pytest.mark.parametrize("wrong", [0.0, -1.0, math.inf, math.nan])
def test_a_temperature_must_be_positive(wrong: float) -> None:
    for call in (
        lambda: scalar_law(0.0, wrong),
        lambda: limits(0.0, wrong),
        lambda: jacobian_law(torch.zeros(2), wrong, 8, 0),
    ):
        with pytest.raises(ValueError, match=rf"^temperature={wrong}: must be a positive number"):
            call()
    with pytest.raises(ValueError, match=f"small={wrong}: must be a positive number"):
        scalar_law(0.0, 1.0, wrong)


@pytest.mark.parametrize("temperature", [1.0, 0.1])
def test_two_states_are_a_binary_unit(temperature: float) -> None:
    law, binary = (
        jacobian_law(torch.tensor([0.7, -0.3]), temperature, 200_000, 0),
        scalar_law(1.0, temperature),
    )
    for k in range(2):
        for i in range(2):
            sign = 1 if i == k else -1
            assert sign * float(law.mean[k, i]) == pytest.approx(binary.mean, rel=0.02)
            assert float(law.second[k, i]) == pytest.approx(binary.second, rel=0.02)
            assert float(law.below[k, i]) == pytest.approx(binary.below, abs=0.005)
    assert float(law.median[0, 1]) == pytest.approx(binary.median, rel=0.05)


def test_the_jacobian_of_many_states_has_the_same_limits() -> None:
    logits, temperature = torch.tensor([0.0, 1.0, -1.0, 0.5]), 0.02
    p = torch.softmax(logits.double(), 0)
    law = jacobian_law(logits, temperature, 400_000, 0)
    pairs = p.outer(p)
    exact = torch.diag(p) - pairs
    second = pairs / 6
    second[range(4), range(4)] = p * (1 - p) / 6
    torch.testing.assert_close(law.mean, exact, rtol=0, atol=0.01)
    torch.testing.assert_close(temperature * law.second, second, rtol=0.1, atol=0)
    assert float(law.median.max()) < 1e-6
    assert float(law.zeros.min()) > 0.3


def test_the_jacobian_is_that_of_autograd() -> None:
    logits = torch.tensor([0.3, -0.2, 0.9], dtype=torch.float64)
    u = torch.rand(1, 3, generator=generator(5, "jacobian"), dtype=torch.float64)
    noise = -(-u.log()).log()[0]
    exact = torch.func.jacrev(lambda a: torch.softmax((a + noise) / 0.4, 0))(logits)
    torch.testing.assert_close(jacobian_law(logits, 0.4, 1, 5).mean, exact)
