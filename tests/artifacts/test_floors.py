"""What maps without a network score on cluttered MNIST: measured elsewhere, found again here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from ibdrop.artifacts.floors import ceiling, floors
from ibdrop.artifacts.quality import Target, measure

MEASURES = ("energy_box", "energy_padded", "mass_strokes", "rank_strokes", "rank_box")
TOLERANCE = 0.045


@pytest.fixture(scope="module")
def root() -> str:
    """The folder that holds `MNIST/raw`."""
    place = os.environ.get("IBDROP_DATA", "data")
    if not (Path(place) / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST in {place}; `ibdrop data fetch mnist` brings it")
    return place


@pytest.mark.slow
def test_floors_and_ceilings_of_cluttered_mnist(root: str) -> None:
    from ibdrop.data.mnist import cluttered_mnist

    batch = cluttered_mnist(0, root=root).test.batch(torch.arange(300))
    assert batch.boxes is not None
    target = Target.of(batch.boxes, batch.masks, (96, 96), 6)
    found = {
        name: {measure: values.nanmean().item() for measure, values in scores.items()}
        for name, scores in floors(batch.images, target)
    }
    wanted = {
        "uniform": (0.033, 0.094, 0.016, 0.016, 0.033),
        "brightness": (0.284, 0.333, 0.270, 0.292, 0.284),
        "blurred brightness 9": (0.121, 0.263, 0.063, 0.481, 0.658),
    }
    for name, scores in wanted.items():
        for key, score in zip(MEASURES, scores, strict=True):
            assert found[name][key] == pytest.approx(score, abs=TOLERANCE), (name, key)
    assert max(scores["energy_padded"] for scores in found.values()) > 0.82
    assert max(scores["energy_box"] for scores in found.values()) > 0.80
    oracles = {24: (0.884, 1.0, 0.661, 0.742, 0.757), 12: (0.732, 0.998, 0.445, 0.549, 0.714)}
    for cells, scores in oracles.items():
        oracle = measure(ceiling(target, torch.zeros(1, cells, cells)), target)
        for key, score in zip(MEASURES, scores, strict=True):
            assert oracle[key].nanmean().item() == pytest.approx(score, abs=TOLERANCE), key
