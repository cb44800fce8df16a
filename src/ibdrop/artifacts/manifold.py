"""What the decoder makes of codes that no image had: grids, lines between images, draws."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.manifold_pictures import draw_between, draw_grids, draw_samples
from ibdrop.artifacts.plotting import save
from ibdrop.data.base import Batch
from ibdrop.files import write_bytes
from ibdrop.models.generative import Autoencoder, Reconstruction
from ibdrop.sampling.keyed import keyed
from ibdrop.seeds import generator

__all__ = ["Manifold", "choose_pairs", "grids"]

Array = np.ndarray[Any, Any]
KEPT = 5000
"""Test images whose codes say how far a grid reaches."""

INNER = 0.99
"""The share of the codes, of each unit, that a grid spans."""


class Manifold(Artifact):
    """Decodes a grid of codes, lines between the codes of two images, and draws from the prior.

    The grid is for codes of two units: it spans the codes of 99 % of the test images in equal
    steps, and where both units are positive once more in equal ratios (the manifold of Information
    Dropout, whose noise is multiplicative). Lines go in equal steps from the code of one test
    image to that of another, of another class where there are several. Draws come from the
    model's own prior, and are keyed by the seed; a prior that is no probability distribution has
    none. All images are the decoder's means. Not for decoders that read more than the code.

    Arguments:
        side: Codes along each side of the grid.
        pairs: The number of lines.
        steps: Codes along each line, both ends included.
        samples: The number of draws.
    """

    task: ClassVar[str | None] = "reconstruction"

    def __init__(
        self, side: int = 20, pairs: int = 10, steps: int = 11, samples: int = 100
    ) -> None:
        least = {"side": (side, 2), "pairs": (pairs, 1), "steps": (steps, 2)}
        for name, (value, few) in {**least, "samples": (samples, 1)}.items():
            if value < few:
                raise ValueError(f"{name}={value}: at least {few} is needed.")
        self.side = side
        self.pairs = pairs
        self.steps = steps
        self.samples = samples

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.codes: list[Tensor] = []
        self.seen: list[tuple[Tensor, Tensor]] = []
        self.count = 0

    def update(self, batch: Batch, prediction: Reconstruction) -> None:
        self.seen.append((batch.index.cpu(), batch.labels.cpu()))
        self.codes.append(prediction.code[: max(0, KEPT - self.count)].detach())
        self.count += len(batch.labels)

    @torch.no_grad()
    def write(self, folder: Path) -> list[Path]:
        codes = torch.cat(self.codes)
        files = self._samples(folder, codes) + self._between(folder)
        if codes.shape[1] == 2:
            files = self._grids(folder, codes) + files
        return sorted(files, key=lambda path: path.suffix != ".png")

    @property
    def _model(self) -> Autoencoder:
        assert isinstance(self.trained.model, Autoencoder)
        return self.trained.model

    def _decoded(self, codes: Tensor) -> Array:
        """The decoder's means of codes (*, H), as float16 with shape (*, C, H, W)."""
        flat = codes.reshape(-1, codes.shape[-1])
        parts = [self._model.means(self._model.decode(part)) for part in flat.split(500)]
        made = torch.cat(parts).half().cpu()
        return made.view(*codes.shape[:-1], *made.shape[1:]).numpy()

    def _grids(self, folder: Path, codes: Tensor) -> list[Path]:
        arrays: dict[str, Array] = {}
        for name, (across, up) in grids(codes, self.side).items():
            places = torch.stack(torch.meshgrid(across, up, indexing="xy"), -1)
            arrays |= {f"{name}_x": across.cpu().numpy(), f"{name}_y": up.cpu().numpy()}
            arrays[f"{name}_images"] = self._decoded(places)
        archive = _archive(folder / "manifold.npz", arrays)
        return [save(draw_grids(archive), folder / "manifold.png"), archive]

    def _between(self, folder: Path) -> list[Path]:
        index, labels = (torch.cat(part) for part in zip(*self.seen, strict=True))
        if len(index) < 2:
            return []
        ends = choose_pairs(index, labels, self.pairs, self.trained.seed)
        batch = self.trained.data.test.batch(ends.flatten())
        x = self.trained.data.inputs(batch.images)
        first, last = self._model(x, sample=False).code.view(*ends.shape, -1).unbind(1)
        share = torch.linspace(0, 1, self.steps, device=x.device, dtype=first.dtype)[:, None]
        made = self._decoded(torch.lerp(first[:, None], last[:, None], share))
        pixels = x.view(*ends.shape, *x.shape[1:]).half().cpu().numpy()
        arrays = {"index": ends.numpy(), "images": pixels, "between": made}
        archive = _archive(folder / "interpolations.npz", arrays)
        return [save(draw_between(archive), folder / "interpolations.png"), archive]

    def _samples(self, folder: Path, codes: Tensor) -> list[Path]:
        with keyed(self.trained.seed, "samples", torch.arange(self.samples), codes.device):
            drawn = self._model.codes(self.samples)
        if drawn is None:
            return []
        arrays = {"codes": drawn.float().cpu().numpy(), "images": self._decoded(drawn)}
        archive = _archive(folder / "samples.npz", arrays)
        return [save(draw_samples(archive), folder / "samples.png"), archive]


def grids(codes: Tensor, side: int) -> dict[str, tuple[Tensor, Tensor]]:
    """The places along both axes of each grid: `linear`, and `log` for positive codes.

    Arguments:
        codes: Codes of two units, with shape :math:`(N, 2)`.
        side: How many places there are along each axis.
    """
    share = torch.linspace(0, 1, side, dtype=torch.float64, device=codes.device)
    tails = torch.tensor([(1 - INNER) / 2, (1 + INNER) / 2], dtype=torch.float64)
    made = {"linear": _axes(codes.double(), tails.to(codes.device), share)}
    lit = codes[(codes > 0).all(1)].double()
    if float(codes.min()) >= 0 and len(lit) > 1:
        made["log"] = _axes(lit.log(), tails.to(codes.device), share, exponents=True)
    return {name: (x.to(codes.dtype), y.to(codes.dtype)) for name, (x, y) in made.items()}


def _axes(
    values: Tensor, tails: Tensor, share: Tensor, exponents: bool = False
) -> tuple[Tensor, Tensor]:
    low, high = torch.quantile(values, tails, dim=0)
    places = low + share[:, None] * (high - low)
    x, y = (places.exp() if exponents else places).unbind(1)
    return x, y


def choose_pairs(index: Tensor, labels: Tensor, count: int, seed: int) -> Tensor:
    """Draws pairs of images, of different classes where there are several, keyed by the seed.

    Arguments:
        index: The numbers of the images, with shape :math:`(N)`.
        labels: Their classes, with shape :math:`(N)`.
        count: How many pairs to draw.
        seed: The seed.

    Returns:
        Numbers of images, with shape (count, 2).
    """
    random = generator(seed, "manifold", "pairs")
    several = len(labels.unique()) > 1
    pairs = []
    for _ in range(count):
        one = int(torch.randint(len(index), (), generator=random))
        others = labels != labels[one] if several else torch.arange(len(index)) != one
        found = others.nonzero()[:, 0]
        pairs.append((one, int(found[torch.randint(len(found), (), generator=random)])))
    return index[torch.tensor(pairs)]


def _archive(path: Path, arrays: dict[str, Array]) -> Path:
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    return write_bytes(path, content.getvalue())
