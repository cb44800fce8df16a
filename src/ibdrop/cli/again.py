"""`ibdrop resume`: a run goes on in this process, each job of a sweep in one of its own."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from ibdrop.errors import RunError
from ibdrop.runs import provenance
from ibdrop.runs.folder import Run
from ibdrop.runs.sweep import Sweep, number, tabulate

__all__ = ["resume_run", "resume_sweep"]

INTERRUPTS = (130, 143)


def resume_run(run: Run) -> int:
    """Continues a run; one that has finished is left alone.

    Raises:
        RunError: The run is still running.
    """
    if run.status == "finished":
        print(f"{run.folder} has finished already; `ibdrop report {run.folder}` shows it")
        return 0
    if run.status == "running":
        owner = f"process {run.record.get('pid')} on {run.record.get('host')}"
        raise RunError(f"{run.folder} is still running ({owner})")
    from ibdrop.runs.train import resume

    resume(run)
    return 0


def resume_sweep(folder: Path) -> int:
    """Carries out every job of a sweep that failed, stopped or never began, one by one.

    Returns:
        0 if every job has now finished, 1 if some have not, 130 or 143 if interrupted.

    Raises:
        RunError: The sweep is still running.
    """
    sweep = Sweep.open(folder)
    if sweep.status == "running":
        owner = f"process {sweep.record.get('pid')} on {sweep.record.get('host')}"
        raise RunError(f"{sweep.folder} is still running ({owner})")
    missing = _commands(sweep)
    if not missing:
        print(f"all {len(sweep.runs)} jobs of {sweep.folder} have finished already")
        return 0
    sweep.begin_again()
    status = _carry_out(sweep.folder, missing)
    sweep = Sweep.open(folder)
    sweep.end()
    _finish(sweep)
    return status or int(sweep.status != "finished")


def _carry_out(folder: Path, commands: list[list[str]]) -> int:
    for place, command in enumerate(commands, 1):
        print(f"\nmissing job {place} of {len(commands)}: {_shown(command)}", flush=True)
        status = _call([sys.executable, "-m", "ibdrop", *command])
        tabulate(folder)
        if status in INTERRUPTS:
            return status
    return 0


def _shown(command: list[str]) -> str:
    """The command without the words that are Hydra's business."""
    return shlex.join(["ibdrop", *(word for word in command if not word.startswith("hydra."))])


def _commands(sweep: Sweep) -> list[list[str]]:
    """The arguments of `ibdrop` for each missing job, in the order of the jobs."""
    stopped, waiting = sweep.unfinished()
    found = {}
    for run in stopped:
        again = (run.folder / "config.yaml").is_file()
        found[number(run)] = ["resume", str(run.folder)] if again else _anew(sweep, run)
    for job, overrides in waiting.items():
        found[job] = _start(sweep, sweep.folder / _name(sweep, job), overrides)
    return [found[job] for job in sorted(found)]


def _anew(sweep: Sweep, run: Run) -> list[str]:
    """A run that failed before it had a config leaves nothing but its record, which goes."""
    (run.folder / "run.json").unlink()
    recorded = [o for o in run.record.get("overrides") or [] if not o.startswith("hydra.mode=")]
    return _start(sweep, run.folder, dict(enumerate(sweep.jobs)).get(number(run), recorded))


def _start(sweep: Sweep, folder: Path, overrides: list[str]) -> list[str]:
    flags = provenance.config_flags(sweep.record.get("command") or [])
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    return ["train", *flags, *overrides, "hydra.mode=RUN", f"hydra.run.dir='{quoted}'"]


def _name(sweep: Sweep, job: int) -> str:
    from ibdrop.cli.jobs import varying
    from ibdrop.config.schema import job_name

    return f"{job}_{job_name(sweep.jobs[job], varying(sweep.jobs))}"


def _call(words: list[str]) -> int:
    """Waits for a child, to which Ctrl-C goes by itself and SIGTERM is passed on."""
    child = subprocess.Popen(words)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    previous = signal.signal(signal.SIGTERM, pass_on)
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue
    finally:
        signal.signal(signal.SIGTERM, previous)


def _finish(sweep: Sweep) -> None:
    from ibdrop.runs.report import report

    done = sum(run.status == "finished" for run in sweep.runs)
    print(f"\n{done} of {max(len(sweep.jobs), len(sweep.runs))} jobs finished")
    print(f"folder  {sweep.folder}\nreport  {report(sweep.folder)}")
