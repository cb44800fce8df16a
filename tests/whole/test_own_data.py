"""From a folder of pictures to a trained network, a ranking and heat maps."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from ibdrop.cli.main import main

if TYPE_CHECKING:
    from tests.whole.conftest import Installed

CLASSES = ("bars", "dots", "plain")
SMOKE = (
    "dataset=image_folder",
    "dataset.size=16",
    "dataset.skip_unreadable=true",
    "trainer=smoke",
    "trainer.progress=false",
    "model.width=0.125",
    "batch_size=8",
    "artifacts=quick",
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty little pictures of three classes, of different sizes, one of them cut short."""
    root = tmp_path_factory.mktemp("own") / "my pictures"
    random = np.random.default_rng(0)
    for name in CLASSES:
        (root / name).mkdir(parents=True)
        for number in range(20):
            side = 16 + number % 3
            pixels = random.integers(0, 60, (side, 20, 3), dtype=np.uint8)
            pixels[:: 4 if name == "bars" else side, :: 4 if name == "dots" else 1] += 150
            Image.fromarray(pixels).save(root / name / f"{number}.png")
    broken = root / "dots" / "3.png"
    broken.write_bytes(broken.read_bytes()[:-100])
    return root


@pytest.fixture(scope="module")
def run(installed: Installed, pictures: Path) -> Path:
    """A run of a few steps on them."""
    folder = pictures.parent / "run"
    words = [*SMOKE, f"dataset.root='{pictures}'", f"hydra.run.dir={folder}"]
    installed.ibdrop("train", *words, cwd=folder.parent)
    return folder


def test_the_report_says_what_was_learned_from(run: Path, pictures: Path) -> None:
    text = (run / "report.html").read_text()
    assert "59 PNG" in text
    assert "Left out: 1 unreadable (dots/3.png)." in text
    with (run / "artifacts" / "confusion.csv").open() as file:
        assert next(csv.reader(file))[1:] == list(CLASSES)


def test_it_can_be_ranked_and_looked_into(installed: Installed, run: Path, pictures: Path) -> None:
    moved = pictures.rename(pictures.with_name("moved"))
    try:
        words = ("--passes", "3", f"dataset.root='{moved}'")
        installed.ibdrop("rank", str(run), *words, cwd=run)
    finally:
        moved.rename(pictures)
    installed.ibdrop("heatmap", str(run), cwd=run)
    assert (run / "artifacts" / "kl_heatmap.png").is_file()
    with (run / "artifacts" / "ranking.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert all(row["name"].startswith(f"{row['label']}/") for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)


def test_what_is_wrong_with_the_pictures_is_said(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "show", "image_folder", f"dataset.root='{pictures}'"]) == 2
    said = capsys.readouterr().err
    assert "1 of 60 files" in said
    assert "dots/3.png is damaged" in said
    assert "the pictures have 3 sizes" in said
