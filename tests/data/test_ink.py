from __future__ import annotations

import torch

from ibdrop.data.digits import cluttered_digits
from ibdrop.data.ink import WINDOW, Matches, ink, tight_boxes
from ibdrop.data.matched import MatchedImages


def test_ink_is_the_sum_of_greys() -> None:
    digits = torch.full((3, 28, 28), 255, dtype=torch.uint8)
    digits[1] = 0
    assert ink(digits).tolist() == [255 * 784, 0, 255 * 784]


def test_neighbours_in_rank_are_drawn() -> None:
    things = torch.arange(100).flip(0) * 10
    matches = Matches.of(torch.tensor([495, 0, 990]), things, 1)
    assert matches.window == WINDOW == 16
    target = torch.arange(3).repeat_interleave(32)
    choice = torch.cat((torch.arange(32).repeat(3)[:, None], torch.arange(32).expand(96, -1)), 1)
    drawn = things[matches.drawn(target, choice)]
    for begin, low, high in ((0, 340, 650), (32, 0, 150), (64, 830, 990)):
        part = drawn[begin : begin + 32]
        assert int(part.min()) == low
        assert int(part.max()) == high
        assert int((part.amax(1) - part.amin(1)).max()) == 150


def test_the_target_is_as_likely_as_any_to_have_the_most_ink() -> None:
    things = torch.arange(1000) * 2
    matches = Matches.of(things + 1, things, 1)
    random = torch.Generator().manual_seed(0)
    target = torch.randint(50, 950, (40_000,), generator=random)
    for distractors in (1, 3, 8):
        choice = torch.randint(32, (40_000, 1 + distractors), generator=random)
        beside, own = things[matches.drawn(target, choice)], (target * 2 + 1)[:, None]
        for share in ((own > beside).all(1), (own < beside).all(1)):
            assert abs(float(share.double().mean()) - 1 / (1 + distractors)) < 0.01


def test_several_things_of_one_digit_widen_the_window() -> None:
    things = torch.arange(100).repeat_interleave(4)
    assert Matches.of(torch.tensor([50]), things, 4).window == 64
    few = Matches.of(torch.tensor([50]), things[:10], 4)
    assert few.window == 2
    drawn = few.drawn(torch.zeros(1, dtype=torch.int64), torch.arange(4)[None])
    assert drawn.tolist() == [[8, 9, 9]]
    tied = Matches.of(torch.tensor([0, 50, 99]), things, 4)
    assert tied.rank.tolist() == [2, 202, 398]


def test_ink_is_matched_within_a_few_per_cent() -> None:
    """The embedded digits are the hardest case: 150 for validation."""
    for clutter, excluded, most in (("scrambled", (), 0.025), ("digits", (0, 1, 6), 0.045)):
        data = cluttered_digits(0, canvas=54, clutter=clutter, excluded=excluded)  # type: ignore[arg-type]
        for split in (data.train, data.val, data.test):
            assert isinstance(split, MatchedImages)
            crowd = split.layout(torch.arange(1000))
            amount = ink(split.shelf[1:-1])[crowd.tile].double()
            apart = (amount[:, 1:] / amount[:, :1] - 1).abs()
            assert float(apart.mean()) < most
            ratio = float(amount[:, 1:].mean() / amount[:, 0].mean())
            assert abs(ratio - 1) < 0.01


def test_boxes_are_tight() -> None:
    strokes = torch.zeros(2, 5, 7, dtype=torch.bool)
    strokes[0, 1, 2] = strokes[0, 3, 5] = True
    assert tight_boxes(strokes).tolist() == [[1, 2, 4, 6], [0, 0, 0, 0]]
