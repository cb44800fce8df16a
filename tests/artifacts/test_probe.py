from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ibdrop.artifacts.depth_sweep import draw_depth
from ibdrop.artifacts.probe import draw_probe, write_probe
from ibdrop.files import read_csv, write_csv


def rows(
    layers: int, fall: float = 1.0, noise: tuple[str, ...] = ("off",)
) -> list[dict[str, Any]]:
    """A probe in which everything falls by a factor with each layer."""
    return [
        {
            "noise": state,
            "layer": layer,
            "name": f"D{layer}",
            "segment": 1 if layer < 3 else 2,
            "variance": 2 * fall**layer,
            "variance_predicted": fall**layer,
            "gradient": fall ** (layers - layer),
            "gradient_predicted": fall ** (layers - layer),
            "cosine": layer / layers,
            "cosine_predicted": None if layer == 2 else layer / layers,
            "dead": None if layer == layers else 0.1,
            "weight_gradient": 0.0,
            "logit_deviation": 0.3 if layer == layers else None,
        }
        for state in noise
        for layer in range(1, layers + 1)
    ]


def write_run(
    root: Path, name: str, layers: int, init: str, seed: int, errors: tuple[float, ...]
) -> dict[str, Any]:
    place = root / name / "artifacts"
    place.mkdir(parents=True)
    fall = 1.0 if init == "he_normal" else 0.5
    write_csv(place / "probe.csv", rows(layers, fall, ("on", "off")))
    epochs = [
        {"epoch": epoch, "train_ce": 1.0, "val_accuracy": 1 - error}
        for epoch, error in enumerate(errors, start=1)
    ]
    write_csv(root / name / "metrics.csv", epochs)
    return {
        "folder": name,
        "model.layers": str(layers),
        "init": init,
        "seed": seed,
        "test_error": errors[-1],
    }


@pytest.mark.parametrize("noise", [("off",), ("on", "off")])
def test_the_picture_is_drawn_from_the_table(tmp_path: Path, noise: tuple[str, ...]) -> None:
    picture, table = write_probe(rows(5, 0.1, noise), tmp_path)
    assert (picture.name, table.name) == ("probe.png", "probe.csv")
    panels = draw_probe(table).axes
    forward, backward, cosine, dead, weights = panels
    assert forward.get_yscale() == backward.get_yscale() == "log"
    assert cosine.get_ylim()[1] == dead.get_ylim()[1] == 1.03
    shown = [len(line.get_xydata()) for line in forward.lines]  # type: ignore[arg-type]
    assert shown[: 3 * len(noise)] == [2, 3, 5] * len(noise)
    assert sum(len(line.get_xydata()) for line in weights.lines) == 0  # type: ignore[arg-type]


def test_runs_of_several_depths(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path, f"{layers}{init}{seed}", layers, init, seed, errors)
        for layers in (4, 6)
        for init, errors in (("he_normal", (0.4, 0.2)), ("glorot_normal", (0.9, 0.8)))
        for seed in (0, 1)
    ]
    files = draw_depth(runs, ["model.layers", "init"], tmp_path, tmp_path)
    assert [file.name for file in files] == [
        "depth_errors.png",
        "depth_variances.png",
        "depth_signals.png",
        "depth.csv",
        "depth_errors.csv",
        "depth_probe.csv",
    ]
    table, errors, probes = (read_csv(file) for file in files[3:])
    assert [(row["depth"], row["setting"]) for row in table[::2]] == [
        ("4", "he_normal"),
        ("4", "glorot_normal"),
        ("6", "he_normal"),
        ("6", "glorot_normal"),
    ]
    glorot = table[2]
    assert float(glorot["forward"]) == float(glorot["backward"]) == 0.125
    assert [row["first_epoch_under_half"] for row in table] == ["1", "1", "", ""] * 2
    assert float(glorot["last_val_error"]) == pytest.approx(0.8)
    assert len(errors) == 16
    assert {row["noise"] for row in probes} == {"on"}
    assert len(probes) == 4 * 4 + 4 * 6


def test_without_a_swept_key_or_a_validation_split(tmp_path: Path) -> None:
    runs = [write_run(tmp_path, str(seed), 4, "he_normal", seed, (0.5,)) for seed in (0, 1)]
    for run in runs:
        write_csv(tmp_path / run["folder"] / "metrics.csv", [{"epoch": 1, "train_ce": 1.0}])
    files = draw_depth(runs, [], tmp_path, tmp_path)
    assert len(files) == 6
    assert read_csv(files[3])[0]["last_val_error"] == ""


def test_other_sweeps_are_left_alone(tmp_path: Path) -> None:
    run = write_run(tmp_path, "0", 4, "he_normal", 0, (0.5,))
    assert draw_depth([run, {"folder": "other"}], [], tmp_path, tmp_path) == []
