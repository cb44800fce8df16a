"""KL heat maps: where in the image the nats are that pass each noisy layer."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.floors import ceiling, floors
from ibdrop.artifacts.heatmap_pictures import draw_maps, draw_overlay, draw_quality
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.quality import Target, measure, resample
from ibdrop.artifacts.scores import Scores, quality_table
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes, write_csv
from ibdrop.models.base import Prediction
from ibdrop.seeds import generator

__all__ = ["KLHeatmap", "choose", "kl_maps"]

PADDING, CANVAS = 6, 96


class KLHeatmap(Artifact):
    r"""KL summed over channels at each position, in nats, and how well it finds the target.

    .. math:: m_{yx} = \sum_c \mathrm{KL}(p(z_{cyx} | x) \,\|\, q(z))

    as in Achille & Soatto, Information Dropout, fig. 2, with the noise off. Where the place of the
    target is known, every map of a correctly classified test image is spread over the image
    without changing its total and measured; beside it stand the untrained network, maps that know
    nothing of the network, and an oracle at the layer's resolution. Writes nothing if no layer has
    a KL term over positions.

    Arguments:
        images: The number of test images shown, spread over the classes.
        padding: Pixels by which the padded box is wider than the tight one on every side;
            `None` takes 6 per 96 pixels of canvas.
        overlay: Whether to draw the maps over the images as well.
    """

    def __init__(self, images: int = 8, padding: int | None = None, overlay: bool = True) -> None:
        if images < 1:
            raise ValueError(f"images is {images}; at least 1 is needed")
        if padding is not None and padding < 0:
            raise ValueError(f"padding is {padding}; pixels cannot be fewer than 0")
        self.images = images
        self.padding = padding
        self.overlay = overlay

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.untrained: nn.Module | None = None
        self.scores = Scores()
        self.sizes: dict[str, str] = {}
        self.nats: dict[str, Tensor] = {}
        self.seen: list[tuple[Tensor, Tensor]] = []

    def update(self, batch: Batch, prediction: Prediction) -> None:
        maps = kl_maps(prediction)
        self.seen.append((batch.index.cpu(), batch.labels.cpu()))
        for name, kl in maps.items():
            self.sizes[name] = f"{kl.shape[1]}x{kl.shape[2]}"
            self.nats[name] = self.nats.get(name, torch.zeros(())) + kl.sum().cpu()
        if maps and batch.boxes is not None:
            self._measure(batch, batch.boxes, prediction.logits.argmax(1) == batch.labels, maps)

    @torch.no_grad()
    def _measure(
        self, batch: Batch, boxes: Tensor, right: Tensor, maps: dict[str, Tensor]
    ) -> None:
        """Scores the maps of the correctly classified images, and all they are compared with."""
        images = batch.images[right]
        if not len(images):
            return
        masks = None if batch.masks is None else batch.masks[right]
        size = (images.shape[2], images.shape[3])
        padding = self.padding
        if padding is None:
            padding = round(PADDING * min(size) / CANVAS)
        target = Target.of(boxes[right], masks, size, padding)
        if self.untrained is None:
            self.untrained = self.trained.untrained().eval()
        plain = kl_maps(self.untrained(self.trained.data.inputs(images), sample=False))
        for name, kl in maps.items():
            self.scores.add("layer", name, measure(resample(kl[right], size), target))
            self.scores.add("untrained", name, measure(resample(plain[name], size), target))
            self.scores.add("ceiling", name, measure(ceiling(target, kl), target))
        for name, scores in floors(images, target):
            self.scores.add("floor", name, scores)

    def write(self, folder: Path) -> list[Path]:
        if not self.sizes:
            return []
        maps = folder / "kl_maps.npz"
        write_bytes(maps, self._examples())
        pictures = [save(draw_maps(maps), folder / "kl_heatmap.png")]
        if self.overlay:
            pictures.append(save(draw_overlay(maps), folder / "kl_overlay.png"))
        rows = quality_table(self.scores, self.sizes, self.trained.seed)
        if not rows:
            return [*pictures, maps]
        table = write_csv(folder / "heatmap_quality.csv", rows)
        pictures.append(save(draw_quality(table), folder / "heatmap_quality.png"))
        return [*pictures, table, maps]

    @torch.no_grad()
    def _examples(self) -> bytes:
        """The chosen images and their maps as an NPZ archive."""
        index, labels = (torch.cat(part) for part in zip(*self.seen, strict=True))
        chosen = choose(index, labels, self.images, self.trained.seed)
        batch = self.trained.data.test.batch(chosen)
        prediction = self.trained.model(self.trained.data.inputs(batch.images), sample=False)
        arrays = {
            "index": chosen,
            "images": batch.images,
            "labels": batch.labels,
            "predictions": prediction.logits.argmax(1),
            "nats": torch.stack([self.nats[name] / len(index) for name in self.sizes]),
        }
        if batch.boxes is not None:
            arrays["boxes"] = batch.boxes
        maps = kl_maps(prediction)
        arrays |= {f"kl_{name}": maps[name] for name in self.sizes}
        content = io.BytesIO()
        names = {"layers": list(self.sizes), "classes": list(self.trained.data.spec.classes)}
        plain = {name: np.array(text) for name, text in names.items()}
        plain |= {name: value.cpu().numpy() for name, value in arrays.items()}
        np.savez_compressed(content, **plain)  # type: ignore[arg-type]
        return content.getvalue()


def kl_maps(prediction: Prediction) -> dict[str, Tensor]:
    """KL summed over channels of each layer with positions, with shape :math:`(B, h, w)`.

    A price of weights, spread evenly over the positions, makes no map.
    """
    return {
        name: kl.double().sum(1)
        for name, kl in prediction.kls.items()
        if kl.ndim == 4 and 0 not in kl.stride()[2:]
    }


def choose(index: Tensor, labels: Tensor, count: int, seed: int) -> Tensor:
    """Draws images spread over the classes, keyed by the seed, in order of their labels.

    Arguments:
        index: The numbers of the images, with shape :math:`(N)`.
        labels: Their classes, with shape :math:`(N)`.
        count: How many to draw.
        seed: The seed.
    """
    shuffled = torch.randperm(len(index), generator=generator(seed, "heatmap", "images"))
    order = shuffled[labels[shuffled].argsort(stable=True)]
    first = torch.searchsorted(labels[order], labels[order])
    turn = torch.arange(len(order)) - first
    place = torch.empty_like(shuffled)
    place[shuffled] = torch.arange(len(shuffled))
    drawn = order[(turn * len(order) + place[order]).argsort()[:count]]
    return index[drawn[labels[drawn].argsort(stable=True)]]
