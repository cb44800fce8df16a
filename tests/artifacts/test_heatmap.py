"""KL heat maps: their numbers, their quality, and when there are none."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ibdrop.artifacts.heatmap import KLHeatmap, choose, kl_maps
from ibdrop.files import read_csv
from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noisy, spread


def test_heat_maps_hold_the_nats_of_the_layers(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    what = synthetic.trained(tmp_path)
    synthetic.run(KLHeatmap(images=5), what, tmp_path)
    with np.load(tmp_path / "kl_maps.npz") as maps:
        assert maps["layers"].tolist() == ["D0", "D1"]
        assert maps["kl_D0"].shape == (5, 8, 8)
        assert maps["images"].dtype == np.uint8
        batch = what.data.test.batch(torch.from_numpy(maps["index"]))
        kl = what.model(what.data.inputs(batch.images)).kls["D0"]
        np.testing.assert_allclose(maps["kl_D0"], kl.double().sum(1))
        assert maps["boxes"].tolist() == batch.boxes.tolist()  # type: ignore[union-attr]
        assert sorted(set(maps["labels"].tolist())) == [0, 1, 2]


def test_heat_map_of_brightness_is_no_better_than_the_floor(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    synthetic.run(KLHeatmap(), synthetic.trained(tmp_path), tmp_path)
    rows = {row["source"]: row for row in read_csv(tmp_path / "heatmap_quality.csv")}
    oracle, found = float(rows["ceiling D0"]["rank_strokes"]), rows["D0"]
    assert float(found["rank_strokes"]) == pytest.approx(oracle)
    assert float(rows["untrained D0"]["lift_padded"]) == pytest.approx(1)
    assert float(rows["floor brightness"]["rank_strokes"]) == 1
    assert found["skill_rank_strokes"] == "nan"
    assert rows["D1"]["collapsed"] == "True"
    assert rows["D1"]["mass_strokes"] == "nan"
    assert float(rows["D0"]["nats_total"]) == pytest.approx(
        float(rows["D0"]["nats_inside"]) + float(rows["D0"]["nats_outside"]), rel=1e-5
    )


def test_without_places_there_are_maps_and_no_quality(
    synthetic: SimpleNamespace, tmp_path: Path
) -> None:
    files = synthetic.run(KLHeatmap(), synthetic.trained(tmp_path, placed=False), tmp_path)
    assert [path.name for path in files] == ["kl_heatmap.png", "kl_overlay.png", "kl_maps.npz"]


def test_without_kl_there_is_nothing(synthetic: SimpleNamespace, tmp_path: Path) -> None:
    assert (
        synthetic.run(KLHeatmap(), synthetic.trained(tmp_path, synthetic.Net(kl=0.0)), tmp_path)
        == []
    )


def test_examples_are_spread_over_the_classes() -> None:
    labels = torch.tensor([0] * 50 + [1] * 50 + [2] * 2)
    index = torch.arange(100, 202)
    chosen = choose(index, labels, 6, 0)
    assert labels[chosen - 100].tolist() == [0, 0, 1, 1, 2, 2]
    assert not torch.equal(chosen, choose(index, labels, 6, 1))
    assert len(choose(index, labels, 500, 0)) == 102


def test_a_price_of_weights_makes_no_map() -> None:
    z = torch.ones(3, 4, 5, 5)
    layers = {
        "D0": Noisy(z, torch.rand(3, 4, 5, 5)),
        "D1": Noisy(z, spread(torch.rand(4), z)),
        "D2": Noisy(z[:, :, 0, 0], torch.rand(3, 4)),
    }
    assert list(kl_maps(Prediction(torch.zeros(3, 2), layers))) == ["D0"]
