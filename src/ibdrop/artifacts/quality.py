"""Honest measures of a heat map against the known place of its target.

Maps are batched, with shape :math:`(B, H, W)`, in float64, at the size of the image. A map of
zeros says nothing and scores NaN, and so does any map against an empty target.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Target",
    "blur",
    "box_mask",
    "energies",
    "energy_share",
    "measure",
    "pointing",
    "rank_accuracy",
    "resample",
]


class Target(NamedTuple):
    """Where the thing to be seen is, as bool masks with shape :math:`(B, H, W)`.

    Attributes:
        strokes: The strokes of the target; empty where they are not known.
        box: Its tight box.
        padded: The box widened on every side.
        weights: The three as float64, with shape :math:`(B, 3, H W)`.
    """

    strokes: Tensor
    box: Tensor
    padded: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls, boxes: Tensor, masks: Tensor | None, size: tuple[int, int], padding: int
    ) -> Target:
        """Makes the masks.

        Arguments:
            boxes: Top, left, bottom, right in pixels, the last two exclusive; :math:`(B, 4)`.
            masks: Strokes, with shape :math:`(B, H, W)`, or `None`.
            size: Height and width of the canvas in pixels.
            padding: Pixels by which the padded box is wider on every side, within the canvas.
        """
        box = box_mask(boxes, size)
        strokes = torch.zeros_like(box) if masks is None else masks.bool()
        parts = strokes, box, box_mask(boxes, size, padding)
        return cls(*parts, torch.stack(parts, 1).flatten(2).double())


def resample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Spreads or pools maps to another size, conserving the total exactly.

    Every cell hands out its value by area: each pixel gets the share of the cell that it covers.
    For whole factors this is the nearest cell's value divided by the pixels per cell.

    Arguments:
        maps: Nats per position, with shape :math:`(B, h, w)`.
        size: The new height :math:`H` and width :math:`W`.

    Returns:
        float64 maps with shape :math:`(B, H, W)`.
    """
    rows = _overlap(maps.shape[1], size[0], maps.device)
    columns = _overlap(maps.shape[2], size[1], maps.device)
    spread: Tensor = rows @ maps.double() @ columns.T
    return spread


def _overlap(cells: int, pixels: int, device: torch.device) -> Tensor:
    """The share of each cell that falls on each pixel, with shape (pixels, cells)."""
    pixel = torch.arange(pixels, device=device)[:, None] * cells
    cell = torch.arange(cells, device=device)[None, :] * pixels
    start, end = torch.maximum(pixel, cell), torch.minimum(pixel + cells, cell + pixels)
    return (end - start).clamp_min(0).double() / pixels


def box_mask(boxes: Tensor, size: tuple[int, int], padding: int = 0) -> Tensor:
    """Marks the pixels of boxes, with shape :math:`(B, H, W)`; see `Target.of`."""
    top, left, bottom, right = boxes.long()[:, :, None].unbind(1)
    y = torch.arange(size[0], device=boxes.device)
    x = torch.arange(size[1], device=boxes.device)
    tall = (y >= top - padding) & (y < bottom + padding)
    wide = (x >= left - padding) & (x < right + padding)
    return tall[:, :, None] & wide[:, None, :]


def energy_share(maps: Tensor, inside: Tensor) -> Tensor:
    """The share of a map's positive part that lies inside.

    With a box this is the energy-based pointing game (Wang et al., Score-CAM, CVPRW 2020), with
    strokes the relevance mass accuracy (Arras et al., CLEVR-XAI, Inf. Fusion 81, 2022).

    Arguments:
        maps: Maps, with shape :math:`(B, H, W)`.
        inside: The target as bool, with shape :math:`(B, H, W)`.
    """
    energy = maps.double().clamp_min(0).flatten(1)
    within = (energy * inside.flatten(1)).sum(1)
    return _known(within / energy.sum(1), maps, inside)


def rank_accuracy(maps: Tensor, *targets: Tensor) -> list[Tensor]:
    """The share of the `K` hottest pixels that lie inside, `K` being the size of the target.

    Only the order counts, so no change of contrast helps (Arras et al., 2022). Of pixels tied at
    the K-th place each counts by its chance of being among the first K.

    Arguments:
        maps: Maps, with shape :math:`(B, H, W)`.
        targets: Targets as bool, each with shape :math:`(B, H, W)`; one result for each.
    """
    values = maps.double().flatten(1)
    most = max(1, *(int(inside.sum((1, 2)).max()) for inside in targets))
    hottest = values.topk(most, dim=1).values
    return [_rank(values, hottest, maps, inside) for inside in targets]


def _rank(values: Tensor, hottest: Tensor, maps: Tensor, inside: Tensor) -> Tensor:
    target = inside.flatten(1)
    size = target.sum(1)
    last = hottest.gather(1, (size.clamp_min(1) - 1)[:, None])
    above, tied = values > last, values == last
    room = size - above.sum(1)
    chance = (tied & target).sum(1) / tied.sum(1).double()
    return _known(((above & target).sum(1) + room * chance) / size, maps, inside)


def pointing(maps: Tensor, inside: Tensor) -> Tensor:
    """Whether the hottest pixel lies inside, without tolerance (Zhang et al., ECCV 2016).

    Where several pixels tie, the share of them that lies inside: the expected value of drawing
    one at random, so that a flat map scores its area and not a hit.

    Arguments:
        maps: Maps, with shape :math:`(B, H, W)`.
        inside: The target as bool, with shape :math:`(B, H, W)`.
    """
    values = maps.double().flatten(1)
    tied = values == values.amax(1, keepdim=True)
    hits = (tied & inside.flatten(1)).sum(1)
    return _known(hits / tied.sum(1).double(), maps, inside)


def _known(scores: Tensor, maps: Tensor, inside: Tensor) -> Tensor:
    empty = (maps == 0).flatten(1).all(1) | ~inside.flatten(1).any(1)
    return scores.masked_fill(empty, torch.nan)


def energies(maps: Tensor, target: Target) -> dict[str, Tensor]:
    """The measures of energy: `mass_strokes`, `energy_box`, `energy_padded`, `lift_padded`.

    Arguments:
        maps: Nats per pixel (or any other heat), with shape :math:`(B, H, W)`.
        target: Where the target is.
    """
    energy = maps.double().clamp_min(0).flatten(1)
    area = target.weights.sum(2)
    within = torch.bmm(target.weights, energy[:, :, None])[:, :, 0]
    share = (within / energy.sum(1, keepdim=True)).masked_fill(area == 0, torch.nan)
    strokes, box, padded = share.unbind(1)
    lift = padded * energy.shape[1] / area[:, 2]
    return {
        "mass_strokes": strokes,
        "energy_box": box,
        "energy_padded": padded,
        "lift_padded": lift,
    }


def measure(maps: Tensor, target: Target) -> dict[str, Tensor]:
    """All measures of each map.

    Arguments:
        maps: Nats per pixel (or any other heat), with shape :math:`(B, H, W)`.
        target: Where the target is.

    Returns:
        Scores with shape :math:`(B)` by name: `rank_strokes` and `rank_box`, `mass_strokes`,
        `energy_box`, `energy_padded` and `lift_padded` (that energy over the share of the area),
        `pointing_box`, and the absolute `total`, `inside` and `outside` of the padded box.
    """
    rank_strokes, rank_box = rank_accuracy(maps, target.strokes, target.box)
    total = maps.double().sum((1, 2))
    inside = (maps.double() * target.padded).sum((1, 2))
    return {
        "rank_strokes": rank_strokes,
        "rank_box": rank_box,
        **energies(maps, target),
        "pointing_box": pointing(maps, target.box),
        "total": total,
        "inside": inside,
        "outside": total - inside,
    }


def blur(maps: Tensor, sigma: float) -> Tensor:
    """Smooths maps with a Gaussian of `sigma` pixels; beyond the canvas is black.

    Arguments:
        maps: Maps, with shape :math:`(B, H, W)`.
        sigma: The standard deviation in pixels.
    """
    rows, columns = (_gaussian(length, sigma, maps.device) for length in maps.shape[1:])
    smooth: Tensor = rows @ maps.double() @ columns
    return smooth


def _gaussian(length: int, sigma: float, device: torch.device) -> Tensor:
    x = torch.arange(length, dtype=torch.float64, device=device)
    weights = torch.exp(-0.5 * ((x[:, None] - x) / sigma).square())
    steps = torch.arange(-length, length + 1, dtype=torch.float64, device=device)
    total: Tensor = torch.exp(-0.5 * (steps / sigma).square()).sum()
    return weights / total
