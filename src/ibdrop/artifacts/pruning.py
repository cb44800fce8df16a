"""What sparse variational dropout leaves of a network, and what the rest was worth."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.plotting import save
from ibdrop.artifacts.pruning_picture import draw
from ibdrop.data.base import Batch
from ibdrop.files import write_csv
from ibdrop.models.base import NoisyLayer, Prediction
from ibdrop.noise.sparse import CLAMP, SparseVariationalNoise

__all__ = ["Pruning", "prune", "sparse_layers"]

BINS = 64


class Pruning(Artifact):
    r"""Counts the weights that rise above their noise, and tests what they can do alone.

    Writes `pruning.csv` (weights by layer; :math:`\log \alpha` up to the threshold is kept),
    `pruning_summary.csv` (the test set before and after the others are set to zero, in a copy)
    and `pruning_histogram.csv` (:math:`\log \alpha`, the ends taken in). Networks without sparse
    variational dropout get no files.

    Reference: Molchanov, Ashukha & Vetrov, arXiv 1701.05369.
    """

    def begin(self, trained: Trained) -> None:
        self.trained = trained
        self.layers = sparse_layers(trained.model)
        self.seen: list[Tensor] = []
        self.dense = torch.zeros(2, dtype=torch.float64)

    def update(self, batch: Batch, prediction: Prediction) -> None:
        if self.layers:
            self.seen.append(batch.index)
            self.dense += _right_and_nll(prediction.logits, batch.labels)

    def write(self, folder: Path) -> list[Path]:
        if not self.layers:
            return []
        rows = _count(self.trained.model, self.layers)
        table = write_csv(folder / "pruning.csv", rows)
        histogram = write_csv(folder / "pruning_histogram.csv", _histogram(self.layers))
        summary = write_csv(folder / "pruning_summary.csv", self._compare(rows[-1]))
        picture = save(draw(table, histogram, summary), folder / "pruning.png")
        return [picture, table, summary, histogram]

    def _compare(self, total: dict[str, Any]) -> list[dict[str, Any]]:
        images = sum(map(len, self.seen))
        pruned = torch.zeros(2, dtype=torch.float64)
        network, data = prune(self.trained.model), self.trained.data
        with torch.no_grad():
            for index in self.seen:
                batch = data.test.batch(index)
                prediction = network(data.inputs(batch.images), sample=False)
                pruned += _right_and_nll(prediction.logits, batch.labels)
        rows = []
        for name, sums, kept in (
            ("as trained", self.dense, total["weights"]),
            ("pruned", pruned, total["kept"]),
        ):
            right, nll = (sums / max(1, images)).tolist()
            row = {"network": name, "weights": kept, "images": images}
            rows.append(row | {"accuracy": right, "error": 1 - right, "nll": nll})
        return rows


def sparse_layers(model: nn.Module) -> dict[str, NoisyLayer]:
    """The layers with sparse variational dropout, by the last part of their name if that will do.

    Arguments:
        model: The network.
    """
    found = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, NoisyLayer) and isinstance(module.noise, SparseVariationalNoise)
    }
    short = [name.rpartition(".")[2] for name in found]
    names = short if len(set(short)) == len(short) else list(found)
    return dict(zip(names, found.values(), strict=True))


def prune(model: nn.Module) -> nn.Module:
    """A copy of the network without the weights whose noise is above the threshold.

    Arguments:
        model: The network, which stays as it is.
    """
    pruned = copy.deepcopy(model)
    for layer in sparse_layers(pruned).values():
        layer.affine.weight.data.masked_fill_(~_kept(layer), 0)
    return pruned


def _kept(layer: NoisyLayer) -> Tensor:
    assert isinstance(layer.noise, SparseVariationalNoise)
    return layer.noise.kept(layer.affine)


def _count(model: nn.Module, layers: dict[str, NoisyLayer]) -> list[dict[str, Any]]:
    """A row for each sparse layer, one for all other maps, and the total."""
    rows = []
    for name, layer in layers.items():
        kept = _kept(layer)
        assert isinstance(layer.noise, SparseVariationalNoise)
        row = _row(name, kept.numel(), int(kept.sum()))
        rows.append(row | {"threshold": layer.noise.threshold})
    sparse = {id(layer.affine) for layer in layers.values()}
    dense = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and id(module) not in sparse
    )
    if dense:
        rows.append(_row("dense layers", dense, dense))
    weights, kept_of_all = (sum(row[key] for row in rows) for key in ("weights", "kept"))
    return [*rows, _row("total", weights, kept_of_all)]


def _row(name: str, weights: int, kept: int) -> dict[str, Any]:
    """Sparsity is the share of weights that go, compression weights per weight kept."""
    return {
        "layer": name,
        "weights": weights,
        "kept": kept,
        "sparsity": 1 - kept / weights,
        "compression": weights / kept if kept else float("inf"),
    }


def _histogram(layers: dict[str, NoisyLayer]) -> list[dict[str, Any]]:
    rows = []
    width = 2 * CLAMP / BINS
    for name, layer in layers.items():
        assert isinstance(layer.noise, SparseVariationalNoise)
        values = layer.noise.log_alpha(layer.affine).detach().float().cpu().clamp(-CLAMP, CLAMP)
        for number, count in enumerate(torch.histc(values, BINS, -CLAMP, CLAMP).long().tolist()):
            left = -CLAMP + number * width
            rows.append({"layer": name, "from": left, "to": left + width, "weights": count})
    return rows


def _right_and_nll(logits: Tensor, labels: Tensor) -> Tensor:
    """The number of right answers, and the sum of their negative log-likelihoods in nats."""
    right = (logits.argmax(1) == labels).double().sum()
    nll = F.cross_entropy(logits.double(), labels, reduction="sum")
    return torch.stack([right, nll]).cpu()
