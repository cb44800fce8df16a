"""Tables of what noise leaves of gradients, from the numbers that runs and sweeps wrote."""

from __future__ import annotations

from pathlib import Path

from ibdrop.runs.cells import Row, known, number, rows, text
from ibdrop.runs.page import Table

__all__ = ["gradients"]

FIGURES = {
    "median": ("median", "{:.3g}"),
    "mean": ("mean", "{:.3g}"),
    "signal": ("signal", "{:.3g}"),
    "noise": ("noise", "{:.3g}"),
    "snr": ("signal to noise ↑", "{:.3f}"),
    "below": ("below 1e-6", "{:.1%}"),
    "zeros": ("exactly 0", "{:.1%}"),
}
COSTS = {
    "train_loss": ("relaxed loss ↓", "{:.2f}"),
    "train_kl": ("its KL", "{:.2f}"),
    "val_cost": ("−ELBO, discrete ↓", "{:.2f}"),
    "val_kl": ("its KL", "{:.2f}"),
    "best_epoch": ("best epoch", "{:g}"),
    "elbo": ("−ELBO, test ↓", "{:.2f}"),
    "nll": ("−L_m, test ↓", "{:.2f}"),
}
SAID = (
    "Gradient at the encoder's logits, in nats, over test images, units and draws of the noise. "
    "Median and mean are of its size; signal is the mean over the noise, noise the deviation, "
    "both as root mean squares over images and units. Both: decoder and KL path added."
)
PRICES = (
    "Nats per image. The relaxed loss and the −ELBO of the discrete graph beside it are those of "
    "training and validation in the last epoch; where the first looks well and the second does "
    "not, units rest between their states. The test is that of the best epoch, as are the "
    "gradients."
)


def gradients(folder: Path) -> list[Table]:
    """The figures by path, of a sweep for each temperature, and there the bounds as well.

    Arguments:
        folder: That of the artifacts of a run or of a sweep.
    """
    swept = rows(folder / "gradients_over_temperature.csv")
    tables = _paths(swept or rows(folder / "concrete_gradients.csv"))
    return [*tables, *_costs(rows(folder / "costs_over_temperature.csv"))]


def _paths(found: list[dict[str, str]]) -> list[Table]:
    names = known(found, FIGURES)
    body = [
        [_temperature(row), row["path"], *(text(number(row, n), FIGURES[n][1]) for n in names)]
        for row in found
    ]
    heads = ("temperature", "path", *(FIGURES[name][0] for name in names))
    return [Table(heads, body, text=(1,), caption=SAID)] if names else []


def _costs(found: list[dict[str, str]]) -> list[Table]:
    names = known(found, COSTS)
    body = [
        [_temperature(row), *(text(number(row, name), COSTS[name][1]) for name in names)]
        for row in found
    ]
    heads = ("temperature", *(COSTS[name][0] for name in names))
    return [Table(heads, body, caption=PRICES)] if names else []


def _temperature(row: Row) -> str:
    return text(number(row, "temperature"), "{:.3g}")
