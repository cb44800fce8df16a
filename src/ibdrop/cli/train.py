"""`ibdrop train`: the one Hydra application."""

from __future__ import annotations

import argparse
import gc
import logging
import math
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from ibdrop.cli import jobs, mistakes
from ibdrop.cli.help import train_help
from ibdrop.cli.hooks import plain
from ibdrop.cli.session import Failure, Session, Stop, current
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, trust, version_base
from ibdrop.errors import ConfigError, IbdropError, Interrupted

__all__ = ["SweepError", "main"]

log = logging.getLogger("ibdrop")


class SweepError(IbdropError):
    """Jobs of a sweep failed; the others are finished.

    Arguments:
        session: The call whose sweep it is.
    """

    def __init__(self, session: Session) -> None:
        failures = session.failures
        mended = all(isinstance(f.error, IbdropError) and f.error.status == 2 for f in failures)
        self.status = 2 if mended else 1
        jobs = f"{len(failures)} of {session.jobs}" if session.jobs else str(len(failures))
        lines = [f"{jobs} jobs of the sweep failed; each train.log tells more"]
        for failure in failures:
            text = f"{failure.folder.name}: {_in_words(failure.error)}"
            lines.append(text.replace("\n", "\n    "))
        super().__init__("\n  ".join(lines))


def main(argv: Sequence[str]) -> int:
    """Runs Hydra on the arguments after `ibdrop train`.

    Raises:
        IbdropError: What the user can mend, all mistakes in the arguments at once.
    """
    register()
    words, given = _arguments(argv)
    if given.help:
        print(train_help(Path(given.config_dir) if given.config_dir else None))
        return 0
    if not (given.multirun or given.cfg or given.info or given.shell_completion):
        words += jobs.mode(given.overrides, given.config_dir)
    session = current(["ibdrop", "train", *argv])
    decorate = hydra.main(str(conf_dir()), "train", **version_base(), **trust())
    application = decorate(train)
    try:
        with _as_arguments(words), _true_errors():
            application()
        if session.failures:
            raise SweepError(session)
    except Stop as stop:
        raise _translated(stop.error, session, given) from stop.error.__cause__
    except Exception as error:
        raise _translated(error, session, given) from error.__cause__
    finally:
        if session.sweep is not None:
            _end_sweep(session.sweep)
    return 0


def train(config: DictConfig) -> float:
    """One run; Hydra has composed the config, made the folder and opened the log."""
    session = current()
    session.started = True
    whole = HydraConfig.get()
    folder = Path(whole.runtime.output_dir)
    try:
        return _train(plain(config), folder, _overrides(whole))
    except Interrupted as error:
        raise Stop(error) from error
    except Exception as error:
        if isinstance(error, IbdropError) or not (folder / "run.json").is_file():
            log.exception("the run failed")
        if session.sweep is not None:
            session.failures.append(Failure(folder, error))
            _record_failure(folder, _overrides(whole), error)
            print(f"this job failed: {_in_words(error)}", file=sys.stderr, flush=True)
            return math.nan
        if whole.mode == RunMode.MULTIRUN:
            raise  # In a worker process, whose launcher carries the error home.
        raise Stop(error) from error
    finally:
        _free_memory()


def _record_failure(folder: Path, overrides: list[str], error: Exception) -> None:
    """Gives a job that failed before its run began a row in the table of the sweep."""
    from ibdrop.runs.folder import Run

    with suppress(IbdropError, OSError):
        Run.fail(folder, overrides, _in_words(error))


def _train(config: dict[str, Any], folder: Path, overrides: list[str]) -> float:
    from ibdrop.config.check import check
    from ibdrop.runs.train import train as carry_out

    check(config)
    config["output_dir"] = str(Path(config["output_dir"]).expanduser().absolute())
    return carry_out(config, folder, command=current().command, overrides=overrides)


def _overrides(whole: HydraConf) -> list[str]:
    """The overrides that repeat this run alone, also where a file asks for a sweep."""
    overrides = [str(override) for override in whole.overrides.task]
    sweeps = whole.mode == RunMode.MULTIRUN and any(map(jobs.may_sweep, overrides))
    return [*overrides, "hydra.mode=RUN"] if sweeps else overrides


def _translated(
    error: BaseException, session: Session, given: argparse.Namespace
) -> BaseException:
    """The error to report in place of what came out of Hydra."""
    _discard(session.claimed)
    if session.started or isinstance(error, IbdropError):
        return error
    if isinstance(error, (*mistakes.COMPOSITION_ERRORS, ValueError)):
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            return error
        folder = Path(given.config_dir).absolute() if given.config_dir else None
        name = given.config_name or "train"
        lines = mistakes.explain(error, given.overrides, folder, name, given.multirun)
        return ConfigError(lines)
    return error


def _arguments(argv: Sequence[str]) -> tuple[list[str], argparse.Namespace]:
    """The arguments in an order that Hydra accepts, and what they are.

    Raises:
        ConfigError: A flag is unknown or lacks its value.
    """
    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    with suppress(ConfigError):
        return list(argv), parser.parse_args(list(argv))
    given = parser.parse_intermixed_args(list(argv))
    flags = list(argv)
    for override in given.overrides:
        flags.remove(override)
    return [*given.overrides, *flags], given


def _refuse_flag(message: str) -> NoReturn:
    raise ConfigError([f"{message}; `ibdrop train --help` lists the flags"])


@contextmanager
def _as_arguments(words: Sequence[str]) -> Iterator[None]:
    """Shows Hydra the command line without the word `train`."""
    before = sys.argv
    sys.argv = [before[0], *words]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _true_errors() -> Iterator[None]:
    """Makes Hydra raise what it would print, unless the user has decided about that."""
    decided = "HYDRA_FULL_ERROR" in os.environ
    os.environ.setdefault("HYDRA_FULL_ERROR", "1")
    try:
        yield
    finally:
        if not decided:
            del os.environ["HYDRA_FULL_ERROR"]


def _end_sweep(folder: Path) -> None:
    """Brings the table up to date and says where it is, and how the rest can be had."""
    from ibdrop.runs.report import report
    from ibdrop.runs.sweep import Sweep, tabulate

    with suppress(IbdropError, OSError):
        tabulate(folder)
        Sweep.open(folder).end()
        report(folder)
    quoted = shlex.quote(str(folder))
    print(f"\nsweep   {folder}\ntable   {folder / 'sweep.csv'}")
    print(f"report  {folder / 'report.html'}", flush=True)
    with suppress(IbdropError, OSError):
        if Sweep.open(folder).status == "incomplete":
            print(f"resume  ibdrop resume {quoted}", flush=True)


def _in_words(error: Exception) -> str:
    kind = "" if isinstance(error, IbdropError) else f"{type(error).__name__}: "
    return f"{kind}{error}"


def _discard(folder: Path | None) -> None:
    """Removes a folder that holds nothing but what Hydra put there before the run began."""
    if folder is None or (folder / "run.json").exists():
        return
    for path in [*(folder / ".hydra").glob("*.yaml"), folder / "train.log"]:
        path.unlink(missing_ok=True)
    for path in (folder / ".hydra", folder):
        with suppress(OSError):
            path.rmdir()


def _free_memory() -> None:
    """Gives the GPU's memory back between the jobs of a sweep."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
