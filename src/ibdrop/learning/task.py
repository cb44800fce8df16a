"""What a network is trained for: how a batch is priced, how an epoch is judged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from ibdrop.data.base import Batch, ImageData

__all__ = ["Examination", "Learnt", "Task"]


class Learnt(NamedTuple):
    """What a batch costs in training.

    Attributes:
        loss: What is minimised; it has a gradient unless the step has been done.
        figures: What is gathered over the epoch, each a mean over the batch.
        layers: One number for each layer, to blame the first that is not finite.
    """

    loss: Tensor
    figures: dict[str, Tensor]
    layers: dict[str, Tensor]


class Examination(ABC):
    """Gathers the figures of the test in one pass."""

    @abstractmethod
    def add(self, batch: Batch, x: Tensor, made: Any) -> None:
        """Takes in a batch, its inputs, and what the network, noise off, made of them."""

    @abstractmethod
    def figures(self) -> dict[str, object]:
        """The figures of all batches."""


class Task(ABC):
    """A kind of network: classifier, autoencoder.

    Attributes:
        name: As the network's own attribute `task` says it.
        kept: The columns of `metrics.csv` that are kept of the best epoch, beside its number.
    """

    name: ClassVar[str]
    kept: ClassVar[tuple[str, ...]]

    @abstractmethod
    def learn(
        self, network: Callable[..., Any], x: Tensor, labels: Tensor, b: float, progress: float
    ) -> Learnt:
        """Prices a batch in training mode, with a gradient.

        Arguments:
            network: The network, or what stands for it when it is compiled.
            x: Inputs, with shape :math:`(B, C, H, W)`.
            labels: Classes, with shape :math:`(B)`.
            b: The weight of one nat of KL.
            progress: The share of the run that is done.
        """

    @abstractmethod
    def judge(
        self, model: nn.Module, x: Tensor, batch: Batch
    ) -> tuple[dict[str, Tensor], Any | None]:
        """Judges a batch of the validation split in evaluation mode.

        Returns:
            Figures summed over the batch in float64, and what the network, noise off, made of it;
            `None` where no layer is of interest.
        """

    @abstractmethod
    def merit(self, row: Mapping[str, Any]) -> tuple[float, float]:
        """How good an epoch is; larger is better."""

    @abstractmethod
    def error(self, row: Mapping[str, Any]) -> float:
        """What early stopping watches; smaller is better."""

    @abstractmethod
    def examination(self, model: nn.Module, data: ImageData) -> Examination:
        """Begins a test.

        Arguments:
            model: The network in evaluation mode.
            data: What it was trained on, on the same device.
        """

    @abstractmethod
    def score(self, figures: Mapping[str, object]) -> float:
        """What a sweep minimises."""

    @abstractmethod
    def verdict(self, figures: Mapping[str, object]) -> str:
        """The outcome of a test in a few words."""

    @abstractmethod
    def words(self, row: Mapping[str, float]) -> list[str]:
        """The figures of an epoch for the person at the terminal."""


def nats(value: float) -> str:
    """A number of nats in a few characters."""
    return f"{value:,.0f} nats" if value >= 100 else f"{value:.3g} nats"
