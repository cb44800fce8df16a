"""Errors that are the user's to mend: one clear sentence each, shown without a traceback."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["ConfigError", "DataError", "IbdropError", "Interrupted", "RunError", "TrainingError"]


class IbdropError(Exception):
    """Says what is wrong, where, and what would be right; the command line prints it and exits.

    Attributes:
        status: The exit status of the process; 2 is a mistake in what was asked for.
    """

    status = 2


class ConfigError(IbdropError):
    """All problems found in a configuration at once.

    Arguments:
        problems: One line each, `key: what is wrong; what would be right`.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RunError(IbdropError):
    """A folder is no run, a damaged one, or one that this version cannot read."""


class DataError(IbdropError):
    """Data are missing, damaged or cannot be fetched."""


class TrainingError(IbdropError):
    """Training cannot go on, for example because the loss is no longer a number."""

    status = 1


class Interrupted(IbdropError):
    """The run was stopped by a signal and can be resumed.

    Arguments:
        signal_number: 2 for SIGINT, 15 for SIGTERM; the exit status is 128 more.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        self.status = 128 + signal_number
        super().__init__(message)
