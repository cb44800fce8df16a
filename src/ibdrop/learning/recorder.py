"""What is written while a run trains: one row per epoch, the best and the last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from ibdrop.errors import Interrupted
from ibdrop.files import read_csv, write_csv
from ibdrop.learning.checkpoint import load_checkpoint, save_checkpoint
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.loader import Chunk
from ibdrop.learning.module import Learner
from ibdrop.learning.task import Task

__all__ = ["Recorder"]


class Recorder(pl.Callback):
    """Writes `metrics.csv`, `best.ckpt` and `last.ckpt`, and answers signals between chunks.

    The best epoch is what the task says: that with the fewest validation errors, or the least
    cost. While beta rises, the latest epoch counts as the best: it alone has seen what information
    costs.

    Arguments:
        checkpoints: The folder of checkpoints.
        metrics: The path of `metrics.csv`.
        interruption: Tells whether a signal has come.
        minutes: How often an epoch under way is saved.
        on_epoch: Called with the row of each epoch and whether it is the best so far.
    """

    def __init__(
        self,
        checkpoints: Path,
        metrics: Path,
        interruption: Interruption,
        minutes: float,
        on_epoch: Callable[[dict[str, float], bool], None],
    ) -> None:
        self.last = checkpoints / "last.ckpt"
        self.best_path = checkpoints / "best.ckpt"
        self.metrics = metrics
        self.interruption = interruption
        self.interval = 60 * minutes
        self.on_epoch = on_epoch
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, float] | None = None
        self.spent = 0.0
        self.started = self.saved = time.monotonic()

    def restore(self, module: Learner) -> None:
        """Goes back to where `last.ckpt` was written."""
        content = load_checkpoint(self.last)
        module.model.load_state_dict(content["model"])
        module.optimizer.load_state_dict(content["optimizer"])
        module.sums = _sums(content["sums"])
        module.position.epoch, module.position.step = content["epoch"], content["step"]
        self.best, self.spent = content["best"], content["seconds"]
        if self.metrics.exists():
            rows = read_csv(self.metrics)
            self.rows = [row for row in rows if int(row["epoch"]) <= module.position.epoch]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.started = self.saved = time.monotonic()
        self.interruption.take_over()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Chunk,
        batch_idx: int,
    ) -> None:
        if time.monotonic() - self.saved > self.interval:
            self._save_last(pl_module)
        self._answer(pl_module)

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: object
    ) -> None:
        self._answer(pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, Learner)
        position = pl_module.position
        row = pl_module.epoch_row()
        position.epoch, position.step = position.epoch + 1, 0
        counts = {"epoch": position.epoch, "step": position.epoch * pl_module.steps}
        row = {**counts, "seconds": round(self._seconds(), 3), **row}
        self.rows.append(row)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=position.epoch)
        rising = self.best is None or self.best["epoch"] < pl_module.weight.warmup
        task = pl_module.task
        better = rising or self.best is None or _merit(task, row) > _merit(task, self.best)
        if better:
            kept = ("epoch", *task.kept)
            self.best = {name: row[name] for name in kept if name in row}
            save_checkpoint(self.best_path, {"model": pl_module.model.state_dict(), **self.best})
        write_csv(self.metrics, self.rows)
        self._save_last(pl_module)
        self.on_epoch(row, better)

    def _answer(self, module: pl.LightningModule) -> None:
        """Saves and stops if a signal has come."""
        try:
            self.interruption.check()
        except Interrupted:
            self._save_last(module)
            raise

    def _save_last(self, module: pl.LightningModule) -> None:
        assert isinstance(module, Learner)
        content = {
            "model": module.model.state_dict(),
            "optimizer": module.optimizer.state_dict(),
            "sums": {name: total.cpu() for name, total in module.sums.items()},
            "epoch": module.position.epoch,
            "step": module.position.step,
            "best": self.best,
            "seconds": self._seconds(),
        }
        save_checkpoint(self.last, content)
        self.saved = time.monotonic()

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.started


def _merit(task: Task, row: Mapping[str, float]) -> tuple[float, float]:
    """Larger is better; without a validation split the last epoch is the best."""
    return task.merit(row) if task.kept[0] in row else (row["epoch"], 0.0)


def _sums(saved: dict[str, Tensor] | Tensor) -> dict[str, Tensor]:
    """The sums of the epoch under way; one tensor of four in checkpoints of version 0.1."""
    if isinstance(saved, Tensor):
        return dict(zip(("ce", "kl", "accuracy", "count"), saved, strict=True))
    return dict(saved)
