from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from ibdrop.data.pictures import Look
from ibdrop.data.shares import cut_test, cut_val, mixed
from ibdrop.data.survey import Picture
from ibdrop.data.tree import File

LOOK = Look(True, 1, 1, "PNG", (0, 0))


def pictures(*counts: int) -> list[Picture]:
    """So many pictures of each class."""
    return [
        Picture(File("", label, f"{label}/{number}.png"), LOOK)
        for label, count in enumerate(counts)
        for number in range(count)
    ]


def names(some: Iterable[Picture]) -> set[str]:
    return {picture.file.name for picture in some}


def test_one_more_picture_moves_no_other_to_or_from_the_test() -> None:
    stay, cut = (names(part) for part in cut_test(pictures(40, 50), 0.2, 2))
    later_stay, later_cut = (names(part) for part in cut_test(pictures(90, 50, 20), 0.2, 2))
    assert stay < later_stay
    assert cut < later_cut
    assert not stay & cut


def test_the_shares_are_those_asked_for_in_every_class() -> None:
    stay, cut = cut_test(pictures(2000, 500), 0.3, 2)
    train, val = cut_val(stay, 0.25, seed=0)
    assert len(names([*train, *val, *cut])) == 2500
    of = [Counter(picture.file.label for picture in part) for part in (train, val, cut)]
    for label, count in enumerate((2000, 500)):
        assert abs(of[2][label] - 0.3 * count) < 4 * (0.3 * 0.7 * count) ** 0.5
        assert of[1][label] == round(0.25 * (count - of[2][label]))


def test_the_seed_chooses_validation() -> None:
    one, again, other = (names(cut_val(pictures(30), 0.3, seed)[1]) for seed in (0, 0, 1))
    assert one == again != other


def test_the_order_of_the_pictures_does_not_matter() -> None:
    given = pictures(30, 20)
    back = given[::-1]
    for one, other in zip(cut_test(given, 0.2, 2), cut_test(back, 0.2, 2), strict=True):
        assert names(one) == names(other)
    for one, other in zip(cut_val(given, 0.3, 0), cut_val(back, 0.3, 0), strict=True):
        assert names(one) == names(other)


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
@pytest.mark.parametrize(("count", "rest"), [(3, 2), (4, 2), (2, 1)])
def test_small_classes_have_a_picture_for_each_part(count: int, rest: int, share: float) -> None:
    stay, cut = cut_test(pictures(count, count), share, rest)
    assert {picture.file.label for picture in cut} == {0, 1}
    assert all(number >= rest for number in Counter(one.file.label for one in stay).values())
    for part in cut_val(pictures(count), share, 0):
        assert part


def test_any_few_pictures_show_all_classes_in_natural_order() -> None:
    order = [picture.file.name for picture in mixed(pictures(12, 6)[::-1])]
    assert order[:6] == ["0/0.png", "1/0.png", "0/1.png", "0/2.png", "1/1.png", "0/3.png"]
    assert [name for name in order if name.startswith("0")] == [f"0/{i}.png" for i in range(12)]
