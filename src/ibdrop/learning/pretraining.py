"""Greedy pretraining: one layer after the other learns to give back what it reads."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ibdrop.data.base import ImageSet
from ibdrop.errors import ConfigError, TrainingError
from ibdrop.files import write_csv
from ibdrop.learning.checkpoint import load_checkpoint, save_checkpoint
from ibdrop.learning.loader import batches
from ibdrop.models.likelihood import floor
from ibdrop.models.stacked import StackedAutoencoder, Stage
from ibdrop.seeds import generator, key

__all__ = ["Options", "Row", "fused_step", "pixels", "pretrain", "read_by"]

Row = dict[str, Any]
"""`layer` and `epoch`, both from 1; `cost`, the mean of the costs before each step, and `floor`,
the least they can be, in nats per image; `seconds` that the epoch took."""

AT_ONCE = 1000
"""Images per pass where nothing is learnt."""

MOST_STEPS = 256
MOST_NUMBERS = 8_000_000
"""Inputs that are gathered and corrupted in one go."""


def _nothing(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Options:
    """How pretraining goes about it.

    Attributes:
        seed: Keys the order of the images and what is corrupted.
        shuffle: Whether every epoch has an order of its own.
        limit_epochs: The most epochs of a layer, or `None` for all.
        limit_steps: The most steps of an epoch, which then shows the first images only.
        on_step: Called with the number of steps done, layers of before included, and of all.
        on_epoch: Called with the row of each epoch.
        check: Called between steps; raises where the run is to stop.
    """

    seed: int = 0
    shuffle: bool = True
    limit_epochs: int | None = None
    limit_steps: int | None = None
    on_step: Callable[[int, int], None] = _nothing
    on_epoch: Callable[[Row], None] = _nothing
    check: Callable[[], None] = _nothing

    def epochs(self, model: StackedAutoencoder) -> int:
        """The number of epochs of each layer."""
        return min(model.pretrain_epochs, self.limit_epochs or model.pretrain_epochs)

    def steps(self, model: StackedAutoencoder, count: int) -> int:
        """The number of steps of an epoch over `count` images."""
        return min(max(1, count // model.pretrain_batch), self.limit_steps or count)


@torch.no_grad()
def pretrain(
    model: StackedAutoencoder,
    images: ImageSet,
    inputs: Callable[[Tensor], Tensor],
    options: Options,
    *,
    checkpoint: Path,
    table: Path,
) -> list[Row]:
    """Pretrains the layers that are not yet, from the pixels up, in place.

    What a layer reads is computed once and kept on the device. Images are those of epoch 0: an
    augmentation that draws them anew shows one drawing here. `checkpoint` is written after each
    layer, so that a run that was stopped goes on with the next one, to the same end; where it
    says that all layers are done, they are taken from there.

    Arguments:
        model: The network, on the device of the images.
        images: The training images.
        inputs: Turns uint8 images into what the network reads.
        options: How.
        checkpoint: Where the state after a layer is kept.
        table: The CSV of the rows.

    Returns:
        A row for each epoch of each layer, those of before included.

    Raises:
        ConfigError: The inputs are not from 0 to 1.
        TrainingError: A cost is no longer a number.
    """
    epochs, stages = options.epochs(model), model.pretraining()
    done, rows = _restored(model, checkpoint)
    if epochs == 0 or done == len(stages):
        return rows
    x = pixels(images, inputs, _seen(model, len(images), options))
    for number, stage in enumerate(stages, start=1):
        if number > done:
            for row in _layer(stage, x, number, epochs, model, options):
                rows.append(row)
                write_csv(table, rows)
                options.on_epoch(row)
            content = {"model": model.state_dict(), "layers": number, "rows": rows}
            save_checkpoint(checkpoint, content)
        if number < len(stages):
            x = read_by(stage, x)
    return rows


def _restored(model: StackedAutoencoder, checkpoint: Path) -> tuple[int, list[Row]]:
    """Takes the layers that are done from a checkpoint; gives their number and their rows."""
    if not checkpoint.exists():
        return 0, []
    content = load_checkpoint(checkpoint)
    model.load_state_dict(content["model"])
    return int(content["layers"]), list(content["rows"])


def _seen(model: StackedAutoencoder, count: int, options: Options) -> int:
    """The number of images that are worth keeping."""
    if options.limit_steps is None:
        return count
    return min(count, options.limit_steps * model.pretrain_batch)


def pixels(images: ImageSet, inputs: Callable[[Tensor], Tensor], count: int) -> Tensor:
    """What the first layer reads of the first `count` images, with shape (count, D).

    Raises:
        ConfigError: It is not from 0 to 1.
    """
    kept: Tensor | None = None
    at = 0
    for batch in batches(images, AT_ONCE, count):
        part = inputs(batch.images).flatten(1)
        kept = part.new_empty(count, part.shape[1]) if kept is None else kept
        kept[at : at + len(part)] = part
        at += len(part)
    assert kept is not None
    low, high = float(kept.min()), float(kept.max())
    if not 0 <= low <= high <= 1:
        sentence = (
            f"dataset: its pixels reach the network as {low:.3g} to {high:.3g}; pretraining gives"
            " pixels from 0 to 1, so leave them so with dataset.normalise=unit, or go without by"
            " model.pretrain_epochs=0"
        )
        raise ConfigError([sentence])
    return kept


def read_by(stage: Stage, x: Tensor) -> Tensor:
    """What the layer above a stage reads, with shape (N, H), from what the stage reads, (N, D)."""
    kept = x.new_empty(len(x), len(stage.bias))
    for part, place in zip(x.split(AT_ONCE), kept.split(AT_ONCE), strict=True):
        place.copy_(stage.encode(part))
    return kept


def _layer(
    stage: Stage, x: Tensor, number: int, epochs: int, model: StackedAutoencoder, options: Options
) -> Iterator[Row]:
    """Trains a stage on its inputs, an epoch for each row."""
    least = sum(float(floor(part, "bernoulli").sum()) for part in x.split(AT_ONCE)) / len(x)
    steps = options.steps(model, len(x))
    everything = len(model.hidden) * epochs * steps
    for epoch in range(1, epochs + 1):
        started = time.monotonic()
        before = ((number - 1) * epochs + epoch - 1) * steps
        order = _order(len(x), number, epoch, options)
        torch.manual_seed(key(options.seed, "pretraining", number, epoch, "corruption"))
        total = torch.zeros((), dtype=torch.float64, device=x.device)
        for done in _epoch(stage, x, order, steps, model, total):
            options.on_step(before + done, everything)
            options.check()
        cost = float(total) / steps
        if not math.isfinite(cost):
            raise TrainingError(
                f"the cost of pretraining layer {number} became {cost} in epoch {epoch}; try a"
                " smaller model.pretrain_lr"
            )
        seconds = round(time.monotonic() - started, 3)
        yield {"layer": number, "epoch": epoch, "cost": cost, "floor": least, "seconds": seconds}


def _order(count: int, number: int, epoch: int, options: Options) -> Tensor:
    if not options.shuffle:
        return torch.arange(count)
    source = generator(options.seed, "pretraining", number, epoch, "order")
    return torch.randperm(count, generator=source)


def _epoch(
    stage: Stage, x: Tensor, order: Tensor, steps: int, model: StackedAutoencoder, total: Tensor
) -> Iterator[int]:
    """Goes once through the inputs, adding the cost before each step to `total`, in place.

    Gives, again and again, the number of steps done.
    """
    size = min(model.pretrain_batch, len(x))
    together = max(1, min(MOST_STEPS, MOST_NUMBERS // (size * x.shape[1])))
    done = 0
    for index in order[: steps * size].split(together * size):
        clean = x.index_select(0, index.to(x.device))
        seen = stage.corrupt(clean)
        for part, shown in zip(clean.split(size), seen.split(size), strict=True):
            total += fused_step(stage, part, shown, model.pretrain_lr)
        done += len(index) // size
        yield done


def fused_step(stage: Stage, x: Tensor, seen: Tensor, lr: float) -> Tensor:
    r"""Does one step of gradient descent on a stage, without a gradient in memory.

    With :math:`d = z - x` and :math:`e = (d W^\top) \odot y (1 - y)`, for rows as images,

    .. math:: W \leftarrow W - \tfrac{\eta}{B} (y^\top d + e^\top \tilde x), \quad
        b \leftarrow b - \tfrac{\eta}{B} \textstyle\sum e, \quad
        b' \leftarrow b' - \tfrac{\eta}{B} \sum d

    both products being added to :math:`W` where it stands, with shape :math:`(H, D)`: autograd
    would write two such matrices and read them again.

    Arguments:
        stage: The stage, changed in place; to be called under `torch.no_grad`.
        x: The target in [0, 1], with shape :math:`(B, D)`.
        seen: What is shown of it, :math:`\tilde x`.
        lr: The learning rate :math:`\eta`.

    Returns:
        The cost before the step, in nats per image.
    """
    weight = stage.weight
    y = torch.addmm(stage.bias, seen, weight.t()).sigmoid_()
    o = torch.addmm(stage.visible, y, weight)
    cost = F.binary_cross_entropy_with_logits(o, x, reduction="sum") / len(x)
    d = o.sigmoid_().sub_(x)
    e = torch.mm(d, weight.t()).mul_(y).mul_(1 - y)
    rate = -lr / len(x)
    weight.addmm_(y.t(), d, alpha=rate).addmm_(e.t(), seen, alpha=rate)
    stage.bias.add_(e.sum(0), alpha=rate)
    stage.visible.add_(d.sum(0), alpha=rate)
    return cost
