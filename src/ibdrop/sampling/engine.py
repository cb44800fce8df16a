"""Monte Carlo sampling of a network with its noise on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ibdrop.noise.base import Noise
from ibdrop.sampling.apart import take_apart
from ibdrop.sampling.designs import DESIGNS, Design, Draws, Sharing, group_sizes
from ibdrop.sampling.predictive import Predictive
from ibdrop.sampling.sums import Sums
from ibdrop.sampling.tiles import Tiles
from ibdrop.sampling.whole import Whole

__all__ = ["MonteCarlo", "NoNoiseError"]

log = logging.getLogger(__name__)

PROBES = 3
"""Images on which a network is tried out."""

SILENT = 64
"""Images at a time where there is nothing to sample."""

MOST_ROWS = 4096
"""Rows of a tile: more are no faster, and on the CPU they fall out of the cache."""

MEBIBYTES = {"cpu": 64.0, "cuda": 4096.0}
"""What the activations of a tile may take."""

TOLERANCE = 1e-3
"""The largest difference of logits, relative to their size, between two ways to compute them."""


class Plan(Protocol):
    """A way to carry out passes, see `ibdrop.sampling.tiles.Tiles`."""

    row_bytes: int
    image_bytes: int

    def prefix(self, inputs: Tensor) -> Any:
        """Computes what all passes share."""

    def plain(self, known: Any) -> Tensor:
        """Computes the logits with the noise off, with shape :math:`(B, K)`."""

    def logits(self, known: Any, passes: range, images: Tensor) -> Tensor:
        """Computes the logits of some passes, with shape :math:`(S, B, K)`."""


class NoNoiseError(ValueError):
    """The network has no layer with noise, so there is nothing to sample."""


class MonteCarlo:
    r"""Estimates predictive distributions from :math:`T` passes with the noise on.

    Only noise becomes random: the network stays in evaluation mode, and flags, buffers and the
    state of torch's generators are afterwards what they were. What comes before the first draw is
    computed once for each image, the rest in tiles of passes and images. The draws are keyed by
    `seed`, layer, pass, image and unit, so the result does not depend on batches, tiles, order or
    device, beyond the rounding of matrix products. Memory does not grow with :math:`T`.

    A network that cannot be taken apart, for example because it decides by the value of a tensor,
    is called whole for every pass; `notes` and the log say so.

    Arguments:
        model: A classifier called as `model(inputs, sample=True)`, in evaluation mode.
        seed: What the draws are keyed by.
        passes: The number of passes :math:`T`.
        mask_sharing: `batch` shares each pass's draws among all images: each image sees the same
            distribution, rankings become sharper, and dropped units can be left out of the matrix
            products. `row` draws for each image: means over a data set become sharper.
        design: How the passes of a group hang together, see `ibdrop.sampling.designs.Draws`.
        groups: The number of independent groups of passes, for standard errors; at most `passes`.
        memory: Mebibytes for the activations of a tile; `None` for 64 on the CPU, 4096 on CUDA.

    Raises:
        ValueError: An argument is out of its range, or the model is in training mode.
        NoNoiseError: The model has no noise layer.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        seed: int,
        passes: int = 50,
        mask_sharing: Sharing = "batch",
        design: Design = "balanced",
        groups: int = 10,
        memory: float | None = None,
    ) -> None:
        for name, value in (("passes", passes), ("groups", groups)):
            if value < 1:
                raise ValueError(f"{name} is {value}; at least 1 is needed")
        if mask_sharing not in ("batch", "row"):
            raise ValueError(f"mask_sharing={mask_sharing}: must be one of batch, row.")
        if design not in DESIGNS:
            raise ValueError(f"design={design}: must be one of {', '.join(DESIGNS)}.")
        if memory is not None and not memory > 0:
            raise ValueError(f"memory is {memory} MiB; it must be above 0")
        self.model, self.seed, self.passes = model, seed, passes
        self.mask_sharing, self.design = mask_sharing, design
        self.sizes = group_sizes(passes, min(groups, passes))
        self.memory = memory
        self.notes: list[str] = []
        self.most_rows = MOST_ROWS
        self._plan: Plan | None = None
        self._prepared = False

    @torch.no_grad()
    def __call__(self, inputs: Tensor, index: Tensor) -> Predictive:
        """Samples.

        Arguments:
            inputs: What the network reads, with shape :math:`(B, C, H, W)`.
            index: The numbers of the images, which key their draws, with shape :math:`(B)`.
        """
        if any(module.training for module in self.model.modules()):
            raise ValueError("the model is in training mode; call model.eval() before sampling")
        images = index.to(inputs.device)
        with _untouched_generators():
            if not self._prepared:
                self._plan = self._prepare(inputs, images)
                self._prepared = True
            return self._sample(self._plan, inputs, images)

    def _sample(self, plan: Plan | None, inputs: Tensor, images: Tensor) -> Predictive:
        if plan is None:
            parts = [self.model(part, sample=False).logits for part in inputs.split(SILENT)]
            return Predictive.of_logits(torch.cat(parts)[None])
        while True:
            try:
                return self._once(plan, inputs, images)
            except torch.OutOfMemoryError:
                if self.most_rows == 1:
                    raise
                self.most_rows //= 2
                torch.cuda.empty_cache()
                self._say(f"out of memory: tiles of {self.most_rows} rows are tried")

    def _once(self, plan: Plan, inputs: Tensor, images: Tensor) -> Predictive:
        """Goes through all tiles: images outside, so that each prefix is computed once."""
        rows = self._share(plan.row_bytes, inputs.device)
        width = min(rows, self._share(plan.image_bytes, inputs.device), len(inputs))
        height = rows // width
        sums: Sums | None = None
        for start in range(0, len(inputs), width):
            place = slice(start, min(start + width, len(inputs)))
            known = plan.prefix(inputs[place])
            plain = plan.plain(known)
            sums = sums or Sums(self.sizes, len(inputs), plain)
            sums.deterministic[place] = plain.double().softmax(-1)
            for first in range(0, sum(self.sizes), height):
                passes = range(first, min(first + height, sum(self.sizes)))
                sums.add(passes, place, plan.logits(known, passes, images[place]))
        assert sums is not None, "a batch has images"
        return sums.predictive()

    def _share(self, each: int, device: torch.device) -> int:
        """How many rows of so many bytes a tile may have."""
        mebibytes = self.memory or MEBIBYTES.get(device.type, MEBIBYTES["cpu"])
        return max(1, min(self.most_rows, int(mebibytes * (1 << 20)) // each))

    def _prepare(self, inputs: Tensor, images: Tensor) -> Plan | None:
        """Chooses the way to go; `None` where no pass differs from the plain network."""
        draws = Draws(self.seed, self.sizes, self.mask_sharing, self.design, inputs.device)
        whole = Whole(self.model, draws)
        few = inputs[:PROBES], images[:PROBES]
        calls = whole.probe(*few)
        if not whole.keyed:
            self._say(
                "the network draws random numbers in a way that cannot be keyed: it is called "
                "whole for each pass, and its results depend on the batches"
            )
            return whole
        if calls == 0:
            if any(isinstance(module, Noise) for module in self.model.modules()):
                return None
            raise NoNoiseError(
                "the network has no noise layer, so there is nothing to sample; "
                "train it with noise=binary, for example"
            )
        try:
            tiles = take_apart(self.model, draws, *few, calls)
            self._check(tiles, whole, *few)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            self._say(
                f"the network cannot be taken apart at its first noise ({reason}): it is called "
                "whole for each pass"
            )
            return whole
        return tiles

    def _check(self, tiles: Tiles, whole: Whole, inputs: Tensor, images: Tensor) -> None:
        """Compares the parts with the whole on a few images: what differs is not used."""
        passes = range(min(2, self.passes))
        known = tiles.prefix(inputs)
        found = torch.cat([tiles.logits(known, passes, images), tiles.plain(known)[None]])
        wanted = torch.cat([whole.logits(inputs, passes, images), whole.plain(inputs)[None]])
        error = float((found - wanted).abs().max())
        if not error <= TOLERANCE * (1 + float(wanted.abs().max())):
            raise ArithmeticError(f"its logits would differ by {error:.2g}")

    def _say(self, sentence: str) -> None:
        self.notes.append(sentence)
        log.warning(sentence)


@contextmanager
def _untouched_generators() -> Iterator[None]:
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=devices):
        yield
