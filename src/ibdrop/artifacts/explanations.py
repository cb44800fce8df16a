"""What explanations of images by perturbation leave behind: numbers first, pictures from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ibdrop.artifacts.explanations_content import load
from ibdrop.artifacts.explanations_overview import draw_overview
from ibdrop.artifacts.explanations_pictures import draw_explanation
from ibdrop.artifacts.explanations_tables import archive, curve_rows, image_rows, trace_rows
from ibdrop.artifacts.plotting import save
from ibdrop.explain.base import Explanation, Game
from ibdrop.explain.curves import BoxScores, Curve
from ibdrop.files import write_bytes, write_csv

__all__ = ["Explained", "write_explanations"]


@dataclass(frozen=True, kw_only=True)
class Explained:
    r"""Everything found out about :math:`B` images with :math:`A` masks each.

    Attributes:
        pixels: The images in [0, 1], with shape :math:`(B, C, H, W)`.
        index: Their numbers in their set, with shape :math:`(B)`.
        labels: Their classes, -1 where unknown, with shape :math:`(B)`.
        classes: The class asked for in each, with shape :math:`(B)`.
        class_names: The words for all classes.
        predictions: What the network takes them for, with shape :math:`(B)`.
        p_start: The probability of the class asked for in the plain image, of shape :math:`(B)`.
        explanation: Masks, heat and trace, see `ibdrop.explain.base.Explanation`.
        composites: The images on the optimised fill, :math:`(B, A, C, H, W)`.
        composites_second: The images on a fill not used in the optimisation, likewise.
        p_optimised: The probability of `composites`, with shape :math:`(B, A)`.
        p_second: The probability of `composites_second`, likewise.
        p_blank: The probability of nothing but the optimised fill, with shape :math:`(B)`.
        p_blank_second: The probability of nothing but the second fill, likewise.
        game: Whether the masks delete the least or keep the least.
        method: The word for the method.
        fill: The word for the optimised fill.
        second_fill: The word for the other.
        seed: What all draws were keyed by.
        settings: Other settings worth a word in the table, short.
        deletion: The curve of the heat map on the optimised fill.
        insertion: Likewise.
        deletion_second: The curve on the second fill.
        insertion_second: Likewise.
        box_scores: The area against score of the heat map on the optimised fill.
        kl: KL heat maps of the layers in nats per position, each of shape :math:`(B, h, w)`.
        baselines: Other attributions of any scale and sign, each of shape :math:`(B, H, W)`.
        boxes: Top, left, bottom and right of the target in pixels, ends exclusive, with shape
            :math:`(B, 4)`, or `None`.
        names: The files the images come from, or `None`.
    """

    pixels: Tensor
    index: Tensor
    labels: Tensor
    classes: Tensor
    class_names: Sequence[str]
    predictions: Tensor
    p_start: Tensor
    explanation: Explanation
    composites: Tensor
    composites_second: Tensor
    p_optimised: Tensor
    p_second: Tensor
    p_blank: Tensor
    p_blank_second: Tensor
    game: Game
    method: str
    fill: str
    second_fill: str
    seed: int
    settings: Mapping[str, object]
    deletion: Curve
    insertion: Curve
    deletion_second: Curve
    insertion_second: Curve
    box_scores: BoxScores
    kl: Mapping[str, Tensor]
    baselines: Mapping[str, Tensor]
    boxes: Tensor | None = None
    names: Sequence[str] | None = None


def write_explanations(found: Explained, folder: Path) -> list[Path]:
    """Writes explanations: an archive, three tables, and pictures drawn from them.

    Files:
        `explanations.npz` (images, composites, masks, heat, KL maps, baselines),
        `explanations.csv` (a row for each image and area), `explain_curves.csv`,
        `explain_trace.csv`; `explanations.png` shows all images in rows, `explain_NNNNNN.png`
        the image of that number.

    Arguments:
        found: What was found; all tensors may be on any device.
        folder: Where to write.
    """
    numbers = (
        write_bytes(folder / "explanations.npz", archive(found)),
        write_csv(folder / "explanations.csv", image_rows(found)),
        write_csv(folder / "explain_curves.csv", curve_rows(found)),
        write_csv(folder / "explain_trace.csv", trace_rows(found)),
    )
    images = load(*numbers)
    pictures = [save(draw_overview(images), folder / "explanations.png")]
    for shown in images:
        path = folder / f"explain_{shown.number:06d}.png"
        pictures.append(save(draw_explanation(shown), path))
    return [*pictures, *numbers]
