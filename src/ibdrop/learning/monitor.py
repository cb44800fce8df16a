"""What each noisy layer lets through; collapse is shown, never hidden."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ibdrop.models.base import Prediction
from ibdrop.models.generative import Reconstruction
from ibdrop.noise.base import Noisy

__all__ = ["COLLAPSED", "LayerMonitor", "collapse_warnings"]

COLLAPSED = 0.01
"""Nats per sample under which a layer is said to carry nothing."""

AT_CAP = 0.99
"""Share of the cap above which alpha is at the cap, and of alphas at it that is a collapse."""


class LayerMonitor:
    """Gathers, for each noisy layer, what it costs and how much of it is alive.

    Everything stays on the device until `figures` is asked for.
    """

    def __init__(self) -> None:
        self.images = 0
        self.sums: dict[str, Tensor] = {}
        self.alive: dict[str, Tensor] = {}
        self.units: dict[str, int] = {}
        self.known: dict[str, tuple[str, ...]] = {}

    def update(self, prediction: Prediction | Reconstruction) -> None:
        """Takes in the layers of what a network made of a batch."""
        self.images += len(prediction[0])
        for name, layer in prediction.layers.items():
            self.units[name] = layer.z[0].numel()
            alive = (layer.z != 0).any(0)
            self.alive[name] = self.alive[name] | alive if name in self.alive else alive
            if layer.kl is not None:
                sums = _sums(layer)
                self.known[name] = tuple(sums)
                total = torch.stack(list(sums.values()))
                self.sums[name] = self.sums[name] + total if name in self.sums else total

    def figures(self) -> dict[str, float]:
        """Gives `quantity/layer` for each layer.

        `kl`: nats per sample; `kl_per_unit`: nats per sample and unit; `at_cap`: share of alphas
        at the cap; `alpha`: their mean; `dead`: share of units that were 0 for every image.
        """
        found: dict[str, float] = {}
        for name, units in self.units.items():
            found[f"dead/{name}"] = 1.0 - self.alive[name].double().mean().item()
            if name in self.sums:
                means = (self.sums[name] / self.images).tolist()
                found |= _named(name, units, dict(zip(self.known[name], means, strict=True)))
        return found


def _named(name: str, units: int, means: Mapping[str, float]) -> dict[str, float]:
    found = {f"kl/{name}": means["kl"], f"kl_per_unit/{name}": means["kl"] / units}
    return found | {
        f"{quantity}/{name}": means[quantity] / units
        for quantity in ("at_cap", "alpha")
        if quantity in means
    }


def _sums(layer: Noisy) -> dict[str, Tensor]:
    """Sums over units and images of what the noise of a layer tells."""
    assert layer.kl is not None
    sums = {"kl": layer.kl.sum(dtype=torch.float64)}
    if layer.alpha is not None:
        sums["alpha"] = layer.alpha.sum(dtype=torch.float64)
        if layer.cap is not None:
            sums["at_cap"] = (layer.alpha > AT_CAP * layer.cap).sum(dtype=torch.float64)
    return sums


def collapse_warnings(figures: Mapping[str, float]) -> list[str]:
    """One sentence for each layer that has become constant noise.

    A layer has collapsed if it carries less than a hundredth of a nat per sample, or if almost
    all of its alphas are at the cap.

    Arguments:
        figures: What `LayerMonitor.figures` gives.
    """
    sentences = []
    for key, nats in figures.items():
        quantity, _, layer = key.partition("/")
        share = figures.get(f"at_cap/{layer}", 0.0)
        if quantity == "kl" and (nats < COLLAPSED or share > AT_CAP):
            capped = f"{share:.0%} of its alphas are at the cap and " if share else ""
            sentences.append(
                f"layer {layer} has collapsed: {capped}it carries {nats:.2g} nats per sample, so "
                "it is constant noise and no information bottleneck; try a smaller beta, "
                "beta_warmup, or, with noise=information, noise.parametrisation=squareplus"
            )
    return sentences
