"""Data that a network was not trained on: other test sets, and images of other kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.cli.network import reload, with_config
from ibdrop.cli.words import MADE_UP, Wishes, datasets
from ibdrop.config.targets import nearest
from ibdrop.data.base import ImageData, ImageSet
from ibdrop.data.outliers import OUTLIERS, adapted
from ibdrop.errors import ConfigError
from ibdrop.runs.folder import Run

__all__ = ["not_of_data", "outliers", "tested_on"]

OUTLIER_SEED = 0
"""The same made-up images for every run, whatever its own seed."""


def tested_on(run: Run, wishes: Wishes, mine: Path | None) -> tuple[Trained, list[str]]:
    """The network of a run, with another test set if one is wished for, and what to say of it.

    Raises:
        ConfigError: The other data set has other classes, or no such key.
    """
    if wishes.dataset is None:
        return reload(with_config(run, build.overridden(run.config, wishes.changes))), []
    roots = [word for word in wishes.changes if word.startswith("dataset.root=")]
    own = roots if "root" in run.config["dataset"] else []
    config = build.overridden(run.config, [*not_of_data(wishes.changes), *own])
    first = reload(with_config(run, config))
    changes = [word for word in wishes.changes if word.startswith("dataset.")]
    other = _data(config, wishes.dataset, changes, mine)
    spec = first.data.spec
    if other.spec.classes != spec.classes:
        raise ConfigError(
            [
                f"dataset={wishes.dataset}: its classes are {_few(other.spec.classes)}, those of "
                f"{run.folder} are {_few(spec.classes)}; "
                f"ood={wishes.dataset} takes images of any class"
            ]
        )
    notes = [f"tested on {other.name}, trained on {first.data.name}"]
    if other.spec != spec:
        sizes = [f"{s.channels} x {s.height} x {s.width}" for s in (other.spec, spec)]
        notes.append(f"the images of {sizes[0]} were brought to {sizes[1]}")
    test = other.test if other.spec == spec else adapted(other, spec)
    data = replace(first.data, name=other.name, test=test.to(first.device), note=other.note)
    return replace(first, data=data), notes


def outliers(run: Run, first: Trained, wishes: Wishes, mine: Path | None) -> dict[str, ImageSet]:
    """The images of other kinds, on the device.

    Raises:
        ConfigError: A folder was given for data sets that have none.
    """
    found: dict[str, ImageSet] = {}
    homeless = True
    for name in wishes.outliers:
        if name in MADE_UP:
            made = OUTLIERS.get(name) or OUTLIERS[f"{name}_noise"]
            found[name] = made(first.data, OUTLIER_SEED).to(first.device)
            continue
        place = next((key for key in ("root", "file") if key in _node(name, mine)), None)
        homeless = homeless and place is None
        root = wishes.outlier_root if place else None
        changes = [f"dataset.{place}={root}"] if root else []
        data = _data(run.config, name, changes, mine)
        found[name] = adapted(data, first.data.spec).to(first.device)
    if wishes.outlier_root and homeless:
        raise ConfigError(
            [f"ood.root={wishes.outlier_root}: none of {', '.join(wishes.outliers)} has files"]
        )
    return found


def not_of_data(changes: Iterable[str]) -> list[str]:
    """The changes of a config that leave its data alone."""
    return [word for word in changes if not word.startswith("dataset.")]


def _node(name: str, mine: Path | None) -> dict[str, Any]:
    """The part of a data set's YAML that makes the data."""
    content = OmegaConf.load(datasets(mine)[name])
    assert isinstance(content, DictConfig)
    plain = OmegaConf.to_container(content.get("dataset", content), resolve=False)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items() if key != "defaults"}


def _data(
    config: Mapping[str, Any], name: str, changes: Sequence[str], mine: Path | None
) -> ImageData:
    """A data set with the defaults of its YAML.

    Raises:
        ConfigError: A change names none of its keys.
    """
    node = _node(name, mine)
    keys = {word: word.partition("=")[0].partition(".")[2] for word in changes}
    problems = [
        f"{word}: data set {name} has no such key{nearest(key, node)}"
        for word, key in keys.items()
        if key not in node
    ]
    if problems:
        raise ConfigError(problems)
    whole = OmegaConf.create({**config, "dataset": node, "augment": None})
    resolved = OmegaConf.to_container(whole, resolve=True)
    assert isinstance(resolved, dict)
    plain = {str(key): value for key, value in resolved.items()}
    return build.data(build.overridden(plain, changes))


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" ... ({len(names)} in all)" if len(names) > 3 else "")
