from __future__ import annotations

import math
from pathlib import Path

import pytest

from ibdrop.artifacts.gradient_law import write_law
from ibdrop.files import read_csv


def test_the_law_as_numbers(tmp_path: Path) -> None:
    picture, law, shares = write_law(tmp_path)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    rows = [{name: float(value) for name, value in row.items()} for row in read_csv(law)]
    assert {row["logit"] for row in rows} == {0.0, 2.0, 4.0}
    for row in rows:
        if row["temperature"] <= 0.05:
            assert row["mean"] == pytest.approx(row["limit_mean"], rel=0.01)
            assert row["second"] == pytest.approx(row["limit_second"], rel=0.02)
            assert row["snr"] == pytest.approx(
                math.sqrt(6 * row["temperature"] * row["limit_mean"]), rel=0.05
            )
    below = [[float(value) for value in row.values()] for row in read_csv(shares)]
    for column in list(zip(*below, strict=True))[1:]:
        assert list(column) == sorted(column)
        assert column[-1] == 1
