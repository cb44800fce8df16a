"""`ibdrop explain` as a user types it."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

if TYPE_CHECKING:
    from conftest import Installed

QUICK = ("--steps", "4", "--no-baselines")


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "explanations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_clutter_drawn_again_masks_and_a_report(
    installed: Installed, run: Path, tmp_path: Path
) -> None:
    words = ("--images", "2", "--fill", "rerender", "--steps", "4")
    done = installed.ibdrop("explain", "run", *words, cwd=tmp_path)
    assert done.stdout.startswith("images 2 rightly classified, spread over the classes\n")
    assert done.stdout.endswith(f"report {run}/report.html\n")
    found = rows(run / "artifacts")
    assert {(row["fill"], row["second_fill"]) for row in found} == {("rerender", "noise")}
    with np.load(run / "artifacts" / "explanations.npz") as data:
        masks, boxes = data["masks"], data["boxes"]
        assert {f"kl_{layer}" for layer in data["layers"]} <= set(data.files)
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert boxes.shape == (2, 4)
    page = (run / "report.html").read_text()
    assert "explanations.png" in page
    assert "explain_trace.csv" in page


def test_it_says_the_same_twice_and_leaves_the_run_as_it_was(
    installed: Installed, run: Path, tmp_path: Path
) -> None:
    before = (run / "checkpoints" / "best.ckpt").read_bytes()
    for name in ("one", "two"):
        words = ("--index", "3,7", *QUICK, "--fill", "noise", "--draws", "2", "--output", name)
        installed.ibdrop("explain", "run", *words, cwd=tmp_path)
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert (run / "checkpoints" / "best.ckpt").read_bytes() == before
    assert not (run / "artifacts" / "explanations.csv").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("run", "--class", "ten"), "--class: there is no class 'ten'; "),
        (("run", "--method", "extrem"), "argument --method: invalid choice: 'extrem'"),
        (("none.jpg",), "there is no file none.jpg"),
        (("none",), "there is no folder "),
    ],
)
def test_a_mistake_is_a_sentence(
    installed: Installed, run: Path, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    done = installed.ibdrop("explain", *words, cwd=tmp_path, expect=2)
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.slow
def test_a_network_of_torchvisions_trained_on_the_spot(
    installed: Installed, tmp_path: Path
) -> None:
    words = ("model=torchvision", "model.name=squeezenet1_1", "trainer=smoke", "artifacts=none")
    installed.ibdrop("train", *words, f"hydra.run.dir={tmp_path / 'run'}", cwd=tmp_path)
    Image.new("RGB", (30, 60), "white").save(tmp_path / "white.png")
    installed.ibdrop("explain", "run", "--picture", "white.png", *QUICK, cwd=tmp_path)
    (row,) = rows(tmp_path / "run" / "artifacts")
    assert (row["name"], row["label"]) == ("white.png", "")


@pytest.mark.slow
def test_a_picture_and_a_network_by_its_name(installed: Installed, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (90, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "owl.jpg")
    network = ("model=torchvision", "model.name=squeezenet1_1", "model.weights=null")
    installed.ibdrop("explain", "owl.jpg", *network, "--target", "7", *QUICK, cwd=tmp_path)
    folder = tmp_path / "outputs" / "explain" / "owl_squeezenet1_1"
    assert rows(folder)[0]["class"] == "7"
    assert (folder / "explain_000000.png").is_file()
