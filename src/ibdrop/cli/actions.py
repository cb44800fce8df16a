"""What the commands on runs do; torch is imported only where a network is run."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.text import Text

from ibdrop.cli.tables import console, show_comparison, show_figures, show_runs
from ibdrop.errors import ConfigError, RunError
from ibdrop.files import write_csv
from ibdrop.runs.compare import compare as set_side_by_side
from ibdrop.runs.compare import flatten, list_runs
from ibdrop.runs.folder import Run, find_runs

__all__ = ["compare", "evaluate", "heatmap", "rank", "report", "resume", "runs"]

CHANGEABLE = ("dataset.", "trainer.", "artifacts.")


def evaluate(arguments: Namespace) -> int:
    """`ibdrop evaluate`: the stored figures beside new ones."""
    run = Run.open(_folder(arguments.run))
    changes = list(arguments.overrides)
    _check_changes(changes)
    from ibdrop.build import overridden
    from ibdrop.cli.network import infer_again, with_config

    names: list[str] | None = None if arguments.artifacts else []
    changed = with_config(run, overridden(run.config, changes))
    figures, files = infer_again(changed, names, _place(run, arguments.output, changes))
    show_figures(_shown(run.metrics), _shown(figures))
    _tell(run, files)
    return 0


def rank(arguments: Namespace) -> int:
    """`ibdrop rank`: the entropy ranking alone."""
    from ibdrop.cli.network import infer_again, with_artifact

    run = Run.open(_folder(arguments.run))
    chosen = {"passes": arguments.passes, "images": arguments.images}
    _, files = infer_again(
        with_artifact(run, "ranking", chosen), ["ranking"], _place(run, arguments.output)
    )
    _tell(run, files)
    return 0


def heatmap(arguments: Namespace) -> int:
    """`ibdrop heatmap`: the KL heat maps alone."""
    from ibdrop.cli.network import draw_chosen, infer_again, with_artifact

    run = Run.open(_folder(arguments.run))
    if arguments.index:
        folder = arguments.output or run.folder / "chosen"
        chosen = {"images": len(arguments.index)}
        files = draw_chosen(with_artifact(run, "heatmap", chosen), arguments.index, folder)
    else:
        chosen = {"images": arguments.images}
        changed = with_artifact(run, "heatmap", chosen)
        _, files = infer_again(changed, ["heatmap"], _place(run, arguments.output))
    if not files:
        _say("nothing to draw: no layer of this network has a KL term over positions")
    _tell(run, files)
    return 0


def report(arguments: Namespace) -> int:
    """`ibdrop report`: the page of a run or a sweep."""
    from ibdrop.runs.report import report as write_report

    _say(f"report  {write_report(_folder(arguments.run))}")
    return 0


def compare(arguments: Namespace) -> int:
    """`ibdrop compare`: runs side by side."""
    found = [Run.open(_folder(text)) for text in arguments.runs]
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
    root = arguments.root or _outputs()
    if arguments.root and not root.is_dir():
        raise RunError(f"there is no folder {root.absolute()}")
    rows = list_runs(root)
    if not rows:
        _say(f"no runs in {root.absolute()}; `ibdrop train` makes one")
    else:
        show_runs([{**row, "folder": os.path.relpath(row["folder"])} for row in rows])
    if arguments.csv:
        _write_rows(arguments.csv, rows)
    return 0


def resume(arguments: Namespace) -> int:
    """`ibdrop resume`: an interrupted run, or what is missing of a sweep."""
    from ibdrop.cli.again import resume_run, resume_sweep

    folder = _folder(arguments.run)
    if (folder / "sweep.json").is_file() and not (folder / "run.json").exists():
        return resume_sweep(folder)
    return resume_run(Run.open(folder))


def _tell(run: Run, files: Sequence[Path]) -> None:
    """Names the files; those of the run itself go into its record and its report."""
    for path in files:
        _say(f"wrote  {path}")
    own = [path.relative_to(run.folder) for path in files if run.artifacts in path.parents]
    if own:
        from ibdrop.runs.report import report as write_report

        known = [*(run.record.get("artifacts") or []), *map(str, own)]
        run.update(artifacts=list(dict.fromkeys(known)))
        _say(f"report {write_report(run.folder)}")


def _shown(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {name.replace(".", "/", 1): value for name, value in flatten(figures).items()}


def _check_changes(changes: Iterable[str]) -> None:
    problems = [
        f"{change}: evaluate changes only {', '.join(f'{group}*' for group in CHANGEABLE)}"
        for change in changes
        if not change.startswith(CHANGEABLE)
    ]
    if problems:
        raise ConfigError(problems)


def _place(run: Run, output: Path | None, changes: Iterable[str] = ()) -> Path:
    """Pictures of other data never replace those of the run."""
    if output is not None:
        return output
    other = any(change.startswith("dataset.") for change in changes)
    return run.folder / "other_data" if other else run.artifacts


def _folder(text: str) -> Path:
    if text != "latest" or Path(text).exists():
        return Path(text).expanduser()
    found = find_runs(_outputs())
    if not found:
        raise RunError(f"there are no runs in {_outputs().absolute()}; `ibdrop train` makes one")
    return max(found, key=lambda run: str(run.record.get("started"))).folder


def _outputs() -> Path:
    return Path(os.environ.get("IBDROP_OUTPUTS") or "outputs")


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    try:
        write_csv(path, rows)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror}") from error
    _say(f"wrote  {path}")


def _say(words: str) -> None:
    console().print(Text(words), soft_wrap=True)
