"""What one call of `ibdrop train` remembers between its start, Hydra's callbacks and its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Failure", "Session", "Stop", "current"]


class Stop(BaseException):
    """Carries an error past Hydra, which turns ordinary ones in callbacks into warnings.

    Arguments:
        error: What the command line shall report in its place.
    """

    def __init__(self, error: BaseException) -> None:
        self.error = error
        super().__init__(str(error))


@dataclass(frozen=True)
class Failure:
    """A job of a sweep that failed."""

    folder: Path
    error: Exception


@dataclass
class Session:
    """One call of `ibdrop train`; empty in the worker processes of a launcher.

    Attributes:
        command: The command line, word by word.
        started: Whether composing is over, so that later errors are no mistakes in the config.
        claimed: The run folder that this call has made.
        sweep: The folder of the sweep.
        jobs: The number of jobs of the sweep; 0 where the sweeper decides as it goes.
        failures: The jobs that failed so far.
    """

    command: list[str] = field(default_factory=lambda: ["ibdrop", "train"])
    started: bool = False
    claimed: Path | None = None
    sweep: Path | None = None
    jobs: int = 0
    failures: list[Failure] = field(default_factory=list)


_current = Session()


def current(command: list[str] | None = None) -> Session:
    """The session of this process; a new one if a command is given."""
    global _current
    if command is not None:
        _current = Session(command)
    return _current
