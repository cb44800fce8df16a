from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ibdrop.artifacts.filters import Filters
from ibdrop.files import read_csv


@pytest.mark.parametrize("channels", [1, 3])
def test_the_first_filters_and_the_figures_of_all(
    channels: int, sketch: SimpleNamespace, tmp_path: Path
) -> None:
    what = sketch.trained(tmp_path, channels=channels, width=7)
    files = sketch.run(Filters(tiles=5), what, tmp_path)
    assert [path.name for path in files] == ["filters.png", "filters.csv", "filters.npz"]
    weights = what.model.filters().numpy()
    with np.load(tmp_path / "filters.npz") as data:
        np.testing.assert_array_equal(data["filters"], weights[:5])
    rows = read_csv(tmp_path / "filters.csv")
    assert len(rows) == 7
    norms = [float(np.linalg.norm(one)) for one in weights]
    assert [float(row["norm"]) for row in rows] == pytest.approx(norms, rel=1e-5)
    assert [float(row["largest"]) for row in rows] == pytest.approx(weights.max((1, 2, 3)))


def test_without_such_weights_there_is_nothing(sketch: SimpleNamespace, tmp_path: Path) -> None:
    assert sketch.run(Filters(), sketch.trained(tmp_path, seen=False), tmp_path / "a") == []
    assert list((tmp_path / "a").iterdir()) == []


def test_a_layer_of_equal_weights_is_drawn(sketch: SimpleNamespace, tmp_path: Path) -> None:
    what = sketch.trained(tmp_path)
    what.model.weights.data.zero_()
    assert sketch.run(Filters(), what, tmp_path)[0].stat().st_size


def test_no_tiles() -> None:
    with pytest.raises(ValueError, match=r"^tiles=0: at least 1 is needed\.$"):
        Filters(tiles=0)
