"""Where and how to compute: device, precision, and the Lightning trainer."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.loggers import Logger

from ibdrop.errors import ConfigError

__all__ = ["TrainerOptions", "make_trainer"]


@dataclass(frozen=True)
class TrainerOptions:
    """How to compute, none of which changes what is computed beyond rounding.

    Attributes:
        device: `auto` takes CUDA if there is one.
        precision: `auto` is bfloat16 autocast on CUDA and float32 on the CPU.
        compile: Whether to compile the model for training (a minute or two at the first step).
        channels_last: Whether convolutions run in the NHWC memory format.
        deterministic: Whether to ask for reproducible kernels; what has none is reported.
        gradient_clip: The largest norm of the gradient, or `None` for no clipping.
        limit_epochs: The most epochs, or `None` for all that the recipe asks for.
        limit_steps: The most optimiser steps per epoch, or `None` for all.
        limit_images: The most images of validation and test, or `None` for all.
        validation_images: The most images of validation after each epoch, or `None` for all.
        eval_batch_size: Images per batch where nothing is learned.
        checkpoint_minutes: How often an epoch under way is saved, in minutes.
        progress: Whether to show a progress bar.

    Raises:
        ValueError: A value is out of its range.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    compile: bool = False
    channels_last: bool = True
    deterministic: bool = True
    gradient_clip: float | None = None
    limit_epochs: int | None = None
    limit_steps: int | None = None
    limit_images: int | None = None
    validation_images: int | None = None
    eval_batch_size: int = 250
    checkpoint_minutes: float = 5.0
    progress: bool = True

    def __post_init__(self) -> None:
        limits = ("limit_epochs", "limit_steps", "limit_images", "validation_images")
        for name in ("gradient_clip", "eval_batch_size", *limits):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name}: {value} is not above 0")

    def pick_device(self) -> torch.device:
        """The device to use.

        Raises:
            ConfigError: CUDA was asked for where there is none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ConfigError(
                [
                    "trainer.device: CUDA was asked for, but this machine has no usable CUDA "
                    "device; use trainer=auto or trainer=cpu"
                ]
            )
        if self.device == "cpu" or not torch.cuda.is_available():
            return torch.device("cpu")
        return torch.device("cuda", torch.cuda.current_device())

    def autocast(self, device: torch.device) -> AbstractContextManager[object]:
        """The context in which the forward pass runs."""
        if self.precision == "bf16" or (self.precision == "auto" and device.type == "cuda"):
            return torch.autocast(device.type, dtype=torch.bfloat16)
        return nullcontext()


def make_trainer(
    options: TrainerOptions,
    *,
    epochs: int,
    callbacks: Sequence[pl.Callback],
    loggers: Sequence[Logger] = (),
) -> pl.Trainer:
    """Creates a quiet Lightning trainer; progress, logs and checkpoints are callbacks of ours."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    for message in (".*does not have many workers.*", ".*LeafSpec.*", ".*`isinstance.treespec.*"):
        warnings.filterwarnings("ignore", message)
    device = options.pick_device()
    return pl.Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=1,
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=list(loggers) or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=True,
    )
