"""`ibdrop explain`, on a tiny run and on a picture file."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from ibdrop.cli.completion import complete
from ibdrop.cli.runs import main, parser
from ibdrop.errors import ConfigError, DataError, IbdropError, RunError

TINY = ["trainer=smoke", "epochs=1", "artifacts=none", "trainer.progress=false"]
CLASSIFIER = ["model=lenet", "model.channels=[4]", "model.width=16", "dataset=digits"]
AUTOENCODER = ["model=autoencoder", "model.hidden=8", "dataset=digits"]
QUICK = ["--steps", "3", "--no-baselines", "--fill", "constant"]


def train(folder: Path, *words: str) -> Path:
    argv = [*words, *TINY, f"hydra.run.dir={folder}"]
    subprocess.run([sys.executable, "-m", "ibdrop", "train", *argv], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("run") / "a", *CLASSIFIER)


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "a")
    return tmp_path / "a"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.png")
    return tmp_path / "cat.png"


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "explanations.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_help_is_quick() -> None:
    start = time.process_time()
    text = parser("explain").format_help()
    assert time.process_time() - start < 0.2
    assert text.startswith("usage: ibdrop explain [options] RUN|PICTURE [KEY=VALUE ...]")
    assert text.index("examples:\n") < text.index("next: ")


def test_files_report_and_table(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("explain", [str(run), "--index", "5,3", *QUICK]) == 0
    out = capsys.readouterr().out
    assert out.startswith("images 2 by number\n")
    assert out.endswith(f"report {run}/report.html\n")
    assert re.search(r"image +label +class asked for +deleted +p on constant +p on noise", out)
    assert re.search(r"\n3 .* \d+\.\d% +\d+\.\d% → \d+\.\d%", out)
    assert [row["index"] for row in rows(run / "artifacts")] == ["5", "3"]
    names = {path.name for path in (run / "artifacts").glob("expl*")}
    assert names == {
        "explanations.png",
        "explanations.npz",
        "explanations.csv",
        "explain_curves.csv",
        "explain_trace.csv",
        "explain_000003.png",
        "explain_000005.png",
    }
    recorded = json.loads((run / "run.json").read_text())["artifacts"]
    assert {f"artifacts/{name}" for name in names} <= set(recorded)


def test_pictures_of_before_do_not_stay(run: Path) -> None:
    assert main("explain", [str(run), "--index", "5", *QUICK]) == 0
    assert main("explain", [str(run), "--index", "3", *QUICK]) == 0
    assert not (run / "artifacts" / "explain_000005.png").exists()
    assert (run / "artifacts" / "explain_000003.png").exists()
    recorded = json.loads((run / "run.json").read_text())["artifacts"]
    assert "artifacts/explain_000005.png" not in recorded


def test_numbers_are_the_same_again_and_in_other_company(run: Path, tmp_path: Path) -> None:
    """One by one, for the last bits of a convolution do depend on its batch."""
    for name, numbers in {"b": "5,3", "c": "3,8,5"}.items():
        words = ["--index", numbers, "--together", "1", "--output", str(tmp_path / name)]
        assert main("explain", [str(run), *words, *QUICK]) == 0
    both = {row["index"]: row for row in rows(tmp_path / "c")}
    assert [both[number] for number in ("5", "3")] == rows(tmp_path / "b")
    assert not (run / "artifacts" / "explanations.csv").exists()


@pytest.mark.parametrize(
    ("words", "how"),
    [
        (["--wrong", "2"], "images 2 misclassified, the surest first"),
        (["--uncertain", "2"], "images 2 of highest entropy, the noise off"),
        (["--images", "2"], "images 2 rightly classified, spread over the classes"),
    ],
)
def test_ways_to_choose(
    run: Path, words: list[str], how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main("explain", [str(run), *words, *QUICK, "--fill", "average", "--draws", "2"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == how


def test_another_class_and_game(run: Path) -> None:
    words = ["--index", "0", "--target", "3", "--game", "preservation", "--score", "margin"]
    assert main("explain", [str(run), *words, *QUICK]) == 0
    (row,) = rows(run / "artifacts")
    assert row["class"] == "3"
    assert row["game"] == "preservation"
    assert "score=margin" in row["settings"]


def test_extremal_masks(run: Path) -> None:
    words = ["--index", "0", "--method", "extremal", "--areas", ".1,.3", *QUICK]
    assert main("explain", [str(run), *words]) == 0
    assert [row["asked_area"] for row in rows(run / "artifacts")] == ["0.1", "0.3"]


def test_a_picture_for_a_run(run: Path, picture: Path) -> None:
    assert main("explain", [str(run), "--picture", str(picture), "--target", "4", *QUICK]) == 0
    (row,) = rows(run / "artifacts")
    assert (row["name"], row["label"], row["class"]) == ("cat.png", "", "4")


@pytest.mark.parametrize(
    ("words", "kind", "sentence"),
    [
        (["--index", "99999"], ConfigError, "--index: there is no test image 99999; they have"),
        (["--class", "x"], ConfigError, "--class: there is no class 'x'; they are 0, 1, 2"),
        (["--index", "1", "--target", "11"], ConfigError, "--target: there is no class '11'"),
        (
            ["--index", "1", "--wrong", "2"],
            ConfigError,
            "--index and --wrong choose images in different ways; give one of them",
        ),
        (
            ["--images", "1", "--wrong", "2"],
            ConfigError,
            "--images: goes alone or with --class, not with --wrong",
        ),
        (["--areas", ".1"], ConfigError, "--areas: is a setting of --method extremal alone"),
        (["--fill", "rerender", "--index", "1"], ConfigError, "these images have no clutter that"),
        (["--fill", "blur", "--second", "blur"], ConfigError, "--second blur: is the fill of the"),
        (["--picture", "none.png"], DataError, "there is no file none.png"),
        (["model=torchvision"], ConfigError, "model=torchvision: only dataset.* and trainer.* ch"),
        (["--quality", "--wrong", "3"], ConfigError, "--quality: takes right images of all class"),
    ],
)
def test_mistakes(run: Path, words: list[str], kind: type[IbdropError], sentence: str) -> None:
    with pytest.raises(kind) as caught:
        main("explain", [str(run), *words])
    assert str(caught.value).startswith(sentence)
    assert len(str(caught.value).splitlines()) == 1
    assert caught.value.status == 2
    assert not (run / "artifacts" / "explanations.csv").exists()


@pytest.mark.parametrize("areas", ["0,.1", ".2,1", "1.5", "a"])
def test_areas_that_are_no_shares(areas: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("explain", ["RUN", "--areas", areas]) == 2
    message = f"argument --areas: '{areas}' is no list of shares above 0 and below 1\n"
    assert message in capsys.readouterr().err


def test_an_autoencoder_names_no_classes(tmp_path: Path) -> None:
    folder = train(tmp_path / "a", *AUTOENCODER)
    with pytest.raises(RunError) as caught:
        main("explain", [str(folder)])
    assert str(caught.value) == (
        f"{folder}: its network is an autoencoder, which names no classes to explain; "
        "`ibdrop train` trains a classifier"
    )


NETWORK = ["model=torchvision", "model.name=squeezenet1_1"]


def test_a_picture_without_a_run(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IBDROP_OUTPUTS", str(tmp_path / "outputs"))
    words = [*NETWORK, "model.weights=null", "trainer.progress=false", "--target", "373"]
    assert main("explain", [str(picture), *words, "--fill", "blur", *QUICK[:3]]) == 0
    folder = tmp_path / "outputs" / "explain" / "cat_squeezenet1_1"
    (row,) = rows(folder)
    assert (row["name"], row["class"], row["fill"]) == ("cat.png", "373", "blur")
    with np.load(folder / "explanations.npz") as data:
        assert data["images"].shape == (1, 3, 224, 224)
    assert (folder / "explain_000000.png").is_file()


def test_weights_that_cannot_be_fetched(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(url: str, **_: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(DataError, match="^the weights IMAGENET1K_V1 could not be fetched from"):
        main("explain", [str(picture), *NETWORK])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["model=allcnn"], "model=allcnn: without a run there are torchvision's networks alone; "),
        (["model.nam=x"], "model.nam: there is no such key; did you mean 'name'?"),
        (["model.name=vgg9"], "model: name=vgg9: torchvision has no such classifier; did you m"),
        (["model.weights=BEST"], "model: weights=BEST: resnet18 has IMAGENET1K_V1, DEFAULT, or"),
        (["dataset.root=x"], "dataset.root=x: with a picture only model.*, trainer.* and seed"),
        (["seed=x"], "seed=x: a seed is a whole number, 0 or more"),
        (["--wrong", "3"], "--wrong: is for the images of a run, and "),
        (["--quality"], "--quality: is for the images of a run, and "),
        (["--fill", "rerender", "model.weights=null"], "the fill rerender draws the clutter of"),
        (["--target", "macaq"], "--target: there is no class 'macaq'; did you mean macaque"),
    ],
)
def test_mistakes_about_a_picture(
    picture: Path, words: list[str], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ibdrop.models.torchvision.Torchvision.load_pretrained", lambda self: None)
    with pytest.raises(ConfigError) as caught:
        main("explain", [str(picture), *words])
    assert str(caught.value).startswith(sentence)


def test_a_picture_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^none\.jpg: there is no such file$|there is no file"):
        main("explain", ["none.jpg"])
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(DataError, match=r"bad\.jpg is no picture in a known format$"):
        main("explain", [str(tmp_path / "bad.jpg"), "model.weights=null"])


def test_completion(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs").mkdir()
    (tmp_path / "owl.jpg").touch()
    (tmp_path / "other.txt").touch()
    expected: dict[str, Any] = {
        "ibdrop expl": ["explain"],
        "ibdrop explain o": ["outputs/", "owl.jpg"],
        "ibdrop explain outputs --unc": ["--uncertain"],
        "ibdrop explain outputs --fill re": ["rerender"],
        "ibdrop explain outputs --method ": ["meaningful", "extremal"],
    }
    for line, words in expected.items():
        monkeypatch.setenv("COMP_LINE", line)
        assert complete([]) == 0
        assert capsys.readouterr().out.split() == words, line
