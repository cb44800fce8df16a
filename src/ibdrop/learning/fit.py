"""Training from beginning, or from where it was interrupted, to the network that is tested."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.exceptions import SIGTERMException
from torch import Tensor

from ibdrop.data.base import Batch, ImageData
from ibdrop.learning.batchnorm import reestimate
from ibdrop.learning.checkpoint import load_checkpoint, save_checkpoint
from ibdrop.learning.loader import Chunks, batches
from ibdrop.learning.module import Learner
from ibdrop.learning.patience import Patience
from ibdrop.learning.recorder import Recorder
from ibdrop.learning.task import Task
from ibdrop.learning.trainer import TrainerOptions, make_trainer

__all__ = ["finish", "fit"]


SAMPLE = 1000
"""Training images from which batch norm is re-estimated before each validation."""


class _NoiseOffMoments(pl.Callback):
    """Re-estimates batch norm before each validation, from a sample of the training images.

    Training normalises by the moments of the batch and does not notice; without this, validation
    would read moments taken with the noise on, and single epochs would look like chance.
    """

    def __init__(self, data: ImageData, options: TrainerOptions) -> None:
        self.data, self.options = data, options

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        epoch = pl_module.position.epoch
        inputs = _training_inputs(self.data, epoch, self.options, SAMPLE)
        reestimate(pl_module.model, inputs)


class _Stopper(pl.Callback):
    """Ends training when patience is over; stands after the recorder, whose rows it reads."""

    def __init__(self, patience: Patience, recorder: Recorder) -> None:
        self.patience, self.recorder = patience, recorder

    def is_over(self, task: Task, row: Mapping[str, Any]) -> bool:
        """Takes in an epoch; without a validation split there is nothing to wait for."""
        if task.kept[0] not in row:
            return False
        return self.patience.update(int(row["epoch"]), task.error(row))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        if self.is_over(pl_module.task, self.recorder.rows[-1]):
            trainer.should_stop = True


class _Validation:
    """The validation split as a loader whose length Lightning can know."""

    def __init__(self, data: ImageData, options: TrainerOptions) -> None:
        self.images, self.size = data.val, options.eval_batch_size
        limits = (options.limit_images, options.validation_images)
        self.limit = min((limit for limit in limits if limit), default=None)
        # What is read from disk would not fit into memory either.
        self.kept = list(self._fresh()) if self.images.resident else None

    def _fresh(self) -> Iterator[Batch]:
        return batches(self.images, self.size, self.limit)

    def __iter__(self) -> Iterator[Batch]:
        return self._fresh() if self.kept is None else iter(self.kept)

    def __len__(self) -> int:
        count = min(len(self.images), self.limit or len(self.images))
        return math.ceil(count / self.size)


def fit(
    module: Learner,
    data: ImageData,
    options: TrainerOptions,
    recorder: Recorder,
    *,
    reestimate_batchnorm: bool = True,
    patience: Patience | None = None,
    callbacks: Sequence[pl.Callback] = (),
    loggers: Sequence[Logger] = (),
) -> None:
    """Trains for the epochs that are left.

    Arguments:
        module: What to train; its position tells where to begin.
        data: The data, on the device that the options pick.
        options: How to compute.
        recorder: Writes metrics and checkpoints.
        reestimate_batchnorm: Whether validation sees batch norm as the test will, noise off.
        patience: When to stop before that; the epochs that the recorder has restored count.
        callbacks: Further callbacks.
        loggers: Lightning loggers, which get one row per epoch.
    """
    left = module.epochs - module.position.epoch
    stopper = _Stopper(patience, recorder) if patience else None
    over = stopper and any(stopper.is_over(module.task, row) for row in recorder.rows)
    if left <= 0 or over:
        return
    module.train()
    chunks = Chunks(
        data.train,
        module.batch_size,
        module.position,
        module.seed,
        module.steps,
        shuffle=module.shuffle,
    )
    moments = [_NoiseOffMoments(data, options)] if reestimate_batchnorm else []
    waiting = [stopper] if stopper else []
    trainer = make_trainer(
        options, epochs=left, callbacks=[recorder, *waiting, *moments, *callbacks], loggers=loggers
    )
    validation = _Validation(data, options) if len(data.val) else None
    try:
        trainer.fit(module, chunks, validation)
    except SIGTERMException:
        recorder.interruption.check()
        raise


def finish(
    module: Learner,
    data: ImageData,
    options: TrainerOptions,
    recorder: Recorder,
    *,
    reestimate_batchnorm: bool,
) -> None:
    """Goes back to the best epoch and re-estimates batch norm for the test.

    The result replaces `best.ckpt`, so that every later command reads the tested network.
    """
    content = load_checkpoint(recorder.best_path)
    module.model.load_state_dict(content["model"])
    module.model.to(options.pick_device())
    if reestimate_batchnorm:
        epoch = max(0, int(content["epoch"]) - 1)
        limit = None if options.limit_steps is None else options.limit_steps * module.batch_size
        reestimate(module.model, _training_inputs(data, epoch, options, limit))
        content["model"] = module.model.state_dict()
        save_checkpoint(recorder.best_path, content)
    module.model.eval()


def _training_inputs(
    data: ImageData, epoch: int, options: TrainerOptions, limit: int | None
) -> Iterator[Tensor]:
    count = min(len(data.train), limit or len(data.train))
    parts = torch.arange(count).split(options.eval_batch_size)
    for index, upcoming in zip_longest(parts, parts[1:]):
        batch: Batch = data.train.batch(index, epoch)
        if upcoming is not None:
            data.train.prefetch(upcoming, epoch)
        yield data.inputs(batch.images)
