r"""The contracts of explanations by perturbation: what is asked, what is changed, what comes out.

Pictures are pixels in [0, 1], float32, with shape :math:`(B, C, H, W)`. A mask
:math:`m \in [0, 1]` has the size of the image; :math:`m = 1` keeps a pixel, :math:`m = 0` deletes
it. :math:`A` masks may be sought for each image at once, one for each area.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

__all__ = ["GAMES", "PAPER_SIDE", "Explanation", "Fill", "Game", "Method", "Perturbation", "Score"]

Game = Literal["deletion", "preservation"]
"""`deletion` seeks the least that must go for the score to fall, `preservation` the least that
must stay for it to hold."""

GAMES: tuple[str, ...] = get_args(Game)

PAPER_SIDE = 224
"""Lengths are given in pixels of a picture of this side and scaled to the one at hand."""


class Score(Protocol):
    """What is asked of the network: one number for each picture."""

    def __call__(self, pixels: Tensor, image: Tensor) -> Tensor:
        """Scores pictures, differentiably; what falls in the deletion game.

        Arguments:
            pixels: Pictures in [0, 1], with shape :math:`(N, C, H, W)`.
            image: Which of the :math:`B` images each row is made of, with shape :math:`(N)`.
        """

    def probability(self, pixels: Tensor, image: Tensor) -> Tensor:
        """The softmax probability of the class asked for, without gradient, of shape (N)."""


class Perturbation(Protocol):
    """Certain images, partly deleted."""

    def __call__(self, m: Tensor, step: int, shift: tuple[int, int] = (0, 0)) -> Tensor:
        r"""Composes :math:`\Phi(x_0; m)`, differentiably in `m`; `m = 1` gives the image bitwise.

        Arguments:
            m: Masks, with shape :math:`(B, A, H, W)`.
            step: The step of the optimisation, which keys what is drawn anew at each.
            shift: Pixels down and right by which picture and fill are moved below the mask, the
                edge being repeated.

        Returns:
            Pictures with shape :math:`(B, A, C, H, W)`.
        """


class Fill(ABC):
    """What stands where a mask deletes.

    Attributes:
        name: The word for it on the command line and in tables.
        random: Whether every step sees another one.
    """

    name: ClassVar[str]
    random: ClassVar[bool] = False

    @abstractmethod
    def over(self, x: Tensor, index: Tensor) -> Perturbation:
        """Makes what is needed once for these images.

        Arguments:
            x: Pictures in [0, 1], with shape :math:`(B, C, H, W)`.
            index: Their numbers in their set, which key all draws, with shape :math:`(B)`.

        Raises:
            ValueError: These images cannot be filled so.
        """


class Explanation(NamedTuple):
    """Masks and how they were found.

    Attributes:
        masks: Masks as the score saw them, smooth and at the size of the image, with shape
            :math:`(B, A, H, W)`.
        heat: How much each pixel matters: what was deleted, or what was kept, in [0, 1] and
            averaged over areas, with shape :math:`(B, H, W)`.
        trace: The objective before each step, NaN after the last, with shape :math:`(T, B, A)`.
        scores: The score of the optimised composite at each step, likewise.
        steps: Steps taken for each mask, with shape :math:`(B, A)`.
        areas: Areas asked for, as shares of the picture; empty where none was.
    """

    masks: Tensor
    heat: Tensor
    trace: Tensor
    scores: Tensor
    steps: Tensor
    areas: tuple[float, ...] = ()


class Method(ABC):
    """A way to find masks; all images of a batch and all areas at once, on their device.

    What is found for an image does not depend on the others in its batch.

    Attributes:
        name: The word for it on the command line and in tables.
    """

    name: ClassVar[str]

    @abstractmethod
    def explain(
        self,
        score: Score,
        perturbation: Perturbation,
        shape: torch.Size,
        device: torch.device,
        on_step: Callable[[int], None] = lambda step: None,
    ) -> Explanation:
        """Finds masks.

        Arguments:
            score: What is asked of the network.
            perturbation: What a mask does to the images.
            shape: :math:`(B, C, H, W)`.
            device: Where to compute.
            on_step: Called with the number of every step, for progress bars; may raise to stop.
        """
