"""The jobs of a sweep, known before the first one starts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from ibdrop.config.location import conf_dir
from ibdrop.config.schema import STABLE, version_base

__all__ = ["expand", "may_sweep", "mode", "settle", "varying"]

BASIC = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"


def may_sweep(override: str) -> bool:
    """Whether this override chooses a file that may ask for a sweep of itself."""
    return override.lstrip("+").startswith(("sweep=", "experiment="))


def mode(overrides: Sequence[str], config_dir: str | None) -> list[str]:
    """The override that starts the sweep a chosen file asks for, where Hydra needs to be told.

    Hydra 1.3 looks into the files by itself. From 1.4 on it refuses a `hydra.mode` in any other
    file than the primary config.
    """
    chosen = [override for override in overrides if may_sweep(override)]
    if STABLE or not chosen or any(o.startswith("hydra.mode=") for o in overrides):
        return []
    search = [f"hydra.searchpath=['file://{Path(config_dir).absolute()}']"] if config_dir else []
    try:
        with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
            config = compose("train", [*search, *chosen], return_hydra_config=True)
    except Exception:
        return []  # Composing in earnest will say what is wrong.
    return ["hydra.mode=MULTIRUN"] if config.hydra.mode == RunMode.MULTIRUN else []


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of every job, in order; none for a sweeper that decides as it goes.

    Arguments:
        config: The config of the whole sweep.
    """
    if config.hydra.sweeper.get("_target_") != BASIC:
        return []
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    params = config.hydra.sweeper.get("params") or {}
    given = [f"{key}={value}" for key, value in params.items()]
    given += [str(override) for override in config.hydra.overrides.task]
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    batches = BasicSweeper.split_arguments(parser.parse_overrides(given), None)
    return [list(job) for batch in batches for job in batch]


def varying(jobs: list[list[str]]) -> list[int]:
    """The positions of the overrides that are not the same in all jobs.

    Example:
        >>> varying([["trainer=cpu", "beta=0"], ["trainer=cpu", "beta=1"]])
        [1]
    """
    columns = list(zip(*jobs, strict=True))
    return [position for position, column in enumerate(columns) if len(set(column)) > 1]


def settle(config: DictConfig, folder: Path, jobs: list[list[str]]) -> None:
    """Fixes where the jobs go; they are composed anew, from the overrides of the sweep."""
    given = [str(override) for override in config.hydra.overrides.hydra]
    kept = [override for override in given if not override.startswith("hydra.sweep.dir=")]
    quoted = str(folder).replace("\\", "\\\\").replace("'", "\\'")
    kept.append(f"hydra.sweep.dir='{quoted}'")
    if jobs and not any(override.startswith("hydra.sweep.subdir=") for override in given):
        positions = ",".join(map(str, varying(jobs)))
        name = f"${{ibdrop.job:${{hydra.overrides.task}},[{positions}]}}"
        kept.append(f"hydra.sweep.subdir='${{hydra.job.num}}_{name}'")
    config.hydra.overrides.hydra = kept
    config.hydra.sweep.dir = str(folder)
