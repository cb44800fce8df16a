"""Signals are noted, and answered when asked."""

from __future__ import annotations

import os
import signal

import pytest

from ibdrop.errors import Interrupted
from ibdrop.learning.interrupt import Interruption


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_waits_for_the_check(number: signal.Signals, status: int) -> None:
    before = signal.getsignal(number)
    with Interruption() as interruption:
        interruption.check()
        os.kill(os.getpid(), number)
        with pytest.raises(Interrupted, match=f"stopped by {number.name}") as caught:
            interruption.check()
    assert caught.value.status == status
    assert signal.getsignal(number) is before


def test_a_second_signal_acts_at_once() -> None:
    with Interruption():
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted, match="at once"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_it_takes_signals_back_from_others() -> None:
    """Lightning installs a handler of its own, under which a run would end with status 0."""
    with Interruption() as interruption:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        interruption.take_over()
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Interrupted):
            interruption.check()
