"""The LightningModule: several optimiser steps per call, nothing read back in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ibdrop.data.base import Batch
from ibdrop.errors import TrainingError
from ibdrop.learning.loader import Chunk, Position
from ibdrop.learning.monitor import LayerMonitor
from ibdrop.learning.objective import InformationWeight, Terms, objective
from ibdrop.learning.schedule import Schedule
from ibdrop.learning.trainer import TrainerOptions
from ibdrop.seeds import key

__all__ = ["InformationClassifier", "OptimizerFactory"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class InformationClassifier(pl.LightningModule):
    """Trains a classifier on cross-entropy plus the price of information.

    One `training_step` is a chunk of optimiser steps. Noise is keyed by seed, epoch and step, so
    the result does not depend on how an epoch is cut into chunks or where it was interrupted.

    Arguments:
        model: The network.
        inputs: Turns uint8 images into what the network reads.
        weight: The multiplier of the KL.
        optimizer: Makes the optimiser from the parameters.
        schedule: The factor on the learning rate as a function of the share of the run done.
        options: Precision, compilation, clipping.
        position: How far training has come.
        epochs: The number of epochs of the whole run.
        steps: The number of optimiser steps per epoch.
        batch_size: The number of images per optimiser step.
        seed: The seed of the run.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Callable[[Tensor], Tensor],
        weight: InformationWeight,
        optimizer: OptimizerFactory,
        schedule: Schedule,
        options: TrainerOptions,
        position: Position,
        *,
        epochs: int,
        steps: int,
        batch_size: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.inputs = inputs
        self.weight = weight
        self.schedule = schedule
        self.options = options
        self.position = position
        self.epochs, self.steps, self.batch_size, self.seed = epochs, steps, batch_size, seed
        self.optimizer = optimizer(model.parameters())
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.sums = torch.zeros(4, dtype=torch.float64)
        self.validated: dict[str, float] = {}
        self._forward = torch.compile(model) if options.compile else model

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer

    def on_train_start(self) -> None:
        self.sums = self.sums.to(self.device)

    def training_step(self, chunk: Chunk, batch_idx: int) -> None:
        if chunk.steps == 0:
            return
        size = len(chunk.labels) // chunk.steps
        terms, right = [], []
        for images, labels in zip(chunk.images.split(size), chunk.labels.split(size), strict=True):
            term, logits = self.step(images, labels)
            terms.append(term)
            right.append((logits, labels))
        self._gather(terms, right, size)

    def step(self, images: Tensor, labels: Tensor) -> tuple[Terms, Tensor]:
        """Does one optimiser step.

        Arguments:
            images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
            labels: Classes, with shape :math:`(B)`.
        """
        epoch, step = self.position.epoch, self.position.step
        at = epoch + step / self.steps
        factor = self.schedule(at / self.epochs)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        torch.manual_seed(key(self.seed, "noise", epoch, step))
        with self.options.autocast(self.device):
            prediction = self._forward(self.inputs(images))
        terms = objective(prediction, labels, self.weight.at(at))
        self.optimizer.zero_grad(set_to_none=True)
        terms.loss.backward()
        if self.options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
        self.optimizer.step()
        self.position.step = step + 1
        return terms, prediction.logits.detach()

    def _gather(self, terms: list[Terms], right: list[tuple[Tensor, Tensor]], size: int) -> None:
        losses = torch.stack([term.loss.detach() for term in terms])
        if not bool(losses.isfinite().all()):
            self._stop_at_nan(terms, losses)
        ce = torch.stack([term.cross_entropy for term in terms]).double().sum()
        kl = torch.stack([term.kl for term in terms]).double().sum()
        logits, labels = (torch.cat(parts) for parts in zip(*right, strict=True))
        correct = (logits.argmax(1) == labels).sum()
        count = torch.full_like(ce, len(labels))
        self.sums += torch.stack([ce * size, kl * size, correct.double(), count])

    def _stop_at_nan(self, terms: list[Terms], losses: Tensor) -> None:
        bad = int((~losses.isfinite()).nonzero()[0])
        step = self.position.step - len(terms) + bad + 1
        broken = [name for name, seen in terms[bad].layers.items() if not bool(seen.isfinite())]
        where = f"layer {broken[0]}" if broken else "the output layer"
        raise TrainingError(
            f"the loss became {losses[bad].item()} at step {step} of epoch "
            f"{self.position.epoch + 1}, first seen in {where}; try a smaller optim.lr, "
            "trainer.gradient_clip=1, or beta_warmup=1 if beta is large"
        )

    def on_validation_epoch_start(self) -> None:
        self.monitor = LayerMonitor()
        self.validation_sums = torch.zeros(4, dtype=torch.float64, device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        prediction = self.model(self.inputs(batch.images))
        terms = objective(prediction, batch.labels, 0.0)
        self.monitor.update(prediction)
        correct = (prediction.logits.argmax(1) == batch.labels).sum()
        size = len(batch.labels)
        self.validation_sums += torch.stack(
            [
                terms.cross_entropy.double() * size,
                terms.kl.double() * size,
                correct.double(),
                correct.new_tensor(size).double(),
            ]
        )

    def on_validation_epoch_end(self) -> None:
        self.validated = _means("val", self.validation_sums) | self.monitor.figures()

    def epoch_row(self) -> dict[str, float]:
        """The figures of the epoch that has just ended, and a clean slate for the next."""
        b = self.weight.at(self.position.epoch + 1)
        means = _means("train", self.sums)
        self.sums.zero_()
        row: dict[str, Any] = {
            "lr": self.optimizer.param_groups[0]["lr"],
            "beta_effective": b,
            "train_loss": means["train_ce"] + b * means["train_kl"],
        }
        return row | means | self.validated


def _means(prefix: str, sums: Tensor) -> dict[str, float]:
    ce, kl, correct, count = sums.tolist()
    if count == 0:
        return {}
    figures = {"ce": ce / count, "kl": kl / count, "accuracy": correct / count}
    assert math.isfinite(count)
    return {f"{prefix}_{name}": value for name, value in figures.items()}
