"""What is written while a run trains: one row per epoch, the best and the last checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from ibdrop.errors import Interrupted
from ibdrop.files import read_csv, write_csv
from ibdrop.learning.checkpoint import load_checkpoint, save_checkpoint
from ibdrop.learning.interrupt import Interruption
from ibdrop.learning.loader import Chunk
from ibdrop.learning.module import InformationClassifier

__all__ = ["Recorder"]


class Recorder(pl.Callback):
    """Writes `metrics.csv`, `best.ckpt` and `last.ckpt`, and answers signals between chunks.

    The best epoch is the one with the fewest validation errors, ties broken by the lower
    cross-entropy. While beta rises, the latest epoch counts as the best: it alone has seen what
    information costs.

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

    def restore(self, module: InformationClassifier) -> None:
        """Goes back to where `last.ckpt` was written."""
        content = load_checkpoint(self.last)
        module.model.load_state_dict(content["model"])
        module.optimizer.load_state_dict(content["optimizer"])
        module.sums.copy_(content["sums"])
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
        assert isinstance(pl_module, InformationClassifier)
        position = pl_module.position
        row = pl_module.epoch_row()
        position.epoch, position.step = position.epoch + 1, 0
        counts = {"epoch": position.epoch, "step": position.epoch * pl_module.steps}
        row = {**counts, "seconds": round(self._seconds(), 3), **row}
        self.rows.append(row)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=position.epoch)
        rising = self.best is None or self.best["epoch"] < pl_module.weight.warmup
        better = rising or self.best is None or _merit(row) > _merit(self.best)
        if better:
            kept = ("epoch", "val_accuracy", "val_ce")
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
        assert isinstance(module, InformationClassifier)
        content = {
            "model": module.model.state_dict(),
            "optimizer": module.optimizer.state_dict(),
            "sums": module.sums.cpu(),
            "epoch": module.position.epoch,
            "step": module.position.step,
            "best": self.best,
            "seconds": self._seconds(),
        }
        save_checkpoint(self.last, content)
        self.saved = time.monotonic()

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.started


def _merit(row: dict[str, float]) -> tuple[float, float]:
    """Larger is better; without a validation split the last epoch is the best."""
    if "val_accuracy" not in row:
        return (row["epoch"], 0.0)
    return (row["val_accuracy"], -row["val_ce"])
