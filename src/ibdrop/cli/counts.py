"""How numbers on the command line are read."""

from __future__ import annotations

import argparse

__all__ = ["indices", "positive"]


def positive(text: str) -> int:
    """Reads a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return value


def indices(text: str) -> list[int]:
    """Reads numbers of images, such as 3,17."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [-1]
    if min(values) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of image numbers such as 3,17")
    return values
