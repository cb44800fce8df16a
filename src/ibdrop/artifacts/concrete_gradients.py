"""What noise leaves of the gradient at the logits of relaxed units, by the path it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact, Trained
from ibdrop.artifacts.concrete_gradients_picture import draw
from ibdrop.artifacts.plotting import save
from ibdrop.files import write_csv
from ibdrop.models.discrete.estimators import Draw
from ibdrop.models.discrete.objectives import price
from ibdrop.models.discrete_vae import DiscreteVAE
from ibdrop.noise.draws import drawing_from
from ibdrop.sampling.designs import Draws
from ibdrop.sampling.random import Rows
from ibdrop.seeds import key

__all__ = ["ConcreteGradients", "gradients", "relaxed"]

SMALL = 1e-6
LEAST, MOST, BINS = -12.0, 2.0, 84
"""The range of the histogram in powers of ten, and its bins; what lies beyond goes to its ends."""

RELAXED = ("concrete", "gumbel_softmax")


class ConcreteGradients(Artifact):
    r"""Measures the gradient of one training step at the encoder's logits, over the noise.

    Each path is measured on its own, from the same draws, at the last temperature of the
    posterior and :math:`\beta = 1`:

    - `unit`: the derivative of a relaxed unit in its own logit, :math:`z (1 - z) / \lambda`
      (of the binary unit all that passes, of n states the diagonal of the Jacobian);
    - `decoder`: :math:`-\log p(x | z)`, which passes through the unit;
    - `KL`: the price of the code in the objective that the model is trained on;
    - `total`: their sum.

    Writes `concrete_gradients.csv`, one row per path: over all draws, images and units the median
    and the mean of :math:`|g|`, the shares below 1e-6 and exactly 0; and with mean :math:`m` and
    variance :math:`s^2` over the draws of each image and unit, the signal
    :math:`\sqrt{\langle m^2 - s^2 / D \rangle}` (which is free of what noise is left in
    :math:`m`), the noise :math:`\sqrt{\langle s^2 \rangle}`, their ratio `snr`, and its naive form
    :math:`\langle |m| \rangle / \langle s \rangle`, which cannot fall below
    :math:`\sqrt{2 / (\pi D)}`. The row `unit` has the limits of small temperatures beside them,
    see `ibdrop.merit.gradients`. `concrete_gradients_histogram.csv` has the shares of
    :math:`\log_{10} |g|`.

    Models without one layer of units that train by relaxation get no files.

    Arguments:
        images: How many test images, the first ones.
        draws: How often each is relaxed, :math:`D`.

    Raises:
        ValueError: There is no image, or less than two draws.
    """

    task: ClassVar[str | None] = "reconstruction"

    def __init__(self, images: int = 100, draws: int = 64) -> None:
        if images < 1:
            raise ValueError(f"images={images}: must be at least 1.")
        if draws < 2:
            raise ValueError(f"draws={draws}: must be at least 2, for a deviation.")
        self.images, self.draws = images, draws

    def begin(self, trained: Trained) -> None:
        self.trained = trained

    def write(self, folder: Path) -> list[Path]:
        model, data = self.trained.model, self.trained.data
        if not relaxed(model):
            return []
        assert isinstance(model, DiscreteVAE)
        index = torch.arange(min(self.images, len(data.test)))
        x = data.inputs(data.test.batch(index).images)
        found = gradients(model, x, index, self.draws, self.trained.seed)
        given = {"images": len(index), **_setting(model), "draws": self.draws}
        rows = [{"path": path, **given, **_row(g)} for path, g in found.items()]
        rows[0] |= _limits(model, x)
        table = write_csv(folder / "concrete_gradients.csv", rows)
        bins = write_csv(folder / "concrete_gradients_histogram.csv", _histogram(found))
        return [save(draw(table, bins), folder / "concrete_gradients.png"), table, bins]


def relaxed(model: nn.Module) -> bool:
    """Whether this is a model of one layer of units that trains by relaxing them."""
    if not isinstance(model, DiscreteVAE) or model.estimator not in RELAXED:
        return False
    return model.prior is not None and not model.prior.maps


def gradients(
    model: DiscreteVAE, x: Tensor, index: Tensor, draws: int, seed: int
) -> dict[str, Tensor]:
    """Draws the gradients of each path; draws are keyed by seed, draw and image.

    Arguments:
        model: One that is `relaxed`, in evaluation mode.
        x: Pixels in [0, 1], with shape :math:`(B, C, H, W)`.
        index: The numbers of the images, with shape :math:`(B)`.
        draws: The number of draws :math:`D`.
        seed: The seed.

    Returns:
        Nats per unit of logit by path, each with shape :math:`(D, B, U)`, :math:`U` logits.
    """
    made = Draws(key(seed, "concrete_gradients"), (draws,), "row", "independent", x.device)
    parts = []
    for number in range(draws):
        source = Rows(made, range(number, number + 1), index.to(x.device), lifted=False)
        with drawing_from(source), torch.enable_grad():
            parts.append(_one_draw(model, model.target(x)))
    return {path: torch.stack([part[path] for part in parts]) for path in parts[0]}


def _one_draw(model: DiscreteVAE, x: Tensor) -> dict[str, Tensor]:
    assert model.prior is not None
    now = model.temperatures(1.0)
    logits = model.encode(x).detach().requires_grad_()
    y = model.relax(logits, now[0])
    z = model.kind.soft(y)
    cost = price(model.kind, Draw(logits, z, y), model.prior.top, model.objective, now)
    (decoder,) = torch.autograd.grad(
        model.decoder_term(y, x).sum(), logits, retain_graph=True, materialize_grads=True
    )
    (kl,) = torch.autograd.grad(cost.sum(), logits)
    unit = (z * (1 - z) / now[0]).detach()
    found = {"unit": unit, "decoder": decoder, "KL": kl, "total": decoder + kl}
    return {path: g.flatten(1) for path, g in found.items()}


def _setting(model: DiscreteVAE) -> dict[str, Any]:
    posterior, prior = model.temperatures(1.0)
    return {
        "states": model.kind.states,
        "temperature": posterior,
        "prior_temperature": prior,
        "objective": model.objective,
    }


def _row(g: Tensor) -> dict[str, float]:
    """The figures of one path."""
    size, wide = g.abs(), g.double()
    m, variance = wide.mean(0), wide.var(0)
    signal = float((m.square() - variance / len(g)).mean().clamp_min(0).sqrt())
    noise = float(variance.mean().sqrt())
    naive = float(m.abs().mean() / variance.sqrt().mean()) if noise else float("nan")
    return {
        "median": float(size.median()),
        "mean": float(size.double().mean()),
        "signal": signal,
        "noise": noise,
        "snr": signal / noise if noise else float("nan"),
        "naive_snr": naive,
        "below": float((size < SMALL).double().mean()),
        "zeros": float((size == 0).double().mean()),
    }


@torch.no_grad()
def _limits(model: DiscreteVAE, x: Tensor) -> dict[str, float]:
    """What mean, signal and mean square of the row `unit` tend to, were the logits to stay."""
    p = model.kind.probabilities(model.encode(model.target(x))).double()
    slope = p * (1 - p)
    temperature = model.temperatures(1.0)[0]
    return {
        "limit_mean": float(slope.mean()),
        "limit_signal": float(slope.square().mean().sqrt()),
        "limit_second": float(slope.mean()) / (6 * temperature),
    }


def _histogram(found: dict[str, Tensor]) -> list[dict[str, Any]]:
    width = (MOST - LEAST) / BINS
    edges = [LEAST + width * number for number in range(BINS)]
    shares = {}
    for path, g in found.items():
        size = g.abs().flatten().cpu()
        powers = size[size > 0].log10().clamp(LEAST, MOST)
        shares[path] = (torch.histc(powers, BINS, LEAST, MOST).double() / len(size)).tolist()
    return [
        {
            "from": edge,
            "to": edge + width,
            **{path: share[number] for path, share in shares.items()},
        }
        for number, edge in enumerate(edges)
    ]
