"""What can be wrong with the pictures of a folder, one sentence each."""

from __future__ import annotations

from collections import Counter

from ibdrop.data.naming import listed, shown
from ibdrop.data.pictures import Size
from ibdrop.data.survey import Album, Reader
from ibdrop.data.tree import Tree
from ibdrop.errors import DataError

__all__ = ["refuse"]

LARGEST = 512
"""The longest side in pixels of pictures that nobody gave a size."""


def refuse(tree: Tree, album: Album, reader: Reader, skip_unreadable: bool) -> None:
    """Says all that is wrong with the pictures at once.

    Arguments:
        tree: The folder.
        album: Its pictures and the files that are none.
        reader: How pictures become pixels.
        skip_unreadable: Whether to go on without files that cannot be read.

    Raises:
        DataError: Files cannot be read, or sizes or colours are not alike.
    """
    problems = []
    if album.flaws and not (skip_unreadable and album.pictures):
        problems.append(_flaws(tree, album))
    problems += [*_sizes(album, reader), *_colours(tree, album, reader)]
    if problems:
        raise DataError("\n".join(problems))


def _flaws(tree: Tree, album: Album) -> str:
    count, whole = len(album.flaws), len(album.flaws) + len(album.pictures)
    flaws = listed([f"{tree.place(file)} {flaw}" for file, flaw in album.flaws])
    if count == whole:
        return (
            f"none of the {count:,} files in {shown(tree.root)} can be read as pictures: {flaws}"
        )
    return (
        f"{count:,} of {whole:,} files in {shown(tree.root)} cannot be read as pictures: {flaws};"
        " mend or delete them, or set dataset.skip_unreadable=true to go on without them"
    )


def _sizes(album: Album, reader: Reader) -> list[str]:
    counts = Counter((one.look.height, one.look.width) for one in album.pictures)
    if reader.size is not None or not counts:
        return []
    if len(counts) == 1:
        return _large(*counts)
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    found = listed(
        [f"{h} x {w} in {count:,} file{'s' * (count > 1)}" for (h, w), count in order], 3
    )
    return [
        f"the pictures have {len(counts):,} sizes (height x width in pixels): {found};"
        " dataset.size=64 makes all of them 64 x 64"
    ]


def _large(size: Size) -> list[str]:
    height, width = size
    if max(size) <= LARGEST:
        return []
    return [
        f"the pictures are {height} x {width} pixels, which few networks and memories can take;"
        f" dataset.size=96 makes them 96 x 96, dataset.size=[{height},{width}] leaves them so"
    ]


def _colours(tree: Tree, album: Album, reader: Reader) -> list[str]:
    kinds = {
        word: [one for one in album.pictures if one.look.grey == grey]
        for word, grey in (("grey", True), ("coloured", False))
    }
    if reader.colour != "auto" or not all(kinds.values()):
        return []
    found = [
        f"{len(some):,} {word} (such as {tree.place(some[0].file)})"
        for word, some in kinds.items()
    ]
    return [
        f"grey and coloured pictures are mixed: {' and '.join(found)}; dataset.colour=colour"
        " makes all of them coloured, dataset.colour=grey all grey"
    ]
