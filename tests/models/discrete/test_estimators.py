from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.models.discrete.binary import BinConcrete
from ibdrop.models.discrete.categorical import ExpConcrete
from ibdrop.models.discrete.estimators import ESTIMATORS, estimate
from ibdrop.models.discrete.units import Units

KINDS: list[tuple[Units, tuple[int, ...]]] = [(BinConcrete(), (5, 6)), (ExpConcrete(4), (5, 6, 4))]


def drawn(units: Units, logits: Tensor, estimator: str) -> tuple[Tensor, Tensor]:
    """The state, and the gradient of a weighted sum of it."""
    torch.manual_seed(3)
    logits = logits.clone().requires_grad_()
    state = estimate(units, logits, 0.7, estimator).state
    weights = torch.arange(state.numel(), dtype=state.dtype).view_as(state)
    (gradient,) = torch.autograd.grad((state * weights).sum(), logits)
    return state.detach(), gradient


@pytest.mark.parametrize(("units", "shape"), KINDS)
@pytest.mark.parametrize("estimator", ["straight_through", "st_gumbel_softmax"])
def test_straight_through_is_hard_forwards_and_soft_backwards(
    units: Units, shape: tuple[int, ...], estimator: str
) -> None:
    torch.manual_seed(0)
    logits = torch.randn(shape)
    state, gradient = drawn(units, logits, estimator)
    assert set(state.unique().tolist()) == {0.0, 1.0}
    soft = logits.clone().requires_grad_()
    if estimator == "straight_through":
        expected = units.probabilities(soft)
    else:
        torch.manual_seed(3)
        expected = units.soft(units.relax(soft, 0.7))
    weights = torch.arange(expected.numel(), dtype=expected.dtype).view_as(expected)
    (same,) = torch.autograd.grad((expected * weights).sum(), soft)
    assert same.abs().max() > 0
    torch.testing.assert_close(gradient, same)


@pytest.mark.parametrize(("units", "shape"), KINDS)
def test_gumbel_softmax_is_the_relaxed_draw(units: Units, shape: tuple[int, ...]) -> None:
    logits = torch.linspace(-2, 2, torch.Size(shape).numel()).view(shape)
    for one, other in zip(
        drawn(units, logits, "concrete"), drawn(units, logits, "gumbel_softmax"), strict=True
    ):
        assert torch.equal(one, other)
    state, _ = drawn(units, logits, "concrete")
    assert 0 < state.min() < state.max() < 1


def test_the_hard_state_of_straight_through_gumbel_is_that_next_to_the_soft_one() -> None:
    logits = torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(0))
    units = ExpConcrete(3, "one_hot")
    soft, _ = drawn(units, logits, "concrete")
    hard, _ = drawn(units, logits, "st_gumbel_softmax")
    assert torch.equal(hard.argmax(-1), soft.argmax(-1))


@pytest.mark.parametrize("lam", [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(("units", "shape"), KINDS)
def test_nothing_is_lost_at_any_temperature(
    units: Units, shape: tuple[int, ...], estimator: str, lam: float
) -> None:
    """In float32, for logits that float32 cannot make probabilities of, too."""
    torch.manual_seed(0)
    for scale in (0.0, 3.0, 100.0):
        logits = (scale * torch.randn(2000, *shape[1:])).requires_grad_()
        prior = torch.zeros(shape[1:], requires_grad=True)
        draw = estimate(units, logits, lam, estimator)
        total = draw.state.sum() + units.kl(logits, prior).sum()
        total = total + units.log_mass(draw.state, logits).sum()
        if draw.y is not None:
            total = total + units.log_density(draw.y, logits, lam).sum()
            total = total - units.log_density(draw.y, prior, 0.75 * lam).sum()
        gradients = torch.autograd.grad(total, (logits, prior))
        assert total.isfinite()
        assert all(gradient.isfinite().all() for gradient in gradients)
