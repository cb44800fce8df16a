"""A sweep: runs beside each other in one folder, and the table over them.

The folder holds `sweep.json` (what was asked for), `sweep.csv` (what came out so far), pictures
in `artifacts/`, and one run folder per job whose name begins with the number of the job.
`sweep.json` has the fields `format`, `kind` ("sweep"), `status`, `name`, `command`, `overrides`
(as given), `jobs` (the overrides of each job, in order), `started`, `ended`, `versions`, `git`
and the process. Everything else is read from the runs, so that nothing can disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibdrop.errors import RunError
from ibdrop.files import write_csv, write_json
from ibdrop.runs import provenance, record
from ibdrop.runs.folder import Run, find_runs

__all__ = ["Sweep", "differing", "number", "table", "tabulate"]

RECORD = "sweep.json"
METRICS = ("test_error", "test_accuracy", "test_nll", "test_ece", "kl_total")
COSTS = ("test_cost", "test_ce", "test_ce_floor", "test_mse", "test_mse_pca", "kl_total")


@dataclass(frozen=True)
class Sweep:
    """Runs that differ in a few overrides.

    Attributes:
        folder: The folder, absolute.
        record: What `sweep.json` holds; empty for a folder of runs that has none.
        runs: The jobs begun so far, in order.
    """

    folder: Path
    record: dict[str, Any]
    runs: tuple[Run, ...]

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        command: Sequence[str],
        overrides: Sequence[str],
        jobs: Sequence[Sequence[str]],
    ) -> Sweep:
        """Begins a sweep by writing `sweep.json`.

        Arguments:
            folder: Where; made if it is not there.
            command: The command line, word by word.
            overrides: The overrides as given, before they were expanded.
            jobs: The overrides of each job, in order.

        Raises:
            RunError: The folder cannot be written.
        """
        folder = folder.absolute()
        given = {"command": list(command), "overrides": list(overrides)}
        fields = record.begin(
            kind="sweep", name=folder.name, **given, jobs=[list(job) for job in jobs]
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / RECORD, fields)
        except OSError as error:
            raise RunError(f"cannot write the sweep folder {folder}: {error.strerror}") from error
        return cls(folder, fields, ())

    @classmethod
    def open(cls, folder: Path) -> Sweep:
        """Opens the sweep in `folder`; any folder with runs in it will do.

        Raises:
            RunError: There is no run in it and no `sweep.json`, or a damaged or newer one.
        """
        folder = folder.absolute()
        fields = record.read(folder / RECORD) if (folder / RECORD).is_file() else {}
        runs = tuple(sorted(find_runs(folder), key=_order)) if folder.is_dir() else ()
        if (not runs and not fields) or (folder / "run.json").exists():
            raise RunError(f"{folder} is no sweep: it has no {RECORD} and no runs in it")
        return cls(folder, fields, runs)

    @property
    def status(self) -> str:
        """`running`, `finished`, or `incomplete` if jobs failed, stopped or never began."""
        states = [run.status for run in self.runs]
        if "running" in states:
            return "running"
        if self.record.get("status") == "running" and provenance.alive(self.record):
            return "running"
        return self._outcome()

    @property
    def jobs(self) -> list[list[str]]:
        """The overrides of each job, in order; empty if the sweep left no record."""
        return [list(job) for job in self.record.get("jobs", [])]

    def unfinished(self) -> tuple[list[Run], dict[int, list[str]]]:
        """The runs begun but stopped, and by number the overrides of the jobs never begun."""
        begun = {number(run) for run in self.runs}
        waiting = {n: job for n, job in enumerate(self.jobs) if n not in begun}
        return [run for run in self.runs if run.status not in ("finished", "running")], waiting

    def begin_again(self) -> None:
        """Writes into `sweep.json` that this process carries out the missing jobs."""
        if self.record:
            self.record.update(status="running", ended=None, **provenance.process())
            write_json(self.folder / RECORD, self.record)

    def end(self) -> None:
        """Writes into `sweep.json`, if there is one, that no further job will begin."""
        if self.record:
            self.record.update(status=self._outcome(), ended=provenance.now())
            write_json(self.folder / RECORD, self.record)

    def _outcome(self) -> str:
        finished = [run for run in self.runs if run.status == "finished"]
        return "finished" if len(finished) >= max(len(self.jobs), len(self.runs)) else "incomplete"


def tabulate(folder: Path) -> list[dict[str, Any]]:
    """Writes `sweep.csv` and, once two runs have finished, the pictures.

    Arguments:
        folder: The folder of the sweep; any folder with runs in it will do.

    Returns:
        One row per run begun, in the order of the jobs: number, status, what differs in the
        overrides, the test figures, KL in nats per image, warnings, error, folder.

    Raises:
        RunError: There are no runs in the folder.
    """
    sweep = Sweep.open(folder)
    rows = table(sweep)
    if rows:
        write_csv(sweep.folder / "sweep.csv", rows)
    if sum(row["status"] == "finished" for row in rows) >= 2:
        from ibdrop.artifacts.sweep import draw

        draw(rows, differing(sweep.runs), sweep.folder)
    return rows


def table(sweep: Sweep) -> list[dict[str, Any]]:
    """One row per run begun; a failed one is a row with its error and no figures."""
    columns = differing(sweep.runs)
    names = COSTS if any("test_cost" in run.metrics for run in sweep.runs) else METRICS
    return [_row(run, columns, names, sweep.folder) for run in sweep.runs]


def differing(runs: Sequence[Run]) -> list[str]:
    """The overridden keys in which runs differ, except the seed and beta; often none."""
    given = [_overrides(run) for run in runs]
    keys = dict.fromkeys(key for one in given for key in one)
    apart = [key for key in keys if len({one.get(key) for one in given}) > 1]
    return [key for key in apart if key not in ("beta", "seed") and not key.startswith("hydra.")]


def number(run: Run) -> int:
    """The number of a run's job, with which its folder's name begins; -1 if it has none."""
    digits = run.folder.name.partition("_")[0]
    return int(digits) if digits.isdigit() else -1


def _row(run: Run, columns: Sequence[str], names: Sequence[str], root: Path) -> dict[str, Any]:
    fields, metrics, given = run.record, run.metrics, _overrides(run)
    return {
        "number": number(run),
        "status": run.status,
        **{key: given.get(key, "") for key in columns},
        **{key: fields.get(key) for key in ("seed", "beta", "effective_beta")},
        **{key: metrics.get(key) for key in names},
        **{f"kl/{layer}": nats for layer, nats in (metrics.get("kl") or {}).items()},
        "warnings": len(fields.get("warnings") or []),
        "error": fields.get("error") or "",
        "folder": str(run.folder.relative_to(root)),
    }


def _overrides(run: Run) -> dict[str, str]:
    pairs = (text.partition("=") for text in run.record.get("overrides") or [])
    return {key.lstrip("+~"): value for key, _, value in pairs}


def _order(run: Run) -> tuple[int, str]:
    return number(run), str(run.folder)
