"""Why a command line does not compose: every mistake in it, in words."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ibdrop.config.location import conf_dir
from ibdrop.config.schema import GROUPS, TrainConfig, version_base
from ibdrop.config.signature import mismatch
from ibdrop.config.targets import nearest

__all__ = ["COMPOSITION_ERRORS", "explain"]

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, yaml.YAMLError)
"""What Hydra raises when a config cannot be composed."""


def explain(
    error: Exception,
    overrides: Sequence[str],
    config_dir: Path | None = None,
    config_name: str = "train",
    sweeping: bool = False,
) -> list[str]:
    """One line for each mistake; what Hydra said, if none is found.

    Each override is examined by itself, since Hydra stops at the first that is wrong.

    Arguments:
        error: What composing raised.
        overrides: The overrides of the command line.
        config_dir: The user's own folder of options.
        config_name: The primary config.
        sweeping: Whether `-m` was given.
    """
    if config_dir is not None and not config_dir.is_dir():
        return [f"--config-dir: there is no folder {config_dir}"]
    if isinstance(error, yaml.YAMLError):
        return [_yaml_problem(error)]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
        examination = _Examination(config_name, config_dir, sweeping)
        try:
            return examination.run(overrides, error) or [_said(error)]
        except yaml.YAMLError as broken:
            return [_yaml_problem(broken)]


@dataclass
class _Examination:
    config_name: str
    config_dir: Path | None
    sweeping: bool

    def run(self, overrides: Sequence[str], error: Exception) -> list[str]:
        found, groups, values = self._sort(overrides)
        try:
            base = self._compose([variants[0] for variants in groups])
        except COMPOSITION_ERRORS as broken:
            return [*found, _said(broken)]
        by_file = base.hydra.mode == RunMode.MULTIRUN and "Ambiguous" not in str(error)
        sweeping = self.sweeping or by_file
        good = groups
        for override in values:
            variants = _variants(override)
            problems = {text: self._try(base, text) for text in variants}
            found += dict.fromkeys(line for lines in problems.values() for line in lines)
            right = [text for text in variants if not problems[text]]
            if right and len(variants) > 1 and not sweeping:
                found.append(f"{override.input_line}: several values; add -m to sweep over them")
            good = [*good, right] if right else good
        return list(dict.fromkeys([*found, *self._check(good)]))

    def _sort(self, overrides: Sequence[str]) -> tuple[list[str], list[list[str]], list[Override]]:
        """Problems of grammar and options; sound choices with their variants; the rest."""
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        found: list[str] = []
        groups: list[list[str]] = []
        values: list[Override] = []
        for text in overrides:
            try:
                override = parser.parse_overrides([text])[0]
            except HydraException:
                found.append(_grammar(text))
                continue
            options = self._options(override.key_or_group)
            if not options or override.is_delete():
                values.append(override)
                continue
            problems = {text: _option(text, options) for text in _variants(override)}
            found += [line for line in problems.values() if line]
            right = [text for text, line in problems.items() if not line]
            groups += [right] if right else []
        return found, groups, values

    def _options(self, group: str) -> list[str]:
        """The options of a group; none if there is no such group."""
        found = set(GlobalHydra.instance().config_loader().get_group_options(group))
        if self.config_dir is not None:
            found |= {path.stem for path in (self.config_dir / group).glob("*.yaml")}
        return sorted(found)

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        search = [f"hydra.searchpath=['file://{self.config_dir}']"] if self.config_dir else []
        return compose(self.config_name, [*search, *overrides], return_hydra_config=True)

    def _try(self, base: DictConfig, text: str) -> list[str]:
        """What is wrong with one override, given the right choices of options."""
        override = OverridesParser.create().parse_override(text)
        key = override.key_or_group
        adds = override.is_add() or override.is_force_add()
        root = key.partition(".")[0]
        if not key.startswith("hydra") and (root not in base or not (adds or _has(base, key))):
            return [_unknown(base, key)]
        try:
            self._compose([*_chosen(base), text])
        except COMPOSITION_ERRORS as error:
            return [_wrong_type(override) or _said(error)]
        return []

    def _check(self, good: Sequence[Sequence[str]]) -> list[str]:
        """What is wrong with what composes, each value of a sweep seen once."""
        from ibdrop.cli.hooks import plain, visible
        from ibdrop.config.check import problems

        found: list[str] = []
        for turn in range(max(map(len, good), default=1)):
            chosen = [variants[min(turn, len(variants) - 1)] for variants in good]
            with suppress(*COMPOSITION_ERRORS), visible(self._compose(chosen)) as config:
                found += problems(plain(config))
        return found


def _variants(override: Override) -> list[str]:
    """The override once for each value of a sweep."""
    if not override.is_sweep_override() or not override.is_discrete_sweep():
        return [str(override.input_line)]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _chosen(base: DictConfig) -> list[str]:
    """The choices of options that the user made, as overrides."""
    return [str(override) for override in base.hydra.overrides.task]


def _option(text: str, options: Sequence[str]) -> str | None:
    group, _, value = text.lstrip("+").partition("=")
    offer = f"the options of {group} are {', '.join(options)}"
    if value == "null":
        return f"{text}: a run needs one; {offer}" if group in GROUPS else None
    if value in options or value.startswith(("[", "$")):
        return None
    return f"{text}: no such option{nearest(value, options) or ';'} {offer}"


def _grammar(text: str) -> str:
    if "=" not in text and not text.startswith("~"):
        return f"'{text}' is no KEY=VALUE"
    key = text.partition("=")[0]
    return (
        f"'{text}' cannot be read; put a value with special characters in quotes: '{key}=\"...\"'"
    )


def _has(config: DictConfig, key: str) -> bool:
    return key in set(_keys(config))


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys that a user may set, nodes included."""
    for key in node if OmegaConf.is_dict(node) else ():
        if key == "hydra" and not prefix:
            continue
        name = f"{prefix}{key}"
        yield name
        inner = node._get_node(key)
        if OmegaConf.is_dict(inner) and not inner._is_none() and not inner._is_missing():
            yield from _keys(inner, f"{name}.")


def _unknown(config: DictConfig, key: str) -> str:
    keys = [name for name in _keys(config) if not name.rpartition(".")[2].startswith("_")]
    node, dot, leaf = key.rpartition(".")
    inside = [name for name in keys if name.rpartition(".")[0] == node]
    if dot and node in keys:
        near = nearest(leaf, [name.rpartition(".")[2] for name in inside])
        hint = near.replace("'", f"'{node}.", 1) if near else _siblings(config, node, inside)
    else:
        hint = nearest(key, [*keys, "experiment", "sweep"])
    return f"no such key '{key}'{hint or '; `ibdrop train --help` lists them'}"


def _siblings(config: DictConfig, node: str, inside: Sequence[str]) -> str:
    choice = config.hydra.runtime.choices.get(node)
    owner = f"{node}={choice}" if node in GROUPS and choice else node
    return f"; {owner} has {', '.join(inside) or 'no parameters'}"


def _wrong_type(override: Override) -> str | None:
    key = override.key_or_group
    annotation = typing.get_type_hints(TrainConfig).get(key, Any)
    wrong = mismatch(override.value(), annotation)
    return f"{key}: {wrong}" if wrong else None


def _said(error: BaseException) -> str:
    """What Hydra said, without its advice on its own affairs."""
    causes = [error, error.__cause__] if error.__cause__ else [error]
    lines = [str(cause).strip().split("\n\n")[0].splitlines() for cause in causes]
    return "; ".join(line.strip() for part in lines for line in part[:2] if line.strip())


def _yaml_problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"{mark.name}, line {mark.line + 1}: " if mark else ""
    return f"{where}{getattr(error, 'problem', None) or error}"
