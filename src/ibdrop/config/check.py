"""Finds every problem of a configuration before anything is created."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ibdrop.config.rehearsal import refusal
from ibdrop.config.schema import GROUPS, TrainConfig
from ibdrop.config.signature import argument_problems, first_argument
from ibdrop.config.targets import TargetError, locate, nearest
from ibdrop.errors import ConfigError

__all__ = ["SUPPLIED", "check", "problems", "settings_without_effect"]

SUPPLIED: dict[str, tuple[str, ...]] = {
    "model": ("in_channels", "image_size", "num_classes", "noise"),
    "dataset": ("seed",),
    "schedule": (),
    "trainer": (),
}
"""By group, the arguments that building adds by name to those in the config."""

CALLED = {"noise": "channels", "init": "module", "optim": "params"}
"""By group that is called later (`_partial_`), what its first argument then is."""

LOGGERS = ("csv", "tensorboard", "mlflow")
UNITS = ("paper", "nats")
HYDRA_KEYS = ("_target_", "_partial_", "_recursive_", "_convert_", "_args_")


def check(config: Mapping[str, Any]) -> None:
    """Refuses a configuration with all its problems at once.

    Arguments:
        config: The resolved configuration as plain values.

    Raises:
        ConfigError: There is at least one problem.
    """
    found = problems(config)
    if found:
        raise ConfigError(found)


def problems(config: Mapping[str, Any]) -> list[str]:
    """One line for each problem: the key, what is wrong, and what would be right."""
    known = [field.name for field in fields(TrainConfig)]
    found = [f"no such key '{key}'{nearest(key, known)}" for key in config if key not in known]
    found += [*_range_problems(config), *_logger_problems(config)]
    for group in GROUPS:
        node = config.get(group)
        if group == "artifacts":
            found += _artifact_problems(node)
        elif not isinstance(node, Mapping):
            found.append(f"{group}: is missing; choose one with {group}=OPTION")
        else:
            found += _node_problems(group, node, SUPPLIED.get(group, ()), group in CALLED)
    return [*found, *_device_problems(config)]


def settings_without_effect(config: Mapping[str, Any]) -> list[str]:
    """One line for each setting that changes nothing; worth a warning, not a refusal."""
    node = config.get("noise")
    if not isinstance(node, Mapping) or config.get("beta") == 0:
        return []
    try:
        noise = locate(str(node.get("_target_")))
    except TargetError:
        return []
    if getattr(noise, "has_kl", None) is not False:
        return []
    title = getattr(noise, "__name__", "")
    return [f"beta={config['beta']:g} has no effect: {title} has no information term"]


def _range_problems(config: Mapping[str, Any]) -> list[str]:
    lines = {
        "beta": "the weight of the information term is 0 or more",
        "beta_warmup": "the number of epochs over which beta rises is 0 or more",
        "seed": "a seed is 0 or more",
    }
    found = []
    for name, right in lines.items():
        value = config[name]
        if not math.isfinite(value):
            found.append(f"{name}: {value:g} is not finite; {right}")
        elif value < 0:
            found.append(f"{name}: {value:g} is negative; {right}")
    for name in ("epochs", "batch_size"):
        if config[name] < 1:
            found.append(f"{name}: {config[name]} is too few; it is 1 or more")
    patience = config.get("patience")
    if patience is not None and patience < 1:
        found.append(f"patience: {patience} is too few; it is 1 epoch or more, or null")
    units = config["beta_units"]
    if units not in UNITS:
        hint = nearest(units, UNITS)
        found.append(f"beta_units: '{units}' is not one of 'paper', 'nats'{hint}")
    return found


def _logger_problems(config: Mapping[str, Any]) -> list[str]:
    found = []
    for name in config["loggers"]:
        if name not in LOGGERS:
            known = ", ".join(map(repr, LOGGERS))
            found.append(f"loggers: '{name}' is not one of {known}{nearest(name, LOGGERS)}")
        elif name != "csv" and importlib.util.find_spec(name) is None:
            found.append(
                f"loggers: {name} is not installed; `pip install 'ibdrop[{name}]'` brings it"
            )
    return found


def _artifact_problems(node: object) -> list[str]:
    if node is None:
        return []
    if not isinstance(node, Mapping):
        return [f"artifacts: {node!r} is no mapping of names to artifacts"]
    found = []
    for name, artifact in node.items():
        where = f"artifacts.{name}"
        if isinstance(artifact, Mapping):
            found += _node_problems(where, artifact, (), False)
        else:
            remedy = f"to leave an artifact out, write ~{where}"
            found.append(f"{where}: {artifact!r} is no artifact; {remedy}")
    return found


def _node_problems(
    where: str, node: Mapping[str, Any], supplied: tuple[str, ...], partial: bool
) -> list[str]:
    path = node.get("_target_")
    if not isinstance(path, str):
        return [f"{where}._target_: is missing; it names the class, as in package.module.Class"]
    try:
        target = locate(path)
    except TargetError as error:
        return [f"{where}._target_: {error}"]
    if not callable(target):
        return [f"{where}._target_: '{path}' is no class or function"]
    found = []
    if partial:
        supplied = (first_argument(target) or CALLED[where],)
        if node.get("_partial_") is not True:
            found.append(f"{where}._partial_: must be true; {where} is called later by the run")
    given = {str(name): value for name, value in node.items() if name not in HYDRA_KEYS}
    complete = "_args_" not in node and (bool(supplied) or not node.get("_partial_"))
    found += argument_problems(where, target, given, supplied, complete)
    if not found:
        found += refusal(where.partition(".")[0], where, target, given)
    for name, value in given.items():
        found += _inner_problems(f"{where}.{name}", value)
    return found


def _inner_problems(where: str, value: object) -> list[str]:
    """Checks nodes inside the arguments of a node."""
    if isinstance(value, Mapping):
        if "_target_" in value:
            return _node_problems(where, value, (), False)
        parts = value.items()
        return [line for name, part in parts for line in _inner_problems(f"{where}.{name}", part)]
    if isinstance(value, list):
        return [
            line for i, part in enumerate(value) for line in _inner_problems(f"{where}.{i}", part)
        ]
    return []


def _device_problems(config: Mapping[str, Any]) -> list[str]:
    trainer = config.get("trainer")
    if not isinstance(trainer, Mapping) or trainer.get("device") != "cuda":
        return []
    import torch

    if torch.cuda.is_available():
        return []
    return [
        "trainer.device: CUDA was asked for, but this machine has no usable CUDA device; "
        "use trainer=auto or trainer=cpu"
    ]
