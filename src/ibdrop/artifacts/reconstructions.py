"""Test images beside what an autoencoder, and PCA of the same width, make of them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.heatmap import choose
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.reconstruction_pictures import draw_examples, draw_sheet
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes, write_csv
from ibdrop.merit.reconstruction import compared, references, target_of, training_pixels
from ibdrop.models.generative import Autoencoder, Reconstruction
from ibdrop.models.likelihood import floor
from ibdrop.sampling.keyed import keyed

__all__ = ["Reconstructions"]

CORRUPTION = "corruption"
CLEAN, CORRUPTED = "clean images", "corrupted images"


class Reconstructions(Artifact):
    r"""Originals, reconstructions and what is between them, with costs that can be compared.

    Every reconstruction is the decoder's mean :math:`p` for the plain code, without noise. Where
    the network is trained on corrupted images, it is shown both the clean and the corrupted ones,
    the corruption keyed by image; the target is the clean image in either case, or what the
    network makes its target: black and white pixels, or the lower half. Beside each stand the
    floor of the cost, the mean training image, and PCA of the training images with as many
    components as the code has units, all of the same target. `reconstruction.csv` holds the
    figures of all test images, `reconstructions.csv` those of the images that are drawn: costs in
    nats per image, squared errors :math:`\frac{1}{D} \sum_k (x_k - p_k)^2` per pixel.

    Arguments:
        images: The number of test images drawn large, spread over the classes.
        first: The number of test images drawn small, the first ones.
    """

    task: ClassVar[str | None] = "reconstruction"

    def __init__(self, images: int = 10, first: int = 100) -> None:
        for name, value in (("images", images), ("first", first)):
            if value < 1:
                raise ValueError(f"{name}={value}: at least 1 is needed.")
        self.images = images
        self.first = first

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.sums: dict[str, dict[str, float]] = {}
        self.width = 0
        self.corrupts = False

    @torch.no_grad()
    def update(self, batch: Batch, prediction: Reconstruction) -> None:
        x = self.trained.data.inputs(batch.images)
        if not self.seen:
            self.width = prediction.code.shape[1]
            self.corrupts = not torch.equal(self._corrupted(x, batch.index), x)
        self.seen.append((batch.index.cpu(), batch.labels.cpu()))
        self._add(CLEAN, x, prediction.output)
        if self.corrupts:
            shown = self._corrupted(x, batch.index)
            self._add(CORRUPTED, x, self._model(shown, sample=False).output)

    def write(self, folder: Path) -> list[Path]:
        index, labels = (torch.cat(part) for part in zip(*self.seen, strict=True))
        shown = choose(index, labels, self.images, self.trained.seed)
        figures = write_csv(folder / "reconstruction.csv", self._figures(len(index)))
        arrays = self._examples(torch.cat([index[: self.first], shown]))
        arrays |= {"first": np.array(min(self.first, len(index)))}
        table = write_csv(folder / "reconstructions.csv", _rows(arrays))
        content = io.BytesIO()
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
        archive = write_bytes(folder / "reconstructions.npz", content.getvalue())
        return [
            save(draw_examples(archive, figures), folder / "reconstructions.png"),
            save(draw_sheet(archive, figures), folder / "reconstructions_first.png"),
            figures,
            table,
            archive,
        ]

    @property
    def _model(self) -> Autoencoder:
        assert isinstance(self.trained.model, Autoencoder)
        return self.trained.model

    def _corrupted(self, x: Tensor, index: Tensor) -> Tensor:
        with keyed(self.trained.seed, CORRUPTION, index, x.device):
            return self._model.corrupted(x)

    def _add(self, what: str, x: Tensor, output: Tensor) -> None:
        found = compared(self._model, output, x)
        sums = self.sums.setdefault(what, dict.fromkeys(found, 0.0))
        for name, each in found.items():
            sums[name] += float(each.sum())

    def _figures(self, images: int) -> list[dict[str, Any]]:
        """One row for each way to reconstruct, the network's first."""
        model, data = self._model, self.trained.data
        known = references(
            data, self.width, model.likelihood, model.deviation, images, target_of(model)
        )
        white = data.inputs(torch.full_like(data.test.batch(torch.tensor([0])).images, 255))
        common = {"likelihood": model.likelihood, "white": float(white.max()), "images": images}
        rows: list[dict[str, Any]] = [
            {"what": what, "width": self.width, **{n: s / images for n, s in sums.items()}}
            for what, sums in self.sums.items()
        ]
        if "mse_pca" in known:
            rows.append({"what": "PCA", "width": self.width, "mse": known["mse_pca"]})
        mean = {"ce": known["ce_mean_image"], "mse": known["mse_mean_image"]}
        rows.append({"what": "mean training image", "width": 0, **mean})
        rows.append({"what": "floor", "ce": known["ce_floor"], "mse": 0.0})
        for row in rows:
            if "ce" in row:
                row["ce_above_floor"] = row["ce"] - known["ce_floor"]
        return [row | common for row in rows]

    @torch.no_grad()
    def _examples(self, index: Tensor) -> dict[str, np.ndarray[Any, Any]]:
        """The images with these numbers and their reconstructions, with their costs."""
        batch = self.trained.data.test.batch(index)
        x, model = self.trained.data.inputs(batch.images), self._model
        aim = target_of(model)(x)
        made = {"index": index, "labels": batch.labels, "original": x}
        made["floor"] = floor(aim.double(), model.likelihood, model.deviation)
        made |= self._made("clean", x, x)
        if not torch.equal(aim, x):
            made["target"] = torch.cat([made["clean"][:, :, : -aim.shape[2]], aim], 2)
        if self.corrupts:
            made["corrupted"] = self._corrupted(x, index)
            made |= self._made("restored", made["corrupted"], x)
        pca = training_pixels(self.trained.data, target_of(model)).pca(self.width)
        if pca is not None:
            made["pca"] = pca.rebuild(aim).float()
            made["mse_pca"] = (made["pca"] - aim).double().square().flatten(1).mean(1)
        plain = {name: value.cpu().numpy() for name, value in made.items()}
        classes = np.array(self.trained.data.spec.classes)
        return plain | {"classes": classes, "width": np.array(self.width)}

    def _made(self, name: str, shown: Tensor, x: Tensor) -> dict[str, Tensor]:
        """What is made of the images that are shown, and what that costs against `x`."""
        output = self._model(shown, sample=False).output
        figures = compared(self._model, output, x)
        return {name: self._model.means(output)} | {
            f"{figure}_{name}": each for figure, each in figures.items()
        }


def _rows(arrays: dict[str, np.ndarray[Any, Any]]) -> list[dict[str, Any]]:
    """The figures of each image, one row for each."""
    flat = [name for name, value in arrays.items() if value.ndim == 1 and name != "classes"]
    return [
        {name: arrays[name][row].item() for name in flat} for row in range(len(arrays["index"]))
    ]
