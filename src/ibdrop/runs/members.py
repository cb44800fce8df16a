"""Which runs make an ensemble, and their networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.errors import ConfigError, RunError
from ibdrop.learning.checkpoint import load_checkpoint
from ibdrop.runs.compare import flatten
from ibdrop.runs.folder import Run
from ibdrop.runs.sweep import Sweep

__all__ = ["check_same_data", "member", "members"]


def members(folders: Sequence[Run | Sweep]) -> list[Run]:
    """The finished runs among these and in these sweeps.

    Raises:
        RunError: A run has not finished, is named twice, or fewer than two are left.
    """
    found: list[Run] = []
    for one in folders:
        if isinstance(one, Sweep):
            found += [run for run in one.runs if run.status == "finished"]
        elif one.status != "finished":
            raise RunError(f"{one.folder} is {one.status}; an ensemble is made of finished runs")
        else:
            found.append(one)
    places = [run.folder.resolve() for run in found]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise RunError(f"{twice} is named twice; an ensemble needs different runs")
    if len(found) < 2:
        raise RunError(
            f"an ensemble needs at least two finished runs, and here "
            f"{'is one' if found else 'are none'}; `ibdrop runs` lists the runs there are"
        )
    return found


def check_same_data(runs: Sequence[Run]) -> None:
    """Sees that runs were made on the same data, wherever these lay.

    Raises:
        ConfigError: With every key of the data that differs from the first run's.
    """
    first, *others = runs
    wanted = _data(first.config)
    problems = []
    for run in others:
        given = _data(run.config)
        for name in dict.fromkeys((*wanted, *given)):
            mine, theirs = wanted.get(name, "not there"), given.get(name, "not there")
            if mine != theirs:
                problems.append(
                    f"{name}: {mine} in {first.folder} and {theirs} in {run.folder}; "
                    "the members of an ensemble need the same data"
                )
    if problems:
        raise ConfigError(problems)


def member(run: Run, first: Trained, trainer: Mapping[str, Any]) -> nn.Module:
    """The network of a run whose data are those of another.

    Arguments:
        run: The run.
        first: The run that gives the data and the device.
        trainer: How to compute.

    Raises:
        RunError: The checkpoint is missing or damaged.
    """
    config = {**run.config, "trainer": dict(trainer)}
    network = build.model(config, first.data.spec).to(first.device)
    best = load_checkpoint(run.checkpoints / "best.ckpt", first.device)
    network.load_state_dict(best["model"])
    return network.eval()


def _data(config: Mapping[str, Any]) -> dict[str, Any]:
    whole = flatten({"dataset": config.get("dataset") or {}})
    return {name: value for name, value in whole.items() if not name.endswith(".root")}
