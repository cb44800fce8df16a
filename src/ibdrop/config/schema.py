"""The types of the keys at the root of the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import hydra
from hydra import utils
from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf

__all__ = [
    "GROUPS",
    "STABLE",
    "TrainConfig",
    "job_name",
    "register",
    "slug",
    "sweep_name",
    "trust",
    "version_base",
]

STABLE = hydra.__version__.startswith("1.3.")
"""Whether this is Hydra 1.3; the few differences to 1.4 are met here and in `cli/jobs.py`."""

SWEEPING = re.compile(r"^\+?(sweep|experiment)=|=[^\[{'\"]*,|=(choice|range|glob|interval)\(")
"""Overrides that make a sweep, or choose the file that does."""

GROUPS = (
    "model",
    "noise",
    "init",
    "dataset",
    "augment",
    "optim",
    "schedule",
    "trainer",
    "artifacts",
)
"""The parts of a run, each a node of the config."""


@dataclass
class TrainConfig:
    """What `ibdrop train` understands; meaning and units are in `conf/train.yaml`."""

    beta: float = 1e-3
    beta_units: str = "paper"
    beta_warmup: float = 0.0
    seed: int = 0
    epochs: int = 10
    batch_size: int = 64
    shuffle: bool = True
    patience: int | None = None
    name: str = MISSING
    output_dir: str = "outputs"
    reestimate_batchnorm: bool = True
    probe: bool = False
    loggers: list[str] = field(default_factory=lambda: ["csv"])
    model: Any = MISSING
    noise: Any = MISSING
    init: Any = MISSING
    dataset: Any = MISSING
    augment: Any = MISSING
    optim: Any = MISSING
    schedule: Any = MISSING
    trainer: Any = MISSING
    artifacts: Any = MISSING


def register() -> None:
    """Makes the schema and the resolvers `ibdrop.*` known; must precede composition."""
    store = ConfigStore.instance()
    if "train_schema.yaml" not in store.repo:
        store.store(name="train_schema", node=TrainConfig, provider="ibdrop")
    resolver: Callable[..., None] = (
        OmegaConf.register_new_resolver if STABLE else OmegaConf.register_resolver
    )
    resolver("ibdrop.slug", slug, replace=True)
    resolver("ibdrop.job", job_name, replace=True)
    resolver("ibdrop.sweep", sweep_name, replace=True)


def version_base() -> dict[str, str]:
    """Keyword arguments for Hydra's entry points, of which 1.3 wants to know its own version."""
    return {"version_base": "1.3"} if STABLE else {}


def trust() -> dict[str, Any]:
    """Keyword arguments for `hydra.main`, which from 1.4 on asks what targets it may call.

    All of them: classes of the user's own are the point, and checking has imported them before.
    """
    unchecked = getattr(utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)
    return {} if unchecked is None else {"execution_whitelist": unchecked}


def slug(text: Any, longest: int = 96) -> str:
    """Turns a name or a list of overrides into the name of a folder, without `=` and spaces.

    Example:
        >>> slug(["beta=1e-3", "noise.prior=log_normal"])
        'beta-1e-3_noise.prior-log_normal'
    """
    joined = text if isinstance(text, str) else "_".join(map(str, text))
    safe = re.sub(r"[^A-Za-z0-9._+-]+", "-", joined)
    return safe.strip("-.")[:longest].rstrip("-.")


def job_name(overrides: Sequence[str], positions: Sequence[int] = ()) -> str:
    """Names the folder of a job by those of its overrides that differ over the sweep.

    Arguments:
        overrides: The overrides of the job, as `KEY=VALUE`.
        positions: Which of them differ; all if empty.

    Example:
        >>> job_name(["trainer=smoke", "beta=0.1"], [1])
        'beta-0.1'
    """
    return slug([overrides[i] for i in positions] or overrides) or "job"


def sweep_name(overrides: Sequence[str]) -> str:
    """Names the folder of a sweep: by `name=` if it is given, or else by what it sweeps over.

    Example:
        >>> sweep_name(["trainer=smoke", "beta=0,1", "seed=0,1"])
        'beta-0-1_seed-0-1'
    """
    named = [override for override in overrides if override.startswith("name=")]
    if named:
        return slug(named[-1].removeprefix("name=")) or "sweep"
    telling = [override for override in overrides if SWEEPING.search(override)]
    return slug(telling or overrides) or "sweep"
