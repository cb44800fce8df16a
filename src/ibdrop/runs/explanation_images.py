"""The images, networks and views that the quality of explanations is measured on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.explanation_counterfactual import Views
from ibdrop.data.base import Batch
from ibdrop.data.views import VIEWS
from ibdrop.explain.randomised import randomised
from ibdrop.learning.batchnorm import reestimate
from ibdrop.seeds import key

__all__ = ["chosen", "part_of", "seen", "shuffled", "untrained"]

SETTLING = 512


@torch.no_grad()
def chosen(trained: Trained, order: Tensor, images: int) -> Batch:
    """Takes the first images in this order that the network names correctly.

    Arguments:
        trained: The network and its data.
        order: Numbers of test images.
        images: How many are wanted.

    Raises:
        ValueError: The place of the target is not known or not that of the whole canvas, or no
            image is named correctly.
    """
    data = trained.data
    if getattr(data.test, "view", "whole") != "whole":
        raise ValueError("the quality of explanations is that of whole canvases: view=whole.")
    parts: list[Batch] = []
    for index in order.split(256):
        batch = data.test.batch(index)
        if batch.boxes is None:
            raise ValueError(
                f"nobody knows where the target is in {data.name}, so explanations cannot be"
                " judged by it; cluttered_digits and cluttered_mnist have boxes."
            )
        right = trained.model(data.inputs(batch.images), sample=False).logits.argmax(1)
        parts.append(part_of(batch, (right == batch.labels).cpu()))
        if sum(len(part.labels) for part in parts) >= images:
            break
    found = _joined(parts)
    if not len(found.labels):
        raise ValueError("the network names no test image correctly: there is nothing to explain.")
    return part_of(found, torch.arange(len(found.labels)) < images)


def part_of(batch: Batch, kept: Tensor | slice) -> Batch:
    """Images of a batch by a mask or a slice; their pixels, labels and places alone."""

    def part(values: Tensor | None) -> Tensor | None:
        if values is None or isinstance(kept, slice):
            return None if values is None else values[kept]
        return values[kept.to(values.device)]

    values = (batch.index, batch.images, batch.labels, batch.boxes, batch.masks)
    return Batch(*(part(value) for value in values))  # type: ignore[arg-type]


def _joined(parts: Sequence[Batch]) -> Batch:
    columns = zip(*(part[:5] for part in parts), strict=True)
    return Batch(*(None if column[0] is None else torch.cat(column) for column in columns))  # type: ignore[arg-type]


def untrained(trained: Trained, seed: int) -> nn.Module:
    """Makes the network with fresh weights, keyed by the seed."""
    with torch.random.fork_rng():
        torch.manual_seed(key(seed, "untrained"))
        return trained.untrained().eval()


def shuffled(trained: Trained, seed: int) -> nn.Module:
    """Makes the network with its weights shuffled and its batch norm settled on them."""
    model = randomised(trained.model, seed).eval()
    index = torch.arange(min(SETTLING, len(trained.data.train)))
    parts = (trained.data.train.batch(part).images for part in index.split(128))
    reestimate(model, (trained.data.inputs(images) for images in parts))
    return model


@torch.no_grad()
def seen(
    trained: Trained, index: Tensor, seed: int, on_images: Callable[[int], None]
) -> Views | None:
    """Asks the network about the same canvases in all views; `None` where there are none.

    Arguments:
        trained: The network and its data.
        index: Numbers of test images.
        seed: What the bootstrap is keyed by.
        on_images: Called with the number of images of each view.
    """
    if not hasattr(trained.data.test, "view"):
        return None
    predictions: dict[str, Tensor] = {}
    labels: list[Tensor] = []
    for view in VIEWS:
        shown: Any = copy(trained.data.test)
        shown.view = view
        parts = [shown.batch(part) for part in index.split(256)]
        labels = [batch.labels.cpu() for batch in parts]
        made = [
            trained.model(trained.data.inputs(batch.images), sample=False).logits.argmax(1)
            for batch in parts
        ]
        predictions[view] = torch.cat(made).cpu()
        on_images(len(index))
    return Views(predictions, torch.cat(labels), seed)
