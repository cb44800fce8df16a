"""The progress bar of training."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from ibdrop.data.progress import watched
from ibdrop.learning.loader import Chunk, Position

__all__ = ["TrainingProgress", "bar", "reading", "say"]

PATIENCE = 1.0
"""Seconds for which nobody needs a bar."""


def bar(console: Console | None = None, *, shown: bool = True) -> Progress:
    """Creates a progress bar with a description, a count, times and a last column for figures."""
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(bar_width=30),
        TextColumn("{task.completed:>5.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[figures]}"),
        console=console or Console(stderr=True),
        disable=not shown,
        refresh_per_second=4,
    )


@contextmanager
def reading(*, shown: bool = True) -> Iterator[None]:
    """Shows how far data have been read, where that takes longer than a second.

    Arguments:
        shown: Whether to draw anything.
    """
    progress = bar(shown=shown)
    begun: dict[str, float] = {}
    tasks: dict[str, TaskID] = {}

    def watch(what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if not shown or (what not in tasks and now - begun.setdefault(what, now) < PATIENCE):
            return
        if what not in tasks:
            progress.start()
            tasks[what] = progress.add_task(what, total=total, figures="")
        progress.update(tasks[what], completed=done)

    try:
        with watched(watch):
            yield
    finally:
        if tasks:
            progress.stop()


class TrainingProgress(pl.Callback):
    """Shows steps done, time left, and the figures of the last epoch.

    Arguments:
        position: How far training has come.
        epochs: The number of epochs of the whole run.
        steps: The number of optimiser steps per epoch.
        shown: Whether to draw anything.
    """

    def __init__(self, position: Position, epochs: int, steps: int, *, shown: bool = True) -> None:
        self.position, self.epochs, self.steps = position, epochs, steps
        self.progress = bar(shown=shown)
        self.task = self.progress.add_task("train", total=epochs * steps, figures="")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.progress.start()
        self._draw()

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: Chunk,
        batch_idx: int,
    ) -> None:
        self._draw()

    def show(self, row: dict[str, float], figures: Sequence[str]) -> None:
        """Writes the figures of an epoch above the bar."""
        words = [f"epoch {row['epoch']:>3.0f}/{self.epochs}", *figures]
        self.progress.console.print("  ".join(words), highlight=False, soft_wrap=True)

    def stop(self) -> None:
        """Takes the bar off the screen's bottom, whatever ended the training."""
        self.progress.stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.stop()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        self.stop()

    def _draw(self) -> None:
        done = self.position.epoch * self.steps + self.position.step
        self.progress.update(
            self.task,
            completed=done,
            description=f"epoch {min(self.position.epoch + 1, self.epochs)}/{self.epochs}",
        )


def say(words: str, style: str | None = None) -> None:
    """Prints a line for the person at the terminal, letter by letter as it is."""
    Console(stderr=True).print(words, style=style, markup=False, highlight=False, soft_wrap=True)
