"""What is said in the terminal is what was meant."""

from __future__ import annotations

import pytest

from ibdrop.data.progress import track
from ibdrop.errors import DataError
from ibdrop.learning.classification import Classification
from ibdrop.learning.loader import Position
from ibdrop.learning.progress import TrainingProgress, reading, say


def test_brackets_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    say("repeat  ibdrop train 'loggers=[csv,tensorboard]'", style="yellow")
    assert "'loggers=[csv,tensorboard]'" in capsys.readouterr().err


@pytest.mark.parametrize(("nats", "words"), [(12_345.6, "KL 12,346 nats"), (0.0123, "KL 0.0123")])
def test_a_line_per_epoch(capsys: pytest.CaptureFixture[str], nats: float, words: str) -> None:
    progress = TrainingProgress(Position(), epochs=3, steps=10, shown=False)
    row = {"epoch": 2, "train_ce": 0.5, "val_ce": 0.25, "val_accuracy": 0.9, "val_kl": nats}
    progress.show(row, Classification().words(row | {"kl/D0": nats}))
    said = capsys.readouterr().err
    assert "epoch   2/3  train CE 0.5000  val CE 0.2500  val error 10.00 %" in said
    assert words in said


def test_no_kl_without_a_noise_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    progress = TrainingProgress(Position(), epochs=3, steps=10, shown=False)
    row = {"epoch": 1, "train_ce": 0.5, "val_ce": 0.25, "val_accuracy": 0.9, "val_kl": 0}
    progress.show(row, Classification().words(row))
    assert "KL" not in capsys.readouterr().err


def read_slowly(seconds: list[float], *, shown: bool = True) -> None:
    with reading(shown=shown):
        advance = track("reading pictures", 4)
        for _ in range(4):
            seconds[0] += 0.6
            advance(1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr("ibdrop.learning.progress.time.monotonic", lambda: seconds[0])
    return seconds


def test_long_reading_is_shown(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    read_slowly(clock)
    said = capsys.readouterr().err
    assert "reading pictures" in said
    assert "4/4" in said


def test_short_reading_is_not(capsys: pytest.CaptureFixture[str], clock: list[float]) -> None:
    with reading():
        track("reading pictures", 4)(4)
    read_slowly(clock, shown=False)
    assert capsys.readouterr().err == ""


def read_in_vain(seconds: list[float]) -> None:
    with reading():
        advance = track("reading pictures", 4)
        seconds[0] += 2
        advance(1)
        raise DataError("gone")


def test_a_bar_ends_with_an_error(clock: list[float]) -> None:
    with pytest.raises(DataError, match="gone"):
        read_in_vain(clock)
    track("reading pictures", 4)(4)
