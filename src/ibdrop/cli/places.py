"""Which run is meant, where what is made of it goes, and how that is said."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.text import Text

from ibdrop.cli.tables import console
from ibdrop.errors import ConfigError, RunError
from ibdrop.runs.folder import Run, find_runs

__all__ = ["folder_of", "named", "other_data", "outputs", "place_for", "say", "tell"]


def named(arguments: Namespace) -> Run:
    """The run that is named, with the changes that are asked for.

    Raises:
        RunError: There is no such run.
        ConfigError: With every change that cannot be made.
    """
    run = Run.open(folder_of(arguments.run))
    wrong = [word for word in arguments.changes if not word.startswith(("dataset.", "trainer."))]
    if wrong:
        raise ConfigError([f"{word}: only dataset.* and trainer.* change here" for word in wrong])
    if not arguments.changes:
        return run
    from ibdrop.build import overridden
    from ibdrop.cli.network import with_config

    return with_config(run, overridden(run.config, arguments.changes))


def other_data(changes: Iterable[str]) -> list[str]:
    """The changes that may make other data, not only say where they lie."""
    return [word for word in changes if not word.startswith(("dataset.root=", "dataset.file="))]


def tell(run: Run, files: Sequence[Path]) -> None:
    """Names the files; those of the run itself go into its record and its report."""
    for path in files:
        say(f"wrote  {path}")
    own = [path.relative_to(run.folder) for path in files if run.artifacts in path.parents]
    if own:
        from ibdrop.runs.report import report as write_report

        before = [
            name for name in run.record.get("artifacts") or [] if (run.folder / name).exists()
        ]
        known = [*before, *map(str, own)]
        run.update(artifacts=list(dict.fromkeys(known)))
        say(f"report {write_report(run.folder)}")


def place_for(run: Run, output: Path | None, changes: Iterable[str] = ()) -> Path:
    """Pictures of other data never replace those of the run."""
    if output is not None:
        return output
    other = any(change.startswith("dataset.") for change in changes)
    return run.folder / "other_data" if other else run.artifacts


def folder_of(text: str) -> Path:
    """The folder that is named; of `latest` that of the newest run.

    Raises:
        RunError: There are no runs yet.
    """
    if text != "latest" or Path(text).exists():
        return Path(text).expanduser()
    found = find_runs(outputs())
    if not found:
        raise RunError(f"there are no runs in {outputs().absolute()}; `ibdrop train` makes one")
    return max(found, key=lambda run: str(run.record.get("started"))).folder


def outputs() -> Path:
    """The folder of all runs."""
    return Path(os.environ.get("IBDROP_OUTPUTS") or "outputs")


def say(words: str) -> None:
    """Prints a line, however long, in one."""
    console().print(Text(words), soft_wrap=True)
