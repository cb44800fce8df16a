"""Schedules are pure functions of the share of the run that is done."""

from __future__ import annotations

import pytest

from ibdrop.learning.schedule import Constant, Cosine, MultiStep, OneCycle


def test_multistep_is_the_papers() -> None:
    schedule = MultiStep([0.375, 0.75])
    factors = [schedule(epoch / 80) for epoch in (0, 29, 30, 59, 60, 79)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_milestones_are_shares() -> None:
    with pytest.raises(ValueError, match="must be shares of the run between 0 and 1"):
        MultiStep([30, 60])


def test_one_cycle_rises_and_falls() -> None:
    schedule = OneCycle(rise=0.25, start=0.1, peak=2.0, end=0.0)
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(0.25) == pytest.approx(2.0)
    assert schedule(0.625) == pytest.approx(1.0)
    assert schedule(0.999999) == pytest.approx(0, abs=1e-5)
    with pytest.raises(ValueError, match="rise: 1.5 must be a share"):
        OneCycle(rise=1.5)


def test_constant_and_cosine() -> None:
    assert Constant()(0.7) == 1
    assert [Cosine(0.2)(t) for t in (0, 0.5, 1)] == pytest.approx([1, 0.6, 0.2])
