"""Signals that ask a run to stop are answered between two steps, after saving."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from ibdrop.errors import Interrupted

__all__ = ["Interruption"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Notes SIGINT and SIGTERM while its block runs; a second one acts at once.

    Example:
        >>> with Interruption() as interruption:
        ...     interruption.check()
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self.before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def take_over(self) -> None:
        """Puts our handlers back in place of those that Lightning sets up as it starts.

        Lightning answers SIGTERM wherever it is, without saving, and with exit status 0.
        """
        for number in self.before:
            signal.signal(number, self._note)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise Interrupted("stopped at once by a second signal", number)
        self.received = number

    def check(self) -> None:
        """Stops here if a signal has come.

        Raises:
            Interrupted: SIGINT or SIGTERM was received.
        """
        if self.received is not None:
            name = signal.Signals(self.received).name
            raise Interrupted(f"stopped by {name}", self.received)
