"""The LightningModule: several optimiser steps per call, nothing read back in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ibdrop.data.base import Batch
from ibdrop.errors import TrainingError
from ibdrop.learning.loader import Chunk, Position
from ibdrop.learning.monitor import LayerMonitor
from ibdrop.learning.objective import InformationWeight
from ibdrop.learning.schedule import Schedule
from ibdrop.learning.task import Learnt
from ibdrop.learning.tasks import task_of
from ibdrop.learning.trainer import TrainerOptions
from ibdrop.models.generative import Autoencoder, FusedStep
from ibdrop.seeds import key

__all__ = ["Learner", "OptimizerFactory"]

OptimizerFactory = Callable[[Iterable[nn.Parameter]], Optimizer]


class Learner(pl.LightningModule):
    """Trains a network on what its task costs plus the price of information.

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
        shuffle: Whether every epoch has an order of its own.
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
        shuffle: bool = True,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.model = model
        self.task = task_of(model)
        self.inputs = inputs
        self.weight = weight
        self.schedule = schedule
        self.options = options
        self.position = position
        self.epochs, self.steps, self.batch_size, self.seed = epochs, steps, batch_size, seed
        self.shuffle = shuffle
        self.optimizer = optimizer(model.parameters())
        self.rates = [float(group["lr"]) for group in self.optimizer.param_groups]
        self.sums: dict[str, Tensor] = {}
        self.validated: dict[str, float] = {}
        network = model.costs if isinstance(model, Autoencoder) else model
        self._network: Callable[..., Any] = torch.compile(network) if options.compile else network
        self._fused = self._fused_step()

    def configure_optimizers(self) -> Optimizer:
        return self.optimizer

    def training_step(self, chunk: Chunk, batch_idx: int) -> None:
        if chunk.steps == 0:
            return
        size = len(chunk.labels) // chunk.steps
        if self._fused is not None:
            learnt = [self._fused_one(self._fused, part) for part in chunk.images.split(size)]
        else:
            parts = zip(chunk.images.split(size), chunk.labels.split(size), strict=True)
            learnt = [self.step(images, labels) for images, labels in parts]
        self._gather(learnt, size)

    def step(self, images: Tensor, labels: Tensor) -> Learnt:
        """Does one optimiser step.

        Arguments:
            images: Pixels as uint8, with shape :math:`(B, C, H, W)`.
            labels: Classes, with shape :math:`(B)`.
        """
        at = self._begin_step()
        with self.options.autocast(self.device):
            found = self.task.learn(
                self._network, self.inputs(images), labels, self.weight.at(at), at / self.epochs
            )
        self.optimizer.zero_grad(set_to_none=True)
        found.loss.backward()
        if self.options.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
        self.optimizer.step()
        self.position.step += 1
        return found._replace(loss=found.loss.detach())

    def _begin_step(self) -> float:
        """Sets the learning rate and keys the noise; gives the epochs done, with a fraction."""
        epoch, step = self.position.epoch, self.position.step
        at = epoch + step / self.steps
        factor = self.schedule(at / self.epochs)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self._seed(key(self.seed, "noise", epoch, step))
        return at

    def _seed(self, seed: int) -> None:
        """As `torch.manual_seed`, which takes half a millisecond where there is no GPU."""
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _fused_step(self) -> FusedStep | None:
        """The network's own step with derivatives by hand, where nothing else is asked for."""
        full = self.options.precision == "fp32" or (
            self.options.precision == "auto" and self.options.pick_device().type == "cpu"
        )
        plain = full and not self.options.compile and self.options.gradient_clip is None
        if not (plain and isinstance(self.model, Autoencoder)):
            return None
        return self.model.fused(self.optimizer)

    def _fused_one(self, fused: FusedStep, images: Tensor) -> Learnt:
        self._begin_step()
        cost = fused(self.inputs(images), self.optimizer.param_groups[0]["lr"])
        self.position.step += 1
        return Learnt(cost, {"loss": cost, "ce": cost}, {"ce": cost})

    def _gather(self, learnt: list[Learnt], size: int) -> None:
        losses = torch.stack([one.loss for one in learnt])
        if not bool(losses.isfinite().all()):
            self._stop_at_nan(learnt, losses)
        self._add("count", losses.new_tensor(size * len(learnt)))
        for name in learnt[0].figures:
            each = torch.stack([one.figures[name] for one in learnt])
            self._add(name, each.double().sum() * size)

    def _add(self, name: str, value: Tensor) -> None:
        value = value.double()
        self.sums[name] = self.sums[name].to(value.device) + value if name in self.sums else value

    def _stop_at_nan(self, learnt: list[Learnt], losses: Tensor) -> None:
        bad = int((~losses.isfinite()).nonzero()[0])
        step = self.position.step - len(learnt) + bad + 1
        broken = [name for name, seen in learnt[bad].layers.items() if not bool(seen.isfinite())]
        where = f"layer {broken[0]}" if broken else "the output layer"
        raise TrainingError(
            f"the loss became {losses[bad].item()} at step {step} of epoch "
            f"{self.position.epoch + 1}, first seen in {where}; try a smaller optim.lr, "
            "trainer.gradient_clip=1, or beta_warmup=1 if beta is large"
        )

    def on_validation_epoch_start(self) -> None:
        self.monitor = LayerMonitor()
        self.judged: dict[str, Tensor] = {}

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        figures, made = self.task.judge(self.model, self.inputs(batch.images), batch)
        if made is not None:
            self.monitor.update(made)
        figures["count"] = figures["ce"].new_tensor(len(batch.labels))
        for name, total in figures.items():
            self.judged[name] = self.judged[name] + total if name in self.judged else total

    def on_validation_epoch_end(self) -> None:
        self.validated = _means("val", self.judged) | self.monitor.figures()

    def epoch_row(self) -> dict[str, float]:
        """The figures of the epoch that has just ended, and a clean slate for the next."""
        b = self.weight.at(self.position.epoch + 1)
        means = _means("train", self.sums)
        self.sums = {}
        row: dict[str, Any] = {
            "lr": self.optimizer.param_groups[0]["lr"],
            "beta_effective": b,
            "train_loss": means["train_ce"] + b * means.get("train_kl", 0.0),
        }
        return row | means | self.validated


def _means(prefix: str, sums: Mapping[str, Tensor]) -> dict[str, float]:
    if not sums:
        return {}
    names: Sequence[str] = [name for name in sums if name != "count"]
    count, *totals = torch.stack([sums["count"], *(sums[name] for name in names)]).tolist()
    return {f"{prefix}_{name}": total / count for name, total in zip(names, totals, strict=True)}
