"""Collapse is measured per layer and said in words."""

from __future__ import annotations

import math

import pytest
import torch

from ibdrop.learning.monitor import LayerMonitor, collapse_warnings
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy


def layer(alpha: float, cap: float = 0.7) -> Noisy:
    z = torch.ones(5, 2, 3, 3)
    z[:, 0] = 0
    alphas = torch.full_like(z, alpha)
    return Noisy(z, torch.log(cap / alphas), alphas, cap)


def test_figures() -> None:
    monitor = LayerMonitor()
    for _ in range(2):
        monitor.update(Prediction(torch.zeros(5, 4), {"D0": layer(0.35), "D1": layer(0.7)}))
    figures = monitor.figures()
    assert figures["kl/D0"] == pytest.approx(18 * math.log(2), rel=1e-6)
    assert figures["kl_per_unit/D0"] == pytest.approx(math.log(2), rel=1e-6)
    assert figures["at_cap/D0"] == 0
    assert figures["at_cap/D1"] == 1
    assert figures["alpha/D0"] == pytest.approx(0.35)
    assert figures["dead/D0"] == 0.5


def test_a_collapsed_layer_is_named() -> None:
    figures = {"kl/D0": 12.0, "kl/D1": 0.002, "at_cap/D1": 0.5, "kl/D2": 3.0, "at_cap/D2": 1.0}
    silent, capped = collapse_warnings(figures)
    assert silent.startswith(
        "layer D1 has collapsed: 50% of its alphas are at the cap and it carries 0.002 nats per "
        "sample, so it is constant noise"
    )
    assert capped.startswith("layer D2 has collapsed: 100% of its alphas are at the cap")


def test_layers_without_kl_have_only_dead_units() -> None:
    monitor = LayerMonitor()
    monitor.update(Prediction(torch.zeros(3, 4), {"D1": Noisy(torch.ones(3, 2))}))
    assert monitor.figures() == {"dead/D1": 0.0}


def test_a_noise_without_alpha_has_no_alpha() -> None:
    monitor = LayerMonitor()
    z = torch.ones(3, 2)
    monitor.update(Prediction(torch.zeros(3, 4), {"D1": Noisy(z, z / 2)}))
    assert monitor.figures() == {"dead/D1": 0.0, "kl/D1": 1.0, "kl_per_unit/D1": 0.5}
