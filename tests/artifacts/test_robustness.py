"""Corruption tables: rows kept as given, means by hand, pictures of any number of panels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ibdrop.artifacts.robustness import average, write_contact_sheet, write_robustness
from ibdrop.data.corruptions import CORRUPTIONS, corrupt
from ibdrop.files import read_csv
from ibdrop.merit import figures
from ibdrop.sampling.predictive import Predictive


def rows(names: list[str]) -> list[dict[str, Any]]:
    """Networks that grow less sure with severity."""
    labels = torch.arange(80) % 4
    found = []
    for name, severity in [("clean", 0), *((n, s) for n in names for s in range(1, 6))]:
        random = torch.Generator().manual_seed(severity)
        logits = torch.randn(3, 80, 4, generator=random).double()
        logits[:, torch.arange(80), labels] += 4 - severity / 2
        for row in figures(Predictive.of_logits(logits), labels):
            found.append({"corruption": name, "severity": severity, **row})
    return found


def test_the_table_is_what_was_given(tmp_path: Path) -> None:
    given = rows(["contrast", "rotate"])
    files = write_robustness(tmp_path / "new", given)
    assert [path.name for path in files] == [
        "corruptions.png",
        "corruptions.csv",
        "corruptions_mean.csv",
    ]
    table = read_csv(files[1])
    assert len(table) == 2 * 11
    assert [row["prediction"] for row in table[:2]] == ["deterministic", "monte carlo"]
    assert (table[0]["corruption"], table[0]["severity"]) == ("clean", "0")
    for row, wanted in zip(table, given, strict=True):
        assert float(row["error"]) == wanted["error"]


def test_means_by_hand() -> None:
    given = [
        {"corruption": "clean", "severity": 0, "prediction": "monte carlo", "error": 0.1},
        {"corruption": "a", "severity": 1, "prediction": "monte carlo", "error": 0.2},
        {"corruption": "b", "severity": 1, "prediction": "monte carlo", "error": 0.4},
        {"corruption": "a", "severity": 2, "prediction": "monte carlo", "error": 0.5},
        {"corruption": "b", "severity": 2, "prediction": "monte carlo", "error": 0.9},
    ]
    given = [row | {"passes": 50, "images": 9, "error_se": 0.01} for row in given]
    found = average(given)
    assert [row["severity"] for row in found] == ["0", "1", "2", "1 to 5"]
    assert [row["error"] for row in found] == pytest.approx([0.1, 0.3, 0.7, 0.5])
    assert [row["corruptions"] for row in found] == [1, 2, 2, 2]
    assert set(found[0]) == {"severity", "prediction", "corruptions", "error"}


@pytest.mark.parametrize("count", [1, 3, 5])
def test_any_number_of_panels(count: int, tmp_path: Path) -> None:
    picture = write_robustness(tmp_path, rows(list(CORRUPTIONS)[:count]))[0]
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize("channels", [1, 3])
def test_the_contact_sheet_shows_what_corrupt_makes(channels: int, tmp_path: Path) -> None:
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (2, channels, 12, 12), generator=random).byte()
    index, names = torch.tensor([3, 8]), ["rotate", "shot_noise"]
    picture, archive = write_contact_sheet(tmp_path / "new", images, index, 7, names)
    assert picture.name == "corruption_sheet.png"
    with np.load(archive) as data:
        assert data["names"].tolist() == names
        assert data["images"].shape == (2, 6, 2, channels, 12, 12)
        assert np.array_equal(data["images"][1, 0], images.numpy())
        wanted = corrupt(images, index, "shot_noise", 4, 7)
        assert np.array_equal(data["images"][1, 4], wanted.numpy())
    again = write_contact_sheet(tmp_path / "again", images, index, 7, names)
    assert again[0].read_bytes() == picture.read_bytes()
