"""The run folder: everything that is known of a run, and all that later commands need."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from ibdrop.errors import RunError
from ibdrop.files import write_json, write_text
from ibdrop.runs import provenance, record

__all__ = ["Run", "find_runs"]

RECORD = "run.json"
CONFIG = "config.yaml"
SHOWN = 5


class Run:
    """A config, a seed and a folder.

    Attributes:
        folder: The folder, absolute.
        record: What `run.json` holds.
    """

    def __init__(self, folder: Path, fields: dict[str, Any]) -> None:
        self.folder = folder
        self.record = fields

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Mapping[str, Any],
        *,
        command: Sequence[str],
        overrides: Sequence[str],
    ) -> Run:
        """Begins a run: writes `config.yaml`, then `run.json` with status `running`.

        Arguments:
            folder: Where; made if it is not there.
            config: The resolved config of plain values.
            command: The command line, word by word.
            overrides: The overrides of this very run.

        Raises:
            RunError: The folder cannot be written, or holds a run that would be lost.
        """
        folder = folder.absolute()
        try:
            _claim(folder)
            run = cls(folder, _first(config, command, overrides))
            write_text(folder / CONFIG, _to_yaml(config))
            run.artifacts.mkdir(exist_ok=True)
            run.update()
        except OSError as error:
            raise RunError(f"cannot write the run folder {folder}: {error.strerror}") from error
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Opens the run in `folder`.

        Raises:
            RunError: There is no run, a damaged one, or one of a newer format.
        """
        folder = folder.absolute()
        if not (folder / RECORD).is_file():
            raise RunError(_why_no_run(folder))
        run = cls(folder, record.read(folder / RECORD))
        if not (folder / CONFIG).is_file():
            raise RunError(f"{folder} has a {RECORD} but no {CONFIG}{_because(run)}")
        return run

    @classmethod
    def fail(cls, folder: Path, overrides: Sequence[str], error: str) -> Run:
        """Records that a run failed, even one that failed before it was created.

        A run that is already marked finished, failed or interrupted is left as it is.

        Arguments:
            folder: Where the run is or was to be.
            overrides: The overrides of this very run.
            error: What went wrong, in one sentence.
        """
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / RECORD).exists():
            run = cls(folder, _first({}, [], overrides))
        else:
            run = cls(folder, record.read(folder / RECORD))
        if run.record["status"] == "running":
            run.update(status="failed", error=error, ended=provenance.now())
        return run

    @cached_property
    def config(self) -> dict[str, Any]:
        """The resolved config.

        Raises:
            RunError: `config.yaml` is damaged.
        """
        return _from_yaml(self.folder / CONFIG)

    @property
    def status(self) -> str:
        """`running`, `finished`, `failed`, `interrupted`, or `killed` if its process is gone."""
        status = str(self.record.get("status", "unknown"))
        if status == "running" and not provenance.alive(self.record):
            return "killed"
        return status

    @property
    def name(self) -> str:
        """The name of the run, for titles."""
        return str(self.record.get("name") or self.folder.name)

    @property
    def metrics(self) -> dict[str, Any]:
        """The final test figures; empty until the run has finished."""
        return dict(self.record.get("metrics") or {})

    @property
    def checkpoints(self) -> Path:
        """The folder of `best.ckpt` and `last.ckpt`."""
        return self.folder / "checkpoints"

    @property
    def artifacts(self) -> Path:
        """The folder of numbers and the pictures drawn from them."""
        return self.folder / "artifacts"

    @property
    def metrics_csv(self) -> Path:
        """One row per epoch."""
        return self.folder / "metrics.csv"

    @property
    def log(self) -> Path:
        """What was logged."""
        return self.folder / "train.log"

    @property
    def report(self) -> Path:
        """The self-contained page."""
        return self.folder / "report.html"

    def update(self, **fields: Any) -> None:
        """Merges fields into `run.json`; readers see the old file or the new one, whole."""
        self.record.update(fields)
        write_json(self.folder / RECORD, self.record)


def find_runs(root: Path) -> list[Run]:
    """All runs at or below `root` whose record can be read, by path.

    A run is not searched for further runs.
    """
    found = []
    for folder, below, files in os.walk(root):
        below[:] = sorted((n for n in below if not n.startswith(".")), key=_natural)
        if RECORD in files:
            below.clear()
            with suppress(RunError):
                path = Path(folder).absolute()
                found.append(Run(path, record.read(path / RECORD)))
    return found


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _first(
    config: Mapping[str, Any], command: Sequence[str], overrides: Sequence[str]
) -> dict[str, Any]:
    known = {key: config[key] for key in ("name", "seed", "beta", "beta_units") if key in config}
    empty: dict[str, Any] = {
        "warnings": [],
        "notes": [],
        "error": None,
        "epoch": 0,
        "artifacts": [],
    }
    given: dict[str, Any] = {"command": list(command), "overrides": list(overrides)}
    given["directory"] = os.getcwd()
    return record.begin(**known, **given, seconds=None, **empty)


def _claim(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / RECORD).exists():
        return _refuse_if_worth_keeping(Run(folder, record.read(folder / RECORD)))
    try:
        (folder / "checkpoints").mkdir()
    except FileExistsError as error:
        message = f"another run is starting in {folder}, or died there; choose another folder"
        raise RunError(message) from error


def _refuse_if_worth_keeping(run: Run) -> None:
    if run.status == "finished":
        raise RunError(f"{run.folder} already holds a finished run; choose another folder")
    if run.status == "running":
        owner = f"process {run.record.get('pid')} on {run.record.get('host')}"
        raise RunError(f"{run.folder} is being written by {owner}; choose another folder")
    if any((run.checkpoints / name).exists() for name in ("last.ckpt", "pretrained.ckpt")):
        raise RunError(
            f"{run.folder} holds a run that can go on: `ibdrop resume {run.folder}`; "
            "or choose another folder"
        )
    run.checkpoints.mkdir(exist_ok=True)


def _because(run: Run) -> str:
    error = run.record.get("error")
    return f": it failed before it began ({error})" if error else "; it cannot be rebuilt"


def _why_no_run(folder: Path) -> str:
    where = "`ibdrop runs` lists the runs there are"
    if not folder.exists():
        return f"there is no folder {folder}; {where}"
    for above in folder.parents:
        if (above / RECORD).is_file():
            return f"{folder} is inside a run; the run is {above}"
    if not folder.is_dir():
        return f"{folder} is a file, not the folder of a run; {where}"
    children = [run.folder.relative_to(folder) for run in find_runs(folder)]
    if not children:
        return f"{folder} is not a run: it has no {RECORD}; {where}"
    shown = ", ".join(map(str, children[:SHOWN])) + (" ..." if len(children) > SHOWN else "")
    kind = "a sweep" if (folder / "sweep.json").is_file() else "a folder of runs"
    return f"{folder} is {kind}, not a run; its runs are: {shown}"


def _to_yaml(config: Mapping[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(dict(config)))


def _from_yaml(path: Path) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError  # type: ignore[import-untyped]

    try:
        config = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except (YAMLError, OmegaConfBaseException, ValueError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise RunError(f"{path} is damaged ({reason}); the run cannot be rebuilt") from error
    if not isinstance(config, dict):
        raise RunError(f"{path} is damaged (it holds no keys); the run cannot be rebuilt")
    return {str(key): value for key, value in config.items()}
