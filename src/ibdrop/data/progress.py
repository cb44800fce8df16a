"""How long reading takes, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["Watch", "track", "watched"]

Watch = Callable[[str, int, int], None]
"""Told what is being read, how much of it is done, and how much there is."""

_watch: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watched(watch: Watch) -> Iterator[None]:
    """Tells `watch` about all reading meanwhile."""
    token = _watch.set(watch)
    try:
        yield
    finally:
        _watch.reset(token)


def track(what: str, total: int) -> Callable[[int], None]:
    """Announces a long piece of work.

    Arguments:
        what: What is done, such as `reading pictures`.
        total: How much there is to do.

    Returns:
        To be called with how much more is done, from the thread that called `track`.
    """
    watch = _watch.get()
    done = 0

    def advance(more: int) -> None:
        nonlocal done
        done += more
        if watch is not None:
            watch(what, done, total)

    advance(0)
    return advance
