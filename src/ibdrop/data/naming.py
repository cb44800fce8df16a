"""Names of files: their natural order, and how they are shown."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

__all__ = ["listed", "natural", "shown", "tally"]


def natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """A key that sorts picture2 before picture10, and capitals beside small letters."""
    words = re.split(r"(\d+)", unicodedata.normalize("NFC", name))
    order = [(0, int(word)) if word.isdecimal() else (1, word.casefold()) for word in words]
    return (*order, (2, name))


def shown(path: str | Path) -> str:
    """A path that can be printed, whatever bytes are in it."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def listed(things: Sequence[str], most: int = 5) -> str:
    """The first few of many, and how many more there are."""
    more = f" and {len(things) - most:,} more" if len(things) > most else ""
    return f"{', '.join(things[:most])}{more}"


def tally(counts: Counter[str]) -> str:
    """How many there are of each kind, the most first."""
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return listed([f"{count:,} {kind}" for kind, count in order])
