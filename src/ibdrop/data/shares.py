"""Parts of the pictures of each class: the test by their names alone, validation by seed."""

from __future__ import annotations

from collections.abc import Sequence

from ibdrop.data.naming import natural
from ibdrop.data.survey import Picture
from ibdrop.seeds import key

__all__ = ["cut_test", "cut_val", "mixed"]

Cut = tuple[list[Picture], list[Picture]]
"""The pictures that stay, and those that are cut off."""


def cut_test(pictures: Sequence[Picture], share: float, rest: int) -> Cut:
    """Cuts off the pictures for the test.

    Each name gives a number from 0 to 1, always the same, and those below `share` are for the
    test: one more picture moves no other, now or later. A class so small that it would have none
    for the test, or less than `rest` for the rest, gives as many as it can.

    Arguments:
        pictures: All pictures, more than `rest` of each class.
        share: The share of the test, in (0, 1).
        rest: The number of pictures of each class that must stay.
    """
    stay: list[Picture] = []
    cut: list[Picture] = []
    for group in _by_class(pictures):
        places = {
            picture.file.name: key("image_folder", "test", picture.file.name) for picture in group
        }
        order = sorted(group, key=lambda picture: places[picture.file.name])
        below = sum(place < share * 2**63 for place in places.values())
        count = min(max(below, 1), len(group) - rest)
        cut += order[:count]
        stay += order[count:]
    return stay, cut


def cut_val(pictures: Sequence[Picture], share: float, seed: int) -> Cut:
    """Cuts off the same share of every class for validation, chosen by `seed`.

    Arguments:
        pictures: The pictures not for the test, at least two of each class.
        share: The share of validation, in (0, 1).
        seed: Chooses the pictures.
    """
    stay: list[Picture] = []
    cut: list[Picture] = []
    for group in _by_class(pictures):
        order = sorted(group, key=lambda one: key(seed, "image_folder", "val", one.file.name))
        count = min(max(round(share * len(group)), 1), len(group) - 1)
        cut += order[:count]
        stay += order[count:]
    return stay, cut


def mixed(pictures: Sequence[Picture]) -> list[Picture]:
    """Every class in natural order, spread evenly, so that a few pictures show all classes."""
    places = []
    for group in _by_class(pictures):
        order = sorted(group, key=lambda picture: natural(picture.file.name))
        places += [((i + 0.5) / len(order), picture) for i, picture in enumerate(order)]
    places.sort(key=lambda place: (place[0], place[1].file.label))
    return [picture for _, picture in places]


def _by_class(pictures: Sequence[Picture]) -> list[list[Picture]]:
    groups: dict[int, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(picture.file.label, []).append(picture)
    return [groups[label] for label in sorted(groups)]
