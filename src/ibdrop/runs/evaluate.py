"""One deterministic pass over the test set: the figures, and every artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.learning.determinism import reproducible
from ibdrop.learning.loader import batches
from ibdrop.learning.monitor import LayerMonitor
from ibdrop.learning.task import Task
from ibdrop.learning.tasks import task_of

__all__ = ["fitting", "images_to_see", "infer"]


@torch.no_grad()
def infer(
    trained: Trained,
    artifacts: Mapping[str, Artifact],
    folder: Path,
    *,
    batch_size: int,
    limit: int | None = None,
    on_batch: Callable[[int], None] = lambda images: None,
) -> tuple[dict[str, object], list[Path]]:
    """Evaluates a network with the noise off and writes what the artifacts make of it.

    Arguments:
        trained: The network and its data.
        artifacts: What to gather and write, by name.
        folder: Where to write.
        batch_size: The number of images per batch; the figures do not depend on it.
        limit: The number of images to stop after.
        on_batch: Called with the number of images of each batch, for a progress bar; artifacts
            that go over the images again call it too (`images_to_see`).

    Returns:
        The figures of the test set and the files written.
    """
    monitor = LayerMonitor()
    examination = task_of(trained.model).examination(trained.model, trained.data)
    for artifact in artifacts.values():
        artifact.begin(trained)
    with reproducible(True):
        for batch in batches(trained.data.test, batch_size, limit):
            inputs = trained.data.inputs(batch.images)
            made = trained.model(inputs, sample=False)
            monitor.update(made)
            examination.add(batch, inputs, made)
            for artifact in artifacts.values():
                artifact.update(batch, made)
            on_batch(len(batch.labels))
        folder.mkdir(parents=True, exist_ok=True)
        for artifact in artifacts.values():
            artifact.on_images = on_batch
        files = [path for artifact in artifacts.values() for path in artifact.write(folder)]
    return examination.figures() | _layer_figures(monitor.figures()), files


def fitting(artifacts: Mapping[str, Artifact], task: Task) -> dict[str, Artifact]:
    """Those of the artifacts that are made for networks of this kind, or for any."""
    return {
        name: artifact
        for name, artifact in artifacts.items()
        if artifact.task in (None, task.name)
    }


def images_to_see(
    trained: Trained, artifacts: Mapping[str, Artifact], limit: int | None = None
) -> int:
    """The images that `infer` goes over, each as often as it does."""
    count = min(len(trained.data.test), limit or len(trained.data.test))
    return count * (1 + sum(artifact.rounds for artifact in artifacts.values()))


def _layer_figures(figures: Mapping[str, float]) -> dict[str, object]:
    """Turns `quantity/layer` into one table per quantity, and adds the total."""
    tables: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        quantity, _, layer = name.partition("/")
        tables.setdefault(quantity, {})[layer] = value
    found: dict[str, object] = dict(tables)
    if "kl" in tables:
        found["kl_total"] = sum(tables["kl"].values())
    return found
