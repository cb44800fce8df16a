"""Crop, flip and shift as one map, against numpy and torch's own sampler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.base import Batch
from ibdrop.data.framing import STEPS, Frame, interpolated, nearest, reframed

HEIGHT, WIDTH, COUNT, SHIFT = 20, 26, 60, 6
ALL = torch.arange(COUNT)
Frames = tuple[Frame, Frame]


def drawn(
    *, shift: bool = False, flip: bool = False, crop: float = 1.0, seed: int = 0
) -> tuple[Frame, Frame]:
    """Frames of random crops, sides and shifts."""
    random = torch.Generator().manual_seed(seed)

    def up_to(limit: int | Tensor) -> Tensor:
        return (torch.rand(COUNT, generator=random).double() * (limit + 1)).long()

    frames = []
    for side, mirrored in ((HEIGHT, False), (WIDTH, flip)):
        share = STEPS - up_to(int((1 - crop) * STEPS))
        start = up_to((STEPS - share) * side)
        way = up_to(2 * SHIFT) - SHIFT if shift else torch.zeros_like(share)
        frames.append(Frame(start, share, up_to(int(mirrored)).bool(), way))
    return frames[0], frames[1]


def batch() -> Batch:
    """Random colour images with random strokes, boxes and corners of distractors."""
    random = torch.Generator().manual_seed(3)
    images = torch.randint(0, 256, (COUNT, 3, HEIGHT, WIDTH), generator=random).byte()
    masks = torch.rand(COUNT, HEIGHT, WIDTH, generator=random) < 0.02
    first = torch.randint(0, 8, (COUNT, 2), generator=random)
    boxes = torch.cat((first, first + torch.tensor([7, 9])), 1)
    points = torch.randint(0, HEIGHT, (COUNT, 4, 2), generator=random)
    return Batch(ALL, images, ALL % 3, boxes, masks, points, ALL % 5)


def filled(boxes: Tensor) -> Tensor:
    """Masks of whole boxes."""
    rows, columns = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)
    top, left, bottom, right = boxes[:, :, None, None].unbind(1)
    return (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)


KINDS: dict[str, Callable[[], Frames]] = {
    "shift": lambda: drawn(shift=True),
    "flip": lambda: drawn(flip=True),
    "crop": lambda: drawn(crop=0.5),
    "all": lambda: drawn(shift=True, flip=True, crop=0.5),
}


@pytest.mark.parametrize("mirror", [False, True])
def test_shift_and_flip(mirror: bool) -> None:
    """Numpy pads by more than the shift and cuts out what is then in the image's place."""
    upright, across = drawn(shift=True, flip=True)
    plain = batch()
    found = reframed(plain, upright, across, mirror=mirror, smooth=False)
    masks = found.masks
    assert plain.masks is not None
    assert masks is not None
    for i in range(COUNT):
        down, right = int(upright.shift[i]), int(across.shift[i])
        for old, new in ((plain.images, found.images), (plain.masks[:, None], masks[:, None])):
            pixels = old[i].numpy()[:, :, :: -1 if across.mirrored[i] else 1]
            reflected = mirror and old is plain.images  # No strokes are known in the mirror.
            assert np.array_equal(new[i].numpy(), shifted(pixels, down, right, reflected))
    assert torch.equal(found.labels, plain.labels)
    assert found.nuisance is plain.nuisance


def shifted(
    pixels: NDArray[np.generic], down: int, right: int, mirror: bool
) -> NDArray[np.generic]:
    _, height, width = pixels.shape
    around = ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT))
    wide = np.pad(pixels, around, mode="reflect") if mirror else np.pad(pixels, around)
    top, left = SHIFT - down, SHIFT - right
    return wide[:, top : top + height, left : left + width]


def test_a_crop_is_a_bilinear_enlargement() -> None:
    """The other way: torch's sampler in float64, at places of half a step's precision."""
    frames, plain = drawn(crop=0.4, flip=True), batch()
    places = []
    for frame, side in zip(frames, (HEIGHT, WIDTH), strict=True):
        share, start = frame.share.double() / STEPS, frame.start.double() / STEPS
        assert ((start + share * side) <= side).all()
        middle = start[:, None] + share[:, None] * (torch.arange(side) + 0.5)
        middle = torch.where(frame.mirrored[:, None], middle.flip(1), middle)
        places.append(middle / side * 2 - 1)
    y, x = places[0][:, :, None].expand(-1, -1, WIDTH), places[1][:, None].expand(-1, HEIGHT, -1)
    want = F.grid_sample(
        plain.images.double(),
        torch.stack((x, y), -1),
        padding_mode="border",
        align_corners=False,
    )
    found = reframed(plain, *frames, mirror=True, smooth=True).images
    assert (found - want).abs().max() <= 0.5 + 255 / STEPS


def test_weights_that_are_whole_take_pixels_as_they_are() -> None:
    upright, across = drawn(shift=True, flip=True)
    plain = batch()
    rows, columns = upright.source(HEIGHT, False), across.source(WIDTH, False)
    want = nearest(plain.images, rows, columns)
    assert torch.equal(interpolated(plain.images, rows, columns), want)


@pytest.mark.parametrize("shade", [0, 1, 128, 254, 255])
def test_an_even_image_stays_even(shade: int) -> None:
    plain = batch()
    plain = plain._replace(images=torch.full_like(plain.images, shade))
    found = reframed(plain, *drawn(crop=0.3, shift=True), mirror=True, smooth=True).images
    assert (found == shade).all()


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("kind", KINDS)
class TestBoxes:
    def test_are_tight_around_the_moved_strokes(self, kind: str, mirror: bool) -> None:
        found = reframed(batch(), *KINDS[kind](), mirror=mirror, smooth=kind == "crop")
        assert found.masks is not None
        assert found.boxes is not None
        for mask, box in zip(found.masks.numpy(), found.boxes.tolist(), strict=True):
            assert box == tight(mask)

    def test_move_like_filled_ones_where_there_are_no_strokes(
        self, kind: str, mirror: bool
    ) -> None:
        plain, options = batch(), dict[str, Any](mirror=mirror, smooth=False)
        assert plain.boxes is not None
        strokes = plain._replace(masks=filled(plain.boxes))
        found = reframed(plain._replace(masks=None), *KINDS[kind](), **options)
        want = reframed(strokes, *KINDS[kind](), **options)
        assert found.masks is None
        assert found.boxes is not None
        assert want.boxes is not None
        assert torch.equal(found.boxes, want.boxes)


def tight(mask: NDArray[np.bool_]) -> list[int]:
    places = np.argwhere(mask)
    if not len(places):
        return [0, 0, 0, 0]
    (top, left), (bottom, right) = places.min(0), places.max(0) + 1
    return [int(side) for side in (top, left, bottom, right)]


def test_a_target_that_left_the_image_has_no_box() -> None:
    upright, across = drawn(shift=True)
    corner = torch.tensor([[0, 0, 2, 2]]).expand(COUNT, 4)
    plain = batch()._replace(boxes=corner, masks=None)
    boxes = reframed(plain, upright, across, mirror=False, smooth=False).boxes
    gone = (upright.shift <= -2) | (across.shift <= -2)
    assert boxes is not None
    assert 5 < gone.sum() < COUNT - 5
    assert (boxes[gone] == 0).all()
    kept = boxes[~gone]
    assert ((kept[:, 2] > kept[:, 0]) & (kept[:, 3] > kept[:, 1])).all()
    assert (kept >= 0).all()


def test_what_is_not_known_stays_unknown() -> None:
    plain = Batch(ALL, batch().images, ALL % 3)
    found = reframed(plain, *KINDS["all"](), mirror=False, smooth=True)
    assert found.boxes is found.masks is found.distractors is found.nuisance is None


@pytest.mark.parametrize("kind", ["shift", "flip", "crop"])
def test_distractors_follow_the_pixel_at_their_corner(kind: str) -> None:
    """A lone lit pixel at the corner is found where the corner is said to be."""
    plain = batch()
    assert plain.distractors is not None
    masks = torch.zeros(COUNT, HEIGHT, WIDTH, dtype=torch.bool)
    masks[ALL, plain.distractors[:, 0, 0], plain.distractors[:, 0, 1]] = True
    found = reframed(plain._replace(masks=masks), *KINDS[kind](), mirror=False, smooth=False)
    assert found.masks is not None
    assert found.distractors is not None
    assert found.distractors.shape == plain.distractors.shape
    seen = 0
    for mask, (y, x) in zip(found.masks, found.distractors[:, 0].tolist(), strict=True):
        inside = 0 <= y < HEIGHT and 0 <= x < WIDTH
        # Of an enlarged pixel at the edge, half may be left without its middle.
        near = -2 <= y < HEIGHT + 2 and -2 <= x < WIDTH + 2
        assert mask[y, x] if inside else near or not mask.any()
        seen += inside
    assert seen >= COUNT // 4


def test_a_crop_moves_corners_as_the_picture() -> None:
    """Pixel 7 of 20, in a crop of one half from 5: 2.5 old pixels from the edge, so 5 new ones."""
    half, nothing = torch.tensor([STEPS // 2]), torch.tensor([0])
    frame = Frame(torch.tensor([5 * STEPS]), half, nothing.bool(), nothing)
    assert frame.moved(torch.tensor([[7]]), 20).tolist() == [[5]]
    mirrored = frame._replace(mirrored=torch.tensor([True]), shift=torch.tensor([2]))
    assert mirrored.moved(torch.tensor([[7]]), 20).tolist() == [[19 - 5 + 2]]
