"""What the commands on runs do; torch is imported only where a network is run."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ibdrop.cli.places import folder_of, named, other_data, outputs, place_for, say, tell
from ibdrop.cli.reconstruct import reconstruct
from ibdrop.cli.tables import (
    show_comparison,
    show_figures,
    show_ranking,
    show_runs,
)
from ibdrop.cli.words import WORDS, Wishes, datasets, read
from ibdrop.errors import ConfigError, IbdropError, RunError
from ibdrop.files import read_csv, write_csv
from ibdrop.runs.compare import compare as set_side_by_side
from ibdrop.runs.compare import flatten, list_runs
from ibdrop.runs.folder import Run
from ibdrop.runs.sweep import Sweep

__all__ = [
    "compare",
    "evaluate",
    "explain",
    "heatmap",
    "rank",
    "reconstruct",
    "report",
    "resume",
    "runs",
]


def evaluate(arguments: Namespace) -> int:
    """`ibdrop evaluate`: the stored figures beside new ones, or a study of uncertainty."""
    found, wishes, words = _asked(arguments)
    first = found[0]
    if len(found) == 1 and isinstance(first, Run):
        if wishes.plain and (arguments.artifacts or not wishes.dataset):
            return _test_again(first, wishes, words, arguments)
        runs = [first]
    else:
        from ibdrop.runs.members import members

        runs = members(found)
    if arguments.artifacts:
        raise ConfigError(["--artifacts: goes with one run, its noise off; leave it out here"])
    from ibdrop.cli.study import place, study
    from ibdrop.cli.study_tables import show_study

    folder = arguments.output or place(runs, words)
    show_study(study(runs, wishes, words, folder, arguments.config_dir))
    return 0


def _test_again(run: Run, wishes: Wishes, words: Sequence[str], arguments: Namespace) -> int:
    """The figures of one network with the noise off, and its artifacts if they are wanted."""
    from ibdrop.build import overridden
    from ibdrop.cli.network import infer_again, with_config
    from ibdrop.cli.other_data import not_of_data, tested_on
    from ibdrop.cli.study import place

    names: list[str] | None = None if arguments.artifacts else []
    if wishes.dataset is None:
        changed = with_config(run, overridden(run.config, wishes.changes))
        folder, trained = place_for(run, arguments.output, wishes.changes), None
    else:
        changed = with_config(run, overridden(run.config, not_of_data(wishes.changes)))
        folder = arguments.output or place([run], words)
        trained, notes = tested_on(run, wishes, arguments.config_dir)
        for note in notes:
            say(f"note   {note}")
    figures, files = infer_again(changed, names, folder, trained)
    show_figures(_shown(run.metrics), _shown(figures))
    tell(run, files)
    return 0


def _asked(arguments: Namespace) -> tuple[list[Run | Sweep], Wishes, list[str]]:
    """The runs and sweeps that are named, and what to do with them.

    Raises:
        IbdropError: With every mistake in the words.
    """
    given: list[str] = arguments.words
    folders = [t for t in given if Path(t).is_dir() or ("=" not in t and t not in WORDS)]
    words = [text for text in given if text not in folders]
    found: list[Run | Sweep] = []
    wishes, errors = Wishes(), list[IbdropError]()
    for text in folders:
        try:
            found.append(_run_or_sweep(folder_of(text)))
        except RunError as error:
            errors.append(error)
    try:
        wishes = _wishes(words, arguments)
    except ConfigError as error:
        errors.append(error)
    if not folders:
        errors.append(RunError("evaluate needs the folder of a run; `latest` is the newest"))
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ConfigError([line for error in errors for line in str(error).splitlines()])
    return found, wishes, words


def _run_or_sweep(folder: Path) -> Run | Sweep:
    sweep = (folder / "sweep.json").is_file() and not (folder / "run.json").exists()
    return Sweep.open(folder) if sweep else Run.open(folder)


def _wishes(words: Sequence[str], arguments: Namespace) -> Wishes:
    """What the words ask for.

    Raises:
        ConfigError: With every mistake in them.
    """
    mine: Path | None = arguments.config_dir
    if mine is not None and not mine.is_dir():
        raise ConfigError([f"--config-dir: there is no folder {mine}"])
    from ibdrop.data.corruptions import CORRUPTIONS

    return read(words, tuple(CORRUPTIONS), tuple(datasets(mine)))


def rank(arguments: Namespace) -> int:
    """`ibdrop rank`: the entropy ranking alone."""
    from ibdrop.cli.network import infer_again, with_artifact
    from ibdrop.sampling.engine import NoNoiseError

    run = named(arguments)
    names = ("passes", "images", "mask_sharing", "design")
    chosen = {name: getattr(arguments, name) for name in names} | {"needs_noise": True}
    folder = place_for(run, arguments.output, other_data(arguments.changes))
    try:
        _, files = infer_again(with_artifact(run, "ranking", chosen), ["ranking"], folder)
    except NoNoiseError as error:
        raise RunError(f"{run.folder}: {error}") from error
    show_ranking(read_csv(folder / "ranking_summary.csv"))
    tell(run, files)
    return 0


def heatmap(arguments: Namespace) -> int:
    """`ibdrop heatmap`: the KL heat maps alone."""
    from ibdrop.cli.network import draw_chosen, infer_again, with_artifact

    run = named(arguments)
    if arguments.index:
        folder = arguments.output or run.folder / "chosen"
        chosen = {"images": len(arguments.index)}
        files = draw_chosen(with_artifact(run, "heatmap", chosen), arguments.index, folder)
    else:
        chosen = {"images": arguments.images}
        changed = with_artifact(run, "heatmap", chosen)
        folder = place_for(run, arguments.output, other_data(arguments.changes))
        _, files = infer_again(changed, ["heatmap"], folder)
    if not files:
        say("nothing to draw: no layer of this network has a KL term over positions")
    tell(run, files)
    return 0


def explain(arguments: Namespace) -> int:
    """`ibdrop explain`: masks of what makes the class of an image."""
    if not Path(arguments.run).expanduser().is_file() and "." not in Path(arguments.run).name:
        Run.open(folder_of(arguments.run))  # Says what is no run before torch is loaded.
    from ibdrop.cli.explain import explain as carry_out

    return carry_out(arguments)


def report(arguments: Namespace) -> int:
    """`ibdrop report`: the page of a run or a sweep."""
    from ibdrop.runs.report import report as write_report

    say(f"report  {write_report(folder_of(arguments.run))}")
    return 0


def compare(arguments: Namespace) -> int:
    """`ibdrop compare`: runs side by side."""
    found = [Run.open(folder_of(text)) for text in arguments.runs]
    if len(found) < 2:
        raise RunError("compare needs at least two runs; `ibdrop runs` lists the runs there are")
    names = [chr(ord("A") + i) if len(found) <= 26 else str(i + 1) for i in range(len(found))]
    comparison = set_side_by_side(found)
    show_comparison(names, [str(run.folder) for run in found], comparison)
    if arguments.csv:
        _write_rows(arguments.csv, comparison.rows([str(run.folder) for run in found]))
    return 0


def runs(arguments: Namespace) -> int:
    """`ibdrop runs`: the runs there are."""
    root = arguments.root or outputs()
    if arguments.root and not root.is_dir():
        raise RunError(f"there is no folder {root.absolute()}")
    rows = list_runs(root)
    if not rows:
        say(f"no runs in {root.absolute()}; `ibdrop train` makes one")
    else:
        show_runs([{**row, "folder": os.path.relpath(row["folder"])} for row in rows])
    if arguments.csv:
        _write_rows(arguments.csv, rows)
    return 0


def resume(arguments: Namespace) -> int:
    """`ibdrop resume`: an interrupted run, or what is missing of a sweep."""
    from ibdrop.cli.again import resume_run, resume_sweep

    folder = folder_of(arguments.run)
    if (folder / "sweep.json").is_file() and not (folder / "run.json").exists():
        return resume_sweep(folder)
    return resume_run(Run.open(folder))


def _shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "/", 1): value for name, value in flatten(figures).items()}


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        write_csv(path, rows)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    say(f"wrote  {path}")
