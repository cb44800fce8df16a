"""The pictures of a run or a sweep, in the order in which a reader wants them."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ibdrop.runs.captions import KNOWN, OOD, PLAIN

__all__ = ["Picture", "find_pictures", "numbers", "places"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp")
NUMBERS = (".csv", ".npz", ".json", ".txt")

OTHER = "Other pictures"


@dataclass(frozen=True)
class Picture:
    """A picture with its place in the report.

    Attributes:
        path: The file.
        name: Its name within the artifacts.
        section: The heading under which it belongs.
        title: What it is.
        caption: How to read it, in a sentence or two; empty if we cannot know.
        link: The path from the report.
    """

    path: Path
    name: str
    section: str
    title: str
    caption: str
    link: str

    @property
    def inlined(self) -> str:
        """The picture itself as a `data:` address."""
        kind = mimetypes.guess_type(self.path.name)[0] or "image/png"
        return f"data:{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def places(folder: Path) -> list[Path]:
    """Where the numbers and pictures of a run or a sweep lie: artifacts, then evaluations."""
    others = [*folder.glob("evaluations/*/"), *folder.glob("ensemble_*_members*/")]
    return [folder / "artifacts", *(place for place in sorted(others) if not _hidden(place))]


def find_pictures(folder: Path) -> list[Picture]:
    """All pictures of a run or a sweep: known ones in order, then a user's own by name."""
    found = [file for place in places(folder) for file in sorted(place.rglob("*"))]
    files = [file for file in found if file.suffix.lower() in SUFFIXES and not _hidden(file)]
    artifacts = folder / "artifacts"
    ranked = sorted(
        (_rank(file, artifacts), artifacts not in file.parents, file) for file in files
    )
    return [_picture(file, rank, folder) for rank, _, file in ranked]


def numbers(folder: Path) -> list[str]:
    """The files of numbers below `folder`, its runs left out, as paths from `folder`."""
    found = [
        *folder.glob("*.csv"),
        *(file for place in places(folder) for file in place.rglob("*")),
    ]
    files = [file for file in found if file.suffix in NUMBERS and not _hidden(file)]
    return sorted(file.relative_to(folder).as_posix() for file in files)


def _rank(file: Path, artifacts: Path) -> int:
    """The place of what is known of a picture: by its own folder, else by its name."""
    names = [file.parent.name.lower()] if artifacts in file.parent.parents else []
    for name in (*names, file.stem.lower()):
        fitting = [rank for rank, known in enumerate(KNOWN) if _fits(known[0], name)]
        if fitting:
            return max(fitting, key=lambda rank: len(KNOWN[rank][0]))
    return len(KNOWN)


def _fits(part: str, name: str) -> bool:
    """Whether a picture is meant; three letters alone would be found in many a name."""
    return part == name if part == OOD else part in name


def _picture(file: Path, rank: int, folder: Path) -> Picture:
    artifacts = folder / "artifacts"
    own = artifacts in file.parents
    name = file.relative_to(artifacts if own else folder).as_posix()
    link = quote(file.relative_to(folder).as_posix())
    words = file.stem.replace("_", " ").replace("-", " ")
    if rank == len(KNOWN):
        return Picture(file, name, OTHER, words, "", link)
    _, section, title, caption = KNOWN[rank]
    said = () if own and "/" in name else PLAIN
    detail = " ".join(word for word in words.split() if word.lower() not in said)
    if not own:
        detail = f"{file.parent.name} {detail}".rstrip()
    return Picture(file, name, section, f"{title}: {detail}" if detail else title, caption, link)


def _hidden(file: Path) -> bool:
    return file.name.startswith(".")
