from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ibdrop.cli.runs import main
from ibdrop.cli.words import Wishes, datasets, read, slug
from ibdrop.data.corruptions import CORRUPTIONS
from ibdrop.errors import ConfigError, RunError
from ibdrop.files import read_csv

TINY = ("dataset=digits", "model.width=0.125", "trainer=smoke", "epochs=1", "artifacts=none")
NAMES = ("contrast", "gaussian_noise")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs with binary noise and one without any, side by side."""
    folder = tmp_path_factory.mktemp("runs")
    for name, noise in (("a", "binary"), ("b", "binary"), ("c", "none")):
        words = [*TINY, f"noise={noise}", f"seed={ord(name)}", "trainer.progress=false"]
        subprocess.run(
            [sys.executable, "-m", "ibdrop", "train", *words, f"hydra.run.dir={folder / name}"],
            check=True,
            timeout=120,
        )
    return folder


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "runs")
    return tmp_path / "runs"


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def problems(*words: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(words, NAMES, ("digits", "mnist"))
    return list(caught.value.problems)


def test_words_and_what_they_ask_for() -> None:
    words = ["passes=20", "corruption=contrast", "severity=2..4", "ood=uniform,mnist"]
    found = read([*words, "ood.root=x", "trainer.device=cpu"], NAMES, ("mnist",))
    assert found == Wishes(
        passes=20,
        corruptions=("contrast",),
        severities=(2, 3, 4),
        outliers=("uniform", "mnist"),
        outlier_root="x",
        changes=("trainer.device=cpu",),
    )
    assert not found.plain


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ([], 0),
        (["noise=off"], 0),
        (["noise=on"], 50),
        (["noise=on", "passes=7"], 7),
        (["passes=7", "noise=on"], 7),
        (["ood=uniform"], 50),
        (["ood=uniform", "noise=off"], 0),
        (["corruption=contrast"], 0),
    ],
)
def test_passes(words: list[str], passes: int) -> None:
    assert read(words, NAMES, ()).wanted_passes == passes


def test_all_corruptions_and_lists_of_severities() -> None:
    found = read(["corruption=all", "severity=5,1,5"], NAMES, ())
    assert (found.corruptions, found.severities) == (NAMES, (1, 5))
    assert read(["corruption=all"], NAMES, ()).severities == (1, 2, 3, 4, 5)


def test_every_mistake_is_named_at_once() -> None:
    found = problems(
        "corruptoin=contrast", "passes=many", "ood=unifrom", "design=balance", "width=2"
    )
    assert found == [
        "corruptoin=contrast: evaluate has no such word; did you mean 'corruption'?",
        "passes=many: is no whole number above 0",
        "ood=unifrom: no such set 'unifrom'; did you mean 'uniform'?",
        "design=balance: must be balanced, antithetic or independent; did you mean 'balanced'?",
        "width=2: evaluate has no such word; there are passes, noise, mask_sharing, design, "
        "corruption, severity, ood, ood.root, dataset",
    ]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (
            ["corruption=gausian_noise"],
            "corruption=gausian_noise: no such corruption 'gausian_noise'; "
            "did you mean 'gaussian_noise'?",
        ),
        (["noise=of"], "noise=of: must be on or off; did you mean 'off'?"),
        (["passes=0"], "passes=0: is no whole number above 0"),
        (
            ["corruption=contrast", "severity=6"],
            "severity=6: must be 1 to 5, such as 3, or 1,3,5, or 1..5",
        ),
        (["corruption=contrast", "severity=4..2"], "severity=4..2: goes down, not up"),
        (["severity=3"], "severity=3: has no effect without corruption=NAME"),
        (["ood.root=x"], "ood.root=x: has no effect without ood=NAME"),
        (["mask_sharing=row"], "mask_sharing=row: has no effect without passes=50"),
        (
            ["noise=off", "passes=3"],
            "noise=off: contradicts passes=3, which is with the noise on",
        ),
        (["noise=on", "noise=off"], "noise=off: was said before, noise=on"),
        (["passes="], "passes=: passes has no value"),
        (["dataset=mnst"], "dataset=mnst: no such data set; did you mean 'mnist'?"),
        (
            ["datset.root=x"],
            "datset.root=x: evaluate changes only dataset.*, trainer.*, artifacts.*; "
            "did you mean 'dataset.root'?",
        ),
        (["corruption"], "corruption: is neither the folder of a run nor KEY=VALUE"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_mistake(words: list[str], problem: str) -> None:
    assert problems(*words)[0].startswith(problem)


def test_the_name_of_a_folder() -> None:
    words = ["corruption=all", "severity=1,3", "ood.root=/secret/place", "noise=on"]
    assert slug(words) == "corruption-all_severity-1-3_noise-on"
    assert slug([]) == ""
    long = slug([f"corruption={'x' * 200}"])
    assert len(long) < 100
    assert long != slug([f"corruption={'x' * 201}"])


def test_the_users_own_data_sets_are_known(tmp_path: Path) -> None:
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").touch()
    assert set(datasets(tmp_path)) == {*datasets(), "mine"}


def test_monte_carlo_beside_deterministic(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(runs / "a")
    assert main("evaluate", [str(runs / "a"), "passes=6"]) == 0
    said = capsys.readouterr().out
    head = said.splitlines()[0].split()
    assert head == ["deterministic", "monte", "carlo", "(T", "=", "6)"]
    assert any(line.startswith("nll") and "±" in line for line in said.splitlines())
    place = runs / "a" / "evaluations" / "passes-6"
    assert files(runs / "a") - before == {
        f"evaluations/passes-6/{name}"
        for name in (
            "evaluation.json",
            "figures.csv",
            "selective.csv",
            "selective.png",
            "selective_summary.csv",
        )
    }
    rows = read_csv(place / "figures.csv")
    assert [row["prediction"] for row in rows] == ["deterministic", "monte carlo"]
    stored = json.loads((runs / "a" / "run.json").read_text())["metrics"]
    assert float(rows[0]["nll"]) == pytest.approx(stored["test_nll"], rel=1e-6)
    facts = json.loads((place / "evaluation.json").read_text())
    assert (facts["words"], facts["passes"]) == (["passes=6"], 6)


def test_the_batch_size_of_the_trainer_changes_nothing(runs: Path, tmp_path: Path) -> None:
    for size in ("7", "64"):
        words = ["passes=4", f"trainer.eval_batch_size={size}", "--output", str(tmp_path / size)]
        assert main("evaluate", [str(runs / "a"), *words]) == 0
    assert (tmp_path / "7" / "figures.csv").read_bytes() == (
        tmp_path / "64" / "figures.csv"
    ).read_bytes()


def test_corruptions(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = next(iter(CORRUPTIONS))
    words = [f"corruption={name}", "severity=1,5", "passes=2", "--output", str(runs / "out")]
    assert main("evaluate", [str(runs / "a"), *words]) == 0
    rows = read_csv(runs / "out" / "corruptions.csv")
    assert [(row["severity"], row["prediction"]) for row in rows] == [
        (severity, kind) for severity in "015" for kind in ("deterministic", "monte carlo")
    ]
    assert (runs / "out" / "corruptions.png").is_file()
    assert "error [%] at severity" in capsys.readouterr().out


def test_outliers_without_noise_to_draw(runs: Path) -> None:
    words = ["ood=uniform,cluttered_digits", "trainer.limit_images=40"]
    assert main("evaluate", [str(runs / "c"), *words, "--output", str(runs / "out")]) == 0
    rows = read_csv(runs / "out" / "figures.csv")
    assert [row["prediction"] for row in rows] == ["deterministic"]
    found = read_csv(runs / "out" / "ood.csv")
    assert [(row["outliers"], row["prediction"], row["score"]) for row in found] == [
        (name, "deterministic", score)
        for name in ("uniform", "cluttered_digits")
        for score in ("max_probability", "entropy", "energy")
    ]
    kinds = {row["prediction"] for row in read_csv(runs / "out" / "selective_summary.csv")}
    assert kinds == {"deterministic"}


def test_outliers_with_noise_to_draw(runs: Path) -> None:
    words = ["ood=permuted", "trainer.limit_images=40", "--output", str(runs / "out")]
    assert main("evaluate", [str(runs / "a"), *words]) == 0
    assert read_csv(runs / "out" / "figures.csv")[1]["passes"] == "50"
    found = read_csv(runs / "out" / "ood.csv")
    assert {row["prediction"] for row in found} == {"deterministic", "monte carlo"}


def test_there_is_nothing_to_sample_without_noise(runs: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        main("evaluate", [str(runs / "c"), "passes=5"])
    assert str(caught.value) == (
        f"passes=5: {runs}/c draws no noise, so there is nothing to sample; "
        "leave it out, or train with a noise such as noise=binary"
    )
    assert not (runs / "c" / "evaluations").exists()


def test_another_test_set_of_other_size(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["dataset=cluttered_digits", "dataset.test_images=30"]
    assert main("evaluate", [str(runs / "a"), *words]) == 0
    said = capsys.readouterr().out
    assert "note   tested on cluttered digits, trained on digits" in said
    assert "note   the images of 1 x 40 x 40 were brought to 1 x 16 x 16" in said
    place = runs / "a" / "evaluations" / "dataset-cluttered-digits_dataset.test-images-30"
    assert read_csv(place / "figures.csv")[0]["images"] == "30"


def test_a_key_that_the_other_data_do_not_have(runs: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        main("evaluate", [str(runs / "a"), "dataset=cluttered_digits", "dataset.canvass=30"])
    assert str(caught.value) == (
        "dataset.canvass=30: data set cluttered_digits has no such key; did you mean 'canvas'?"
    )


def test_other_classes_cannot_be_tested(runs: Path, tmp_path: Path) -> None:
    (tmp_path / "conf" / "dataset").mkdir(parents=True)
    (tmp_path / "conf" / "dataset" / "pets.yaml").write_text(
        "dataset:\n  _target_: tests_of_evaluate.pets\n"
    )
    (tmp_path / "tests_of_evaluate.py").write_text(
        "import dataclasses\n"
        "from ibdrop.data.digits import digits\n"
        "def pets(seed):\n"
        "    data = digits(seed)\n"
        "    spec = data.spec._replace(classes=('cat', 'dog'))\n"
        "    return dataclasses.replace(data, spec=spec)\n"
    )
    sys.path.append(str(tmp_path))
    words = ["dataset=pets", "--config-dir", str(tmp_path / "conf")]
    with pytest.raises(ConfigError) as caught:
        main("evaluate", [str(runs / "a"), *words])
    assert str(caught.value) == (
        f"dataset=pets: its classes are cat, dog, those of {runs}/a are 0, 1, 2 ... (10 in all); "
        "ood=pets takes images of any class"
    )


def test_an_ensemble(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = files(runs)
    assert main("evaluate", [str(runs / name) for name in "abc"] + ["passes=3"]) == 0
    place = "ensemble_3_members_passes-3"
    assert {f"{place}/ensemble.csv", f"{place}/ensemble.png"} <= files(runs) - before
    assert all(name.startswith(place) for name in files(runs) - before)
    rows = read_csv(runs / place / "ensemble.csv")
    assert [row["run"] for row in rows if row["of"] == "member"] == [*"abc", *"abc"]
    said = capsys.readouterr().out
    assert f"note   {runs}/c draws no noise; its one prediction counts as much as" in said
    assert "ensemble (3)" in said


def test_an_ensemble_with_the_noise_off(runs: Path) -> None:
    words = ["ood=uniform", "noise=off", "trainer.limit_images=40", "--output", str(runs / "out")]
    assert main("evaluate", [str(runs / "a"), str(runs / "b"), *words]) == 0
    found = read_csv(runs / "out" / "ood.csv")
    assert {row["prediction"] for row in found} == {"deterministic"}
    assert "mutual_information" in {row["score"] for row in found}
    (row,) = read_csv(runs / "out" / "figures.csv")
    assert float(row["mean_mutual_information_between_members"]) > 0


def test_another_ensemble_of_as_many_replaces_nothing(runs: Path) -> None:
    asked = ["passes=2", "trainer.limit_images=20"]
    for members in ("ab", "ac", "ba", "ac"):
        assert main("evaluate", [*(str(runs / name) for name in members), *asked]) == 0
    places = sorted(path for path in runs.glob("ensemble_2_members_passes-2*"))
    told = [json.loads((path / "evaluation.json").read_text())["runs"] for path in places]
    assert [{Path(run).name for run in found} for found in told] == [set("ab"), set("ac")]


def test_an_ensemble_needs_the_same_data(runs: Path) -> None:
    config = runs / "b" / "config.yaml"
    config.write_text(config.read_text().replace("scale: 2", "scale: 3"))
    with pytest.raises(ConfigError, match=rf"^dataset\.scale: 2 in {runs}/a and 3 in {runs}/b; "):
        main("evaluate", [str(runs / "a"), str(runs / "b")])


def test_mistakes_in_folders_and_words_are_named_together(runs: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        main("evaluate", [str(runs / "a"), str(runs / "x"), "passes=0", "ood=unifrm"])
    assert len(caught.value.problems) == 3
    assert caught.value.problems[0].startswith(f"there is no folder {runs}/x;")


def test_a_run_must_be_named() -> None:
    with pytest.raises(RunError, match=r"^evaluate needs the folder of a run; `latest` is the"):
        main("evaluate", ["passes=5"])


def test_an_interrupt_leaves_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ibdrop.runs import uncertainty

    def stop(*arguments: object) -> list[Path]:
        Path(str(arguments[0]), "half.csv").touch()
        raise KeyboardInterrupt

    before = files(runs)
    monkeypatch.setattr(uncertainty, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        main("evaluate", [str(runs / "a"), "passes=2"])
    assert files(runs) == before
