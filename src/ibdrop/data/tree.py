"""Finds a user's pictures: class folders, and parts such as train and test if there are any."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ibdrop.data.naming import listed, natural, shown, tally
from ibdrop.errors import DataError

__all__ = ["ENDINGS", "File", "Tree", "find"]

ENDINGS = frozenset(
    f".{ending}"
    for ending in ("bmp", "gif", "jfif", "jpe", "jpeg", "jpg", "png", "tif", "tiff", "webp")
    + ("pbm", "pgm", "pnm", "ppm")
)
"""What the name of a picture ends in, whatever the case."""

PARTS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
"""Names of folders that hold a part of the data, and which part."""

WANTED = "dataset.root=DIR names the folder of your pictures, with one folder per class inside"


class File(NamedTuple):
    """A file that is a picture by its name.

    Attributes:
        path: Where it is.
        label: The number of its class.
        name: Class and path inside the class folder, alike on all systems.
    """

    path: str
    label: int
    name: str


@dataclass
class Tree:
    """What a folder holds.

    Attributes:
        root: The folder.
        classes: The names of the class folders, in natural order.
        parts: The files of train, val and test, as far as the folder has them; only train where
            the class folders lie directly in it.
        left_out: How many files were left out, by kind.
    """

    root: Path
    classes: tuple[str, ...]
    parts: dict[str, list[File]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def place(self, file: File) -> str:
        """Where a file is inside the folder, for messages."""
        return shown(Path(file.path).relative_to(self.root))


def find(root: Path) -> Tree:
    """Finds all pictures in the class folders of a folder or of its parts.

    Pictures may lie deeper inside a class folder. Class folders and files may be links; links to
    folders further down are not followed. Names that begin with a dot are left out.

    Raises:
        DataError: There is no such folder, its class folders are missing, alone, empty or not
            alike in all parts, or it holds folders that fit no such order.
    """
    if not root.exists():
        raise DataError(f"there is no folder {shown(root)}; {WANTED}")
    if not root.is_dir():
        raise DataError(f"{shown(root)} is a file and no folder; {WANTED}")
    left_out: Counter[str] = Counter()
    places = _parts(root)
    names = {
        where.name: [_known_as(place.name) for place in _classes(where)]
        for where in places.values()
    }
    _compare(root, names)
    tree = Tree(root, tuple(names[places["train"].name]), left_out=left_out)
    for part, where in places.items():
        tree.parts[part] = list(_files(where, left_out))
    _refuse_empty(tree, places)
    return tree


def _parts(root: Path) -> dict[str, Path]:
    """The folders of the parts; the folder itself is train where it has none."""
    folders = _folders(root)
    parts = [place for place in folders if place.name.lower() in PARTS]
    others = [place for place in folders if place not in parts]
    found: dict[str, Path] = {}
    for place in parts:
        part = PARTS[place.name.lower()]
        if part in found:
            both = f"{found[part].name} and {place.name}"
            raise DataError(f"{shown(root)} holds both {both}; keep one of them")
        found[part] = place
    if "train" not in found or (others and not _folders(found["train"])):
        if found and not others:
            given = " and ".join(place.name for place in found.values())
            raise DataError(f"{shown(root)} holds {given} and no train; add a folder train")
        return {"train": root}
    strange = [place.name for place in others if any(_pictures(place, "", Counter()))]
    if strange:
        raise DataError(
            f"{shown(root)} is divided into {' and '.join(place.name for place in parts)}, but"
            f" also holds pictures in {listed(strange)}; move them elsewhere"
        )
    return {part: found[part] for part in ("train", "val", "test") if part in found}


def _classes(where: Path) -> list[Path]:
    folders = _folders(where)
    if folders:
        return folders
    count = sum(_is_picture(entry.name) for entry in _entries(where))
    held = f"{count:,} pictures and no class folders" if count else "no class folders"
    raise DataError(
        f"{shown(where)} holds {held}; put the pictures of each class into a folder with its name"
    )


def _compare(root: Path, names: dict[str, list[str]]) -> None:
    """Makes sure that there are classes to tell apart, the same in every part."""
    every = sorted({name for part in names.values() for name in part}, key=natural)
    lacking = [
        f"{part} lacks {listed([name for name in every if name not in there])}"
        for part, there in names.items()
        if len(there) < len(every)
    ]
    if lacking:
        raise DataError(
            f"the class folders in {shown(root)} differ: {'; '.join(lacking)};"
            " give every part the same classes"
        )
    if len(every) == 1:
        inside = root / every[0]
        deeper = len(names) == 1 and inside.is_dir() and len(_folders(inside)) > 1
        hint = f"; did you mean dataset.root={shown(inside)}?" if deeper else ""
        raise DataError(
            f"{shown(root)} holds one class only ({every[0]}), and a classifier needs two"
            f" or more to tell apart{hint}"
        )


def _files(where: Path, left_out: Counter[str]) -> Iterator[File]:
    for entry in _entries(where):
        if entry.name.startswith("."):
            left_out["hidden"] += 1
        elif not _is_folder(entry):
            left_out["outside the class folders"] += 1
    for label, place in enumerate(_folders(where)):
        for path, name in _pictures(place, place.name, left_out):
            yield File(path, label, _known_as(name))


def _pictures(
    folder: Path | str, prefix: str, left_out: Counter[str]
) -> Iterator[tuple[str, str]]:
    """Path and name of every picture in a folder, in natural order."""
    for entry in _entries(folder):
        name = f"{prefix}/{entry.name}"
        if entry.name.startswith("."):
            left_out["hidden"] += 1
        elif _is_folder(entry):
            if entry.is_symlink():
                left_out["linked folders"] += 1
            else:
                yield from _pictures(entry.path, name, left_out)
        elif _is_picture(entry.name):
            yield entry.path, name
        else:
            left_out[os.path.splitext(entry.name)[1].lower() or "without an ending"] += 1


def _refuse_empty(tree: Tree, places: dict[str, Path]) -> None:
    empty = []
    for part, files in tree.parts.items():
        filled = {file.label for file in files}
        bare = [name for label, name in enumerate(tree.classes) if label not in filled]
        whole = len(bare) == len(tree.classes) and len(places) > 1
        empty += [places[part]] if whole else [places[part] / name for name in bare]
    if empty:
        others = f" (other files: {tally(tree.left_out)})" if tree.left_out else ""
        raise DataError(
            f"no pictures in {listed([shown(place) for place in empty])}{others}; fill or delete"
            " every empty folder"
        )


def _folders(folder: Path) -> list[Path]:
    """The folders that are not hidden, in natural order."""
    return [
        Path(entry.path)
        for entry in _entries(folder)
        if _is_folder(entry) and not entry.name.startswith((".", "__MACOSX"))
    ]


def _entries(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: natural(entry.name))
    except OSError as error:
        raise DataError(f"{shown(folder)} cannot be listed: {error.strerror}") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, for example.
        return False


def _is_picture(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in ENDINGS and not name.startswith(".")


def _known_as(name: str) -> str:
    """A name as it is on all systems; some take accents apart."""
    return unicodedata.normalize("NFC", shown(name))
