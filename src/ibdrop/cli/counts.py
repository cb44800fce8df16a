"""How numbers on the command line are read."""

from __future__ import annotations

import argparse

__all__ = ["count", "indices", "positive", "shares"]


def positive(text: str) -> int:
    """Reads a whole number above 0."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return value


def count(text: str) -> int:
    """Reads a whole number, 0 or above."""
    return 0 if text == "0" else positive(text)


def shares(text: str) -> list[float]:
    """Reads shares between 0 and 1, such as .05,.1."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = [0.0]
    if not all(0 < value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of shares above 0 and below 1")
    return values


def indices(text: str) -> list[int]:
    """Reads numbers of images, such as 3,17."""
    try:
        values = [int(part) for part in text.split(",")]
    except ValueError:
        values = [-1]
    if min(values) < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of image numbers such as 3,17")
    return values
