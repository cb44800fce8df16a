from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
import torch

from ibdrop.data.base import Batch, ImageData
from ibdrop.data.canvases import ADVISED, CLUTTERS, Digits, cluttered
from ibdrop.data.clutter import ClutteredImages
from ibdrop.data.digits import cluttered_digits
from ibdrop.data.matched import MatchedImages
from ibdrop.data.mnist import cluttered_mnist
from ibdrop.data.views import VIEWS

KINDS: dict[str, dict[str, Any]] = {
    "fragments": {},
    "digits": {"clutter": "digits", "excluded": list(ADVISED), "canvas": 54},
    "scrambled": {"clutter": "scrambled", "canvas": 54},
}
INDEX = torch.arange(60)


def digest(data: ImageData) -> str:
    """Of 64 canvases of each split in two epochs, with all that is known of them."""
    found = hashlib.sha256()
    for split in (data.train, data.val, data.test):
        for epoch in (0, 3):
            batch = split.batch(torch.arange(64), epoch)
            for part in (batch.images, *batch[2:6]):
                assert part is not None
                found.update(part.numpy().tobytes())
    return found.hexdigest()[:16]


def parts(batch: Batch) -> list[torch.Tensor]:
    return [part.cpu() for part in batch if part is not None]


def test_canvases_are_for_ever_what_they_were() -> None:
    """Fragments as of version 0.1.0; the other kinds as they were first made."""
    assert digest(cluttered_digits(0)) == "dbba1659f82a766e"
    assert digest(cluttered_digits(7, canvas=33, distractors=3, border=2)) == "a8959b63c83afe56"
    assert digest(cluttered_digits(0, **KINDS["digits"])) == "e6aa7640c963b1e6"
    assert digest(cluttered_digits(0, **KINDS["scrambled"])) == "de3744322ce8066f"


def test_canvases_of_mnist_are_for_ever_what_they_were(mnist_root: str) -> None:
    assert digest(cluttered_mnist(0, root=mnist_root)) == "f5e512912a47ad9a"


def test_there_are_three_kinds_and_four_views() -> None:
    assert tuple(KINDS) == CLUTTERS
    assert VIEWS == ("whole", "without_target", "moved", "alone")


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_and_view_is_the_same_whatever_the_batch(kind: str, view: Any) -> None:
    data = cluttered_digits(1, view=view, **KINDS[kind])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    for split in (data.train, data.val):
        whole = parts(split.batch(INDEX, 2))
        for size in (1, 7, 60):
            pieces = [parts(split.batch(index, 2)) for index in order.split(size)]
            for one, others in zip(whole, zip(*pieces, strict=True), strict=True):
                assert torch.equal(one[order], torch.cat(others))


@pytest.mark.gpu
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_paints_the_same_bits(kind: str, view: Any) -> None:
    data = cluttered_digits(1, view=view, **KINDS[kind])
    index = torch.arange(5000)
    here = data.train.batch(index, 2)
    there = data.train.to(torch.device("cuda")).batch(index, 2)
    assert there.images.is_cuda
    for one, other in zip(parts(here), parts(there), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["digits", "scrambled"])
def test_without_overlap_views_add_up_to_the_bit(kind: str) -> None:
    views = {
        view: cluttered_digits(1, view=view, **KINDS[kind]).test.batch(INDEX)  # type: ignore[arg-type]
        for view in VIEWS
    }
    whole, without, moved, alone = (views[view].images.long() for view in VIEWS)
    assert torch.equal(whole, without + alone)
    assert torch.equal((moved - alone).clamp(min=0).sum((1, 2, 3)), without.sum((1, 2, 3)))
    assert bool((moved >= alone).all())


def test_excluded_classes_are_never_targets() -> None:
    for kind, extra in (("digits", {}), ("fragments", {"excluded": [3, 0]})):
        data = cluttered_digits(0, **KINDS[kind], **extra)
        kept = [
            name for name in "0123456789" if int(name) not in (extra or KINDS[kind])["excluded"]
        ]
        assert data.spec.classes == tuple(kept)
        assert sorted(set(data.train.batch(torch.arange(1000)).labels.tolist())) == list(
            range(len(kept))
        )


def test_distractors_are_digits_of_the_excluded_classes_and_of_the_split() -> None:
    whole = cluttered_digits(0)
    data = cluttered_digits(0, **KINDS["digits"])
    for split, source in (
        (data.train, whole.train),
        (data.val, whole.val),
        (data.test, whole.test),
    ):
        assert isinstance(split, MatchedImages)
        assert isinstance(source, ClutteredImages)
        out = torch.isin(source.labels, torch.tensor(ADVISED))
        beside = split.shelf[1 + len(split.digits) : -1, -16:, -16:]
        assert torch.equal(beside, source.digits[out])
        assert torch.equal(split.digits, source.digits[~out])


def test_rings_are_not_scrambled() -> None:
    whole, data = cluttered_digits(0).val, cluttered_digits(0, **KINDS["scrambled"]).val
    assert isinstance(whole, ClutteredImages)
    assert isinstance(data, MatchedImages)
    rest = whole.digits[whole.labels != 0]
    beside = data.shelf[1 + len(data.digits) : -1, -16:, -16:]
    assert len(beside) == 32 * len(rest)
    spread = rest.flatten(1).sort(1).values.repeat_interleave(32, 0)
    assert torch.equal(beside.flatten(1).sort(1).values, spread)
    assert sorted(set(data.batch(torch.arange(150)).labels.tolist())) == list(range(10))


def test_the_title_says_what_is_unusual() -> None:
    names = [
        cluttered_digits(0).name,
        cluttered_digits(0, view="without_target").name,
        cluttered_digits(0, view="moved", **KINDS["scrambled"]).name,
    ]
    assert names == [
        "cluttered digits",
        "cluttered digits (without target)",
        "cluttered digits (scrambled, moved)",
    ]


@pytest.mark.parametrize("kind", ["digits", "scrambled"])
def test_test_canvases_do_not_depend_on_the_seed(kind: str) -> None:
    one, other = (cluttered_digits(seed, **KINDS[kind]) for seed in (0, 1))
    assert torch.equal(one.test.batch(INDEX).images, other.test.batch(INDEX).images)
    assert not torch.equal(one.val.batch(INDEX).images, other.val.batch(INDEX).images)
    fresh, again = (one.train.batch(INDEX, epoch).images for epoch in (0, 1))
    assert not torch.equal(fresh, again)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"clutter": "noise"},
            "clutter is 'noise'; it must be one of fragments, digits, scrambled",
        ),
        ({"excluded": [10]}, "excluded names class 10; the classes are 0 to 9"),
        ({"excluded": [-1]}, "excluded names class -1; the classes are 0 to 9"),
        (
            {"excluded": list(range(9))},
            "excluded leaves 1 of the classes; at least 2 must be left",
        ),
        (
            {"clutter": "digits", "canvas": 54},
            "clutter=digits takes whole digits of classes that are never targets; name them, as"
            " in excluded=[0, 1, 6]",
        ),
        (
            {"clutter": "scrambled"},
            "8 distractors and the target, whole digits of 16 px, do not fit beside each other on"
            " a canvas of 40 px; make the canvas 48 px or larger, or take 3 distractors at most",
        ),
        (
            {"view": "gone"},
            "view is 'gone'; it must be one of whole, without_target, moved, alone",
        ),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        cluttered_digits(0, **change)


def test_a_split_without_targets_is_refused() -> None:
    nines = Digits(torch.zeros(4, 8, 8, dtype=torch.uint8), torch.full((4,), 9))
    options: dict[str, Any] = {"canvas": 20, "distractors": 1, "distractor_size": 3, "border": 0}
    with pytest.raises(ValueError, match="^a split has no digit of the classes that are left$"):
        cluttered(
            "nines", (nines,) * 3, seed=0, sizes=(1, 1, 1), redraw=False, excluded=[9], **options
        )
