from __future__ import annotations

import math

import pytest

from ibdrop.learning.patience import Patience


def stop(errors: list[float], patience: Patience | None = None) -> int | None:
    """The epoch after which training stops, if it does."""
    patience = Patience() if patience is None else patience
    for epoch, error in enumerate(errors, start=1):
        if patience.update(epoch, error):
            return epoch
    return None


def test_without_improvement_it_stops_after_its_epochs() -> None:
    assert stop([0.1] * 20) == 10
    assert stop([0.1] * 9) is None
    assert stop([0.1] * 20, Patience(3)) == 3


def test_a_clear_improvement_doubles_the_epochs_it_took() -> None:
    assert stop([0.1] * 5 + [0.09] * 30) == 12
    assert stop([0.1] * 4 + [0.09] * 30) == 10
    assert stop([0.1] * 5 + [0.09] * 6 + [0.08] * 30) == 24


def test_small_improvements_earn_nothing_but_lower_the_bar() -> None:
    assert stop([0.1] * 7 + [0.0996] * 30) == 10
    # 0.4 % under the best in epoch 8, 0.8 % under that of epoch 7: only the first counts.
    assert stop([0.1] * 6 + [0.0996, 0.0992] + [0.0992] * 30) == 10
    assert stop([0.1] * 6 + [0.0994] * 30) == 14


def test_it_goes_on_while_things_get_better() -> None:
    assert stop([0.5 * 0.99**epoch for epoch in range(200)]) is None


def test_an_error_of_zero_and_nan() -> None:
    assert stop([0.1] * 6 + [0.0] * 30) == 14
    assert stop([math.nan] * 30) == 10
    assert stop([0.1] * 6 + [math.nan, 0.05] + [0.05] * 30) == 16


def test_rows_bring_a_resumed_run_to_where_it_was() -> None:
    errors = [0.1, 0.09, 0.085, 0.0849, 0.08, 0.07, 0.07, 0.069]
    whole, first, again = Patience(), Patience(), Patience()
    assert stop(errors, whole) is None
    assert stop(errors[:5], first) is None
    assert stop(errors[:5], again) is None
    assert again == first
    for epoch, error in enumerate(errors[5:], start=6):
        again.update(epoch, error)
    assert again == whole


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "patience=0: must be at least 1 epoch, or null"),
        ({"epochs": math.nan}, "must be at least 1 epoch"),
        ({"factor": 0.5}, "a number of at least 1"),
        ({"threshold": 1.0}, "at least 0 and below 1"),
    ],
)
def test_ranges(options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Patience(**options)
