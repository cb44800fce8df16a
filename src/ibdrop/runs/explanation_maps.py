"""Maps of every kind for the same images, as the quality of explanations compares them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ibdrop.artifacts.heatmap import kl_maps
from ibdrop.data.base import Batch, ImageData
from ibdrop.explain import presets
from ibdrop.explain.attributions import GradCAM, attribution
from ibdrop.explain.base import PAPER_SIDE, Explanation, Fill
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.score import ClassScore, Kind

__all__ = ["MASKS", "METHODS", "Made", "Maker", "check_method", "fill_of", "parted", "steps_of"]

MASKS = ("meaningful", "extremal")

METHODS = (
    "kl",
    "meaningful",
    "extremal",
    "gradient",
    "integrated_gradients",
    "occlusion",
    "grad_cam",
)
"""What can be measured; masks also with another fill, such as `meaningful:rerender`."""


class Made(NamedTuple):
    """Maps of some images.

    Attributes:
        method: Their name in tables.
        maps: Maps at the size of their layer or of the image, with shape :math:`(B, h, w)`.
        resolution: Height and width of the finest detail that they can have.
        nats: Whether they count nats.
        explanation: The masks that they are made of, if they are.
    """

    method: str
    maps: Tensor
    resolution: tuple[int, int]
    nats: bool = False
    explanation: Explanation | None = None


@dataclass(frozen=True)
class Maker:
    """Makes maps by one method.

    Attributes:
        data: What the network reads, for its inputs and its clutter.
        name: One of `METHODS`.
        fill: What masks delete into, a key of `ibdrop.explain.presets.FILLS`, unless the name
            says another.
        seed: What masks draw by.
        changes: Arguments of the masks' class, instead of the defaults.
    """

    data: ImageData
    name: str
    fill: str = "constant"
    seed: int = 0
    changes: Any = None

    def __call__(
        self, model: nn.Module, batch: Batch, on_step: Callable[[int], None]
    ) -> Iterator[Made]:
        """Makes the maps of a batch for its labels: one kind, or one for each layer with a KL.

        Arguments:
            model: The network in evaluation mode.
            batch: Images with their labels.
            on_step: Called at every step of a mask with the number of images.
        """
        word, fill = parted(self.name, self.fill)
        if word == "kl":
            yield from _kl(model, self.data, batch)
        elif word in MASKS:
            yield self._mask(word, fill, model, batch, on_step)
        else:
            yield self._attribution(word, model, batch)

    def _mask(
        self,
        word: str,
        fill: str,
        model: nn.Module,
        batch: Batch,
        on_step: Callable[[int], None],
    ) -> Made:
        method = presets.method(word, **(self.changes or {}))
        how = Explainer(method, fill_of(fill, self.data), self._kind(word), seed=self.seed)
        images = batch.images.float() / 255
        found = how(model, self.data.transform, images, batch.index, batch.labels, on_step)
        size = _cells(word, method, (images.shape[2], images.shape[3]))
        return Made(self.name.replace(":", ", "), found.heat, size, explanation=found)

    def _kind(self, word: str) -> Kind:
        """The score: that of the preset of `meaningful`, and the published one of `extremal`."""
        preset = (self.changes or {}).get("preset", "default")
        return presets.PRESETS[preset].kind if word == "meaningful" else "logit"

    def _attribution(self, word: str, model: nn.Module, batch: Batch) -> Made:
        score = ClassScore(model, self.data.transform, batch.labels, batch.index, kind="logit")
        how = GradCAM(enlarge=False) if word == GradCAM.name else attribution(word)
        maps = how(model, score, batch.images.float() / 255)
        return Made(word, maps, (maps.shape[1], maps.shape[2]))


def steps_of(name: str, changes: Any = None) -> int:
    """The most steps that a mask takes; 0 for what is no mask."""
    word = parted(name)[0]
    return (
        int(getattr(presets.method(word, **(changes or {})), "steps", 0)) if word in MASKS else 0
    )


def parted(name: str, fill: str = "constant") -> tuple[str, str]:
    """The method and the fill of a name such as `meaningful:rerender`."""
    word, _, own = name.partition(":")
    return word, own or fill


def check_method(name: str) -> None:
    """Refuses a method that there is not.

    Raises:
        ValueError: There is no such method, or no such fill, or it has none.
    """
    word, colon, fill = name.partition(":")
    if word not in METHODS:
        raise ValueError(f"'{word}' is no method of the protocol; there are {', '.join(METHODS)}.")
    if colon and word not in MASKS:
        raise ValueError(f"{word} has no fill; only {' and '.join(MASKS)} have.")
    if colon and fill not in presets.FILLS:
        raise ValueError(f"'{fill}' is no fill; there are {', '.join(presets.FILLS)}.")


def fill_of(name: str, data: ImageData) -> Fill:
    """Makes a fill for the test images; a constant one is black."""
    options: dict[str, dict[str, Any]] = {
        "constant": {"level": 0.0},
        "rerender": {"images": data.test},
    }
    return presets.fill(name, **options.get(name, {}))


@torch.no_grad()
def _kl(model: nn.Module, data: ImageData, batch: Batch) -> Iterator[Made]:
    for name, kl in kl_maps(model(data.inputs(batch.images), sample=False)).items():
        yield Made(f"KL {name}", kl, (kl.shape[1], kl.shape[2]), nats=True)


def _cells(word: str, method: Any, size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the parameters of a mask."""
    short = min(size)
    if word == "extremal":
        step = max(1, round(method.grid * short / PAPER_SIDE))
        return -(-size[0] // step), -(-size[1] // step)
    cells = min(method.grid, short)
    return round(cells * size[0] / short), round(cells * size[1] / short)
