"""What happens around Hydra's runs: check first, a folder of one's own, tables kept current."""

from __future__ import annotations

import copy
import functools
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from ibdrop.cli import jobs
from ibdrop.cli.session import Stop, current
from ibdrop.errors import ConfigError

__all__ = ["Hooks", "claim", "plain", "visible"]


def _decisive(method: Callable[..., None]) -> Callable[..., None]:
    """Lets no error of this hook become a mere warning."""

    @functools.wraps(method)
    def guarded(*arguments: Any, **named: Any) -> None:
        try:
            method(*arguments, **named)
        except Exception as error:
            raise Stop(error) from error

    return guarded


class Hooks(Callback):
    """Hydra calls these methods; `conf/hydra/callbacks/ibdrop.yaml` names the class."""

    @_decisive
    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the config, then claims the run folder."""
        from ibdrop.config.check import check

        session = current()
        with visible(config):
            check(plain(config))
        session.started = True
        folder, ours = _place(config, "hydra.run.dir")
        session.claimed = folder if ours else None
        with read_write(config), open_dict(config):
            config.hydra.run.dir = str(folder)

    @_decisive
    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Checks the config of every job, then claims the folder of the sweep."""
        session = current()
        expanded = jobs.expand(config)
        _check_jobs(config, expanded)
        session.started = True
        session.jobs = len(expanded)
        session.sweep, _ = _place(config, "hydra.sweep.dir")
        with read_write(config), open_dict(config):
            jobs.settle(config, session.sweep, expanded)
        from ibdrop.runs.sweep import Sweep

        given = list(config.hydra.overrides.task)
        Sweep.create(session.sweep, command=session.command, overrides=given, jobs=expanded)

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Announces a job of a sweep."""
        session = current()
        if session.jobs:
            number = int(config.hydra.job.num) + 1
            name = Path(config.hydra.runtime.output_dir).name
            print(f"\njob {number} of {session.jobs}: {name}", file=sys.stderr, flush=True)

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **kwargs: Any) -> None:
        """Brings the table of the sweep up to date."""
        folder = Path(config.hydra.runtime.output_dir).parent
        if (folder / "sweep.json").is_file():
            from ibdrop.runs.sweep import tabulate

            tabulate(folder)


def plain(config: DictConfig) -> dict[str, Any]:
    """The resolved config of a run as plain values, without Hydra's own part."""
    content = copy.deepcopy(config)
    with read_write(content), open_dict(content):
        content.pop("hydra", None)
    found = OmegaConf.to_container(content, resolve=True)
    assert isinstance(found, dict)
    return {str(key): value for key, value in found.items()}


@contextmanager
def visible(config: DictConfig) -> Iterator[DictConfig]:
    """Lets `${hydra:...}` see this config, as Hydra itself does only once a job runs."""
    hydra = HydraConfig.instance()
    previous = hydra.cfg
    hydra.set_config(config)
    try:
        yield config
    finally:
        hydra.cfg = previous
        OmegaConf.set_readonly(config.hydra, None)


def claim(wanted: Path) -> Path:
    """Makes a folder that was not there before, so that no two runs ever share one.

    Arguments:
        wanted: The folder; if it exists, `-2`, `-3`, ... is appended.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for suffix in itertools.count(1):
        folder = wanted if suffix == 1 else wanted.with_name(f"{wanted.name}-{suffix}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def _place(config: DictConfig, key: str) -> tuple[Path, bool]:
    """The folder of the run or sweep, and whether it is of our own making or the user's."""
    with visible(config):
        folder = Path(str(OmegaConf.select(config, key))).expanduser().absolute()
    given = [str(override) for override in config.hydra.overrides.hydra]
    if not any(override.startswith(f"{key}=") for override in given):
        with _blamed_on("output_dir", folder):
            return claim(folder), True
    for record in ("run.json", "sweep.json"):
        if (folder / record).exists():
            what, _ = record.split(".")
            remedy = f"choose another folder, or continue it with `ibdrop resume {folder}`"
            raise ConfigError([f"{key}: {folder} already holds a {what}; {remedy}"])
    with _blamed_on(key, folder):
        folder.mkdir(parents=True, exist_ok=True)
    return folder, False


@contextmanager
def _blamed_on(key: str, folder: Path) -> Iterator[None]:
    """Turns the refusal of the file system into a problem of the setting behind it."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        problem = f"{key}: cannot make the folder {folder}: {reason} ({error.filename})"
        raise ConfigError([problem]) from error


def _check_jobs(config: DictConfig, expanded: list[list[str]]) -> None:
    """Composes and checks all jobs, so that no sweep ends at a typo in its last job."""
    from ibdrop.config.check import problems

    loader = GlobalHydra.instance().config_loader()
    found: list[str] = []
    for overrides in expanded:
        with visible(loader.load_sweep_config(config, overrides)) as job:
            found += problems(plain(job))
    if found:
        raise ConfigError(list(dict.fromkeys(found)))
