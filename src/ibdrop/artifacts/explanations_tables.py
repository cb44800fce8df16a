"""The numbers of explanations as an archive and as rows of tables."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from ibdrop.artifacts.explanations import Explained

__all__ = ["adversarial", "archive", "changed", "curve_rows", "image_rows", "trace_rows"]

LOW, HIGH = 0.1, 0.5

FILLS = ("", "_second")


def changed(found: Explained) -> Tensor:
    """Shares of each picture that masks delete, or keep in the preservation game: (B, A)."""
    kept = found.explanation.masks.double().mean((2, 3))
    return kept if found.game == "preservation" else 1 - kept


def adversarial(found: Explained) -> Tensor:
    """Whether a mask works on the fill it was found with and not on another, of shape (B, A).

    A deletion takes the probability below a tenth of its start on the optimised fill while the
    second leaves it above half; a preservation holds above half of it on the one and falls below
    a tenth on the other.
    """
    start = found.p_start[:, None]
    fooled, real = found.p_optimised, found.p_second
    if found.game == "preservation":
        fooled, real = real, fooled
    return (fooled < LOW * start) & (real > HIGH * start)


def archive(found: Explained) -> bytes:
    """All that pictures are drawn from, as an NPZ archive; pixels as uint8."""
    explanation, boxes = found.explanation, found.box_scores
    arrays: dict[str, Tensor] = {
        "images": _bytes(found.pixels),
        "composites": _bytes(found.composites),
        "composites_second": _bytes(found.composites_second),
        "masks": explanation.masks.half(),
        "heat": explanation.heat.float(),
        "index": found.index,
        "box_alphas": boxes.alphas,
        "box_boxes": boxes.boxes.short(),
        "box_areas": boxes.areas.float(),
        "box_scores": boxes.scores.float(),
    }
    arrays |= {f"kl_{name}": maps.float() for name, maps in found.kl.items()}
    arrays |= {f"baseline_{name}": maps.float() for name, maps in found.baselines.items()}
    if found.boxes is not None:
        arrays["boxes"] = found.boxes
    plain: dict[str, Any] = {name: value.cpu().numpy() for name, value in arrays.items()}
    plain |= {"layers": np.array(list(found.kl)), "baselines": np.array(list(found.baselines))}
    content = io.BytesIO()
    np.savez_compressed(content, **plain)
    return content.getvalue()


def image_rows(found: Explained) -> list[dict[str, Any]]:
    """A row for each image and area."""
    rows = []
    share, fooling = changed(found), adversarial(found)
    measured = {
        f"{way}_auc{which}": getattr(found, f"{way}{which}").auc()
        for way in ("deletion", "insertion")
        for which in FILLS
    }
    measured |= {f"box_{drop}": found.box_scores.smallest(drop / 100) for drop in (90, 99)}
    asked = found.explanation.areas
    for image, area in _pairs(found):
        start, low = float(found.p_start[image]), float(found.p_optimised[image, area])
        rows.append(
            _who(found, image)
            | {
                "prediction": _word(found, int(found.predictions[image])),
                "asked_area": asked[area] if asked else "",
                "area": _short(share[image, area]),
                "p_start": _short(start),
                "p_optimised": _short(low),
                "p_second": _short(found.p_second[image, area]),
                "p_blank": _short(found.p_blank[image]),
                "p_blank_second": _short(found.p_blank_second[image]),
                "ratio": _short(low / start if start else torch.nan),
                "adversarial": bool(fooling[image, area]),
                "steps": int(found.explanation.steps[image, area]),
            }
            | {name: _short(values[image]) for name, values in measured.items()}
            | _how(found)
        )
    return rows


def curve_rows(found: Explained) -> list[dict[str, Any]]:
    """A row for each image and share of pixels, with deletion and insertion on both fills."""
    rows = []
    for image, number in enumerate(found.index.tolist()):
        for step, fraction in enumerate(found.deletion.fractions.tolist()):
            row = {"index": number, "fraction": _short(fraction)}
            for way in ("deletion", "insertion"):
                for which in FILLS:
                    row[f"{way}{which}"] = _short(getattr(found, f"{way}{which}").p[image, step])
            rows.append(row)
    return rows


def trace_rows(found: Explained) -> list[dict[str, Any]]:
    """A row for each image, area and step that was taken."""
    rows = []
    trace, scores = found.explanation.trace, found.explanation.scores
    asked = found.explanation.areas
    for image, area in _pairs(found):
        for step in range(min(len(trace), int(found.explanation.steps[image, area]))):
            rows.append(
                {
                    "index": int(found.index[image]),
                    "area_number": area,
                    "asked_area": asked[area] if asked else "",
                    "step": step,
                    "objective": _short(trace[step, image, area]),
                    "score": _short(scores[step, image, area]),
                }
            )
    return rows


def _pairs(found: Explained) -> Iterator[tuple[int, int]]:
    images, areas = found.explanation.masks.shape[:2]
    return ((image, area) for image in range(images) for area in range(areas))


def _who(found: Explained, image: int) -> dict[str, Any]:
    return {
        "index": int(found.index[image]),
        "name": found.names[image] if found.names is not None else "",
        "label": _word(found, int(found.labels[image])),
        "class": _word(found, int(found.classes[image])),
    }


def _how(found: Explained) -> dict[str, Any]:
    settings = " ".join(f"{name}={value}" for name, value in found.settings.items())
    return {
        "method": found.method,
        "game": found.game,
        "fill": found.fill,
        "second_fill": found.second_fill,
        "seed": found.seed,
        "settings": settings,
    }


def _word(found: Explained, number: int) -> str:
    return found.class_names[number] if number >= 0 else ""


def _short(value: Tensor | float) -> float:
    return float(f"{float(value):.6g}")


def _bytes(pixels: Tensor) -> Tensor:
    return (255 * pixels).round().clamp(0, 255).byte()
