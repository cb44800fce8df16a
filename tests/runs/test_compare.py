from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ibdrop.runs.compare import compare, flatten, list_runs, title
from ibdrop.runs.folder import Run

MakeRun = Callable[..., Run]


def test_only_what_differs_is_listed_as_changed(tmp_path: Path, make_run: MakeRun) -> None:
    runs = [make_run(tmp_path / "a", beta=0.1), make_run(tmp_path / "b", beta=1.0, error=0.01)]
    found = compare(runs)
    assert [(line.name, line.values) for line in found.changed] == [("beta", ("0.1", "1"))]


def test_the_better_figure_is_known(tmp_path: Path, make_run: MakeRun) -> None:
    runs = [make_run(tmp_path / "a", error=0.02), make_run(tmp_path / "b", error=0.01)]
    lines = {line.name: line for line in compare(runs).results}
    assert lines["test_accuracy ↑"].best == {1}
    assert lines["test_error ↓"].best == {1}
    assert lines["test_error ↓"].values == ("0.02", "0.01")
    assert lines["kl/D1 [nats/image]"].best == set()
    assert lines["test_ece ↓"].best == set()


def test_a_key_that_one_lacks(tmp_path: Path) -> None:
    runs = [
        Run.create(tmp_path / name, config, command=[], overrides=[])
        for name, config in (("a", {"noise": {"p": 0.5}}), ("b", {"noise": {}}))
    ]
    changed = {line.name: line.values for line in compare(runs).changed}
    assert changed["noise.p"] == ("0.5", "–")


def test_rows_for_a_csv(tmp_path: Path, make_run: MakeRun) -> None:
    runs = [make_run(tmp_path / "a", beta=0.1), make_run(tmp_path / "b", beta=1.0)]
    rows = compare(runs).rows(["a", "b"])
    assert rows[0] == {"part": "config", "name": "beta", "a": "0.1", "b": "1"}
    assert {row["part"] for row in rows} == {"config", "result", "run"}


def test_runs_are_listed_newest_first(tmp_path: Path, make_run: MakeRun) -> None:
    make_run(tmp_path / "a", started="2026-01-01T00:00:00+00:00")
    make_run(tmp_path / "deep" / "b", started="2026-01-02T00:00:00+00:00", status="failed")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    rows = list_runs(tmp_path)
    assert [(row["name"], row["status"]) for row in rows] == [("b", "failed"), ("a", "finished")]
    assert rows[1]["test_error"] == 0.02


def test_flatten() -> None:
    assert flatten({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}


def test_titles_have_units_and_directions() -> None:
    assert title("test_nll") == "test_nll [nats] ↓"
    assert title("kl/D0") == "kl/D0 [nats/image]"
    assert title("alpha/D0") == "alpha/D0"
