from __future__ import annotations

import math

import pytest

from ibdrop.models.discrete.temperature import Temperature


def test_fixed() -> None:
    assert [Temperature(0.7)(progress) for progress in (0.0, 0.5, 1.0)] == [0.7] * 3


def test_falls_exponentially_to_the_last() -> None:
    temperature = Temperature(0.5, 1.0, 2.0)
    assert temperature(0.0) == 1
    assert temperature(0.1) == pytest.approx(math.exp(-0.2))
    assert temperature(0.5) == temperature(1.0) == 0.5


def test_never_rises() -> None:
    values = [Temperature(0.1, 5.0, 3.0)(step / 100) for step in range(101)]
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0.0,), "posterior_temperature=0.0: must be a positive number"),
        ((0.5, -1.0, 1.0), "anneal_from=-1.0: must be a positive number"),
        ((0.5, 0.4, 1.0), "anneal_from=0.4: must not lie below posterior_temperature=0.5"),
        ((0.5, 1.0), "anneal_rate=0.0: must be a positive number with anneal_from"),
    ],
)
def test_ranges(arguments: tuple[float, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Temperature(*arguments)
