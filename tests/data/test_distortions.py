"""Geometry by a second route: exact turns, torch's own sampler, convolution, and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data import distortions
from ibdrop.data.counter import draw

INDEX = torch.arange(24)
STREAM = 11


def pictures(height: int = 20, width: int = 20) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (24, 2, height, width), generator=random, dtype=torch.uint8)


@pytest.mark.parametrize("side", [20, 21])
def test_a_quarter_turn_is_exact(side: int) -> None:
    images = pictures(side, side)
    turned = distortions.rotate(images, INDEX, 90, STREAM)
    sides = draw(STREAM, INDEX, (2,))[0]
    assert 4 < sides.sum() < 20
    for image, found, other in zip(images, turned, sides, strict=True):
        assert torch.equal(found, image.rot90(1 if other == 0 else -1, (1, 2)))


def test_nothing_done_changes_nothing() -> None:
    images = pictures(18, 25)
    assert torch.equal(distortions.rotate(images, INDEX, 0, STREAM), images)
    assert torch.equal(distortions.shear(images, INDEX, 0, STREAM), images)
    assert torch.equal(distortions.scale(images, INDEX, 1, STREAM), images)
    assert torch.equal(distortions.translate(images, INDEX, 0, STREAM), images)
    assert torch.equal(distortions.pixelate(images, INDEX, 1e-6, STREAM), images)


@pytest.mark.parametrize("name", ["rotate", "shear"])
def test_maps_agree_with_torch(name: str) -> None:
    images, amount = pictures(20, 20), 0.4
    degrees = amount if name == "shear" else math.degrees(amount)
    found = getattr(distortions, name)(images, INDEX, degrees, STREAM)
    sides = 1 - 2 * draw(STREAM, INDEX, (2,))[0].double()
    c, s = math.cos(amount), math.sin(amount)
    for image, new, side in zip(images.double(), found, sides.tolist(), strict=True):
        rows = [[c, -side * s, 0], [side * s, c, 0]]
        if name == "shear":
            rows = [[1, side * amount, 0], [0, 1, 0]]
        theta = torch.tensor([rows], dtype=torch.float64)
        grid = F.affine_grid(theta, [1, 2, 20, 20], align_corners=True)
        wanted = F.grid_sample(image[None], grid, align_corners=True)[0]
        assert (new.double() - wanted).abs().max() < 1


def test_translation_by_hand() -> None:
    images = pictures(20, 40)
    moved = distortions.translate(images, INDEX, 0.1, STREAM)
    seen = set()
    for image, found in zip(images, moved, strict=True):
        for y, x in [(y, x) for y in (-2, 0, 2) for x in (-4, 0, 4) if (y, x) != (0, 0)]:
            wide = F.pad(image, (4, 4, 2, 2))
            if torch.equal(found, wide[:, 2 - y : 22 - y, 4 - x : 44 - x]):
                seen.add((y, x))
                break
        else:
            pytest.fail("an image was not shifted by a tenth of its sides")
    assert len(seen) >= 6


def test_scale_leaves_black_around() -> None:
    white = torch.full((24, 1, 20, 30), 255, dtype=torch.uint8)
    small = distortions.scale(white, INDEX, 0.5, STREAM)
    assert (small[:, :, 5:15, 7:22] == 255).all()
    assert (small == 255).sum() == 24 * 10 * 15
    assert (small == 0).sum() == 24 * (600 - 150)


def test_gaussian_blur_is_a_convolution() -> None:
    images = pictures(28, 28)
    found = distortions.gaussian_blur(images, INDEX, 1.5 / 28, STREAM)
    steps = torch.arange(-5, 6, dtype=torch.float64)
    bell = (-0.5 * (steps / 1.5).square()).exp()
    bell = bell / bell.sum()
    wide = F.pad(images.double(), (5, 5, 5, 5), mode="replicate").flatten(0, 1)[:, None]
    wanted = F.conv2d(wide, (bell[:, None] * bell)[None, None]).view(images.shape)
    assert (found.double() - wanted).abs().max() < 1


def test_larger_images_are_blurred_more_but_not_in_proportion() -> None:
    widths = []
    for side in (28, 112):
        point = torch.zeros(1, 1, side, side, dtype=torch.uint8)
        point[0, 0, side // 2, side // 2] = 255
        line = distortions.gaussian_blur(point * 1, torch.tensor([0]), 0.05, 0)[0, 0].double()
        place = torch.arange(side) - side // 2
        profile = line[side // 2]
        widths.append(((profile * place**2).sum() / profile.sum()).sqrt().item())
    assert widths[1] / widths[0] == pytest.approx(2, rel=0.1)


def test_motion_blur_along_each_direction() -> None:
    point = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    point[:, :, 14, 14] = 250
    blurred = distortions.motion_blur(point, torch.arange(200), 5 / 28, STREAM)
    assert (blurred.sum((1, 2, 3)) == 250).all()
    y, x = torch.meshgrid(torch.arange(28) - 14, torch.arange(28) - 14, indexing="ij")
    spread = ((y**2 + x**2) * blurred).sum((1, 2, 3)) / 250
    # Five steps of one pixel have variance 2, whatever their direction, up to rounding.
    assert (spread.sqrt() - 2**0.5).abs().max() < 0.4
    shapes = {tuple(image.flatten().nonzero().flatten().tolist()) for image in blurred}
    assert len(shapes) == distortions.DIRECTIONS
    lying = tuple(range(14 * 28 + 12, 14 * 28 + 17))
    assert lying in shapes


@pytest.mark.parametrize("name", ["gaussian_blur", "motion_blur", "pixelate"])
@pytest.mark.parametrize("level", [1, 37, 255])
def test_a_plain_picture_stays_plain(name: str, level: int) -> None:
    plain = torch.full((24, 3, 23, 31), level, dtype=torch.uint8)
    assert torch.equal(getattr(distortions, name)(plain, INDEX, 0.2, STREAM), plain)


def test_pixelate_by_hand() -> None:
    image = torch.arange(28 * 28).remainder(251).byte().view(1, 1, 28, 28)
    found = distortions.pixelate(image, torch.tensor([0]), 7 / 28, STREAM)
    means = F.avg_pool2d(image.double(), 7).round()
    wanted = means.repeat_interleave(7, 2).repeat_interleave(7, 3)
    assert torch.equal(found.double(), wanted)
