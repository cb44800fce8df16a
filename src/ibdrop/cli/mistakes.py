"""Why a command line does not compose: every mistake in it, in words."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
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
) -> list[str]:
    """One line for each mistake; what Hydra said, if none is found.

    Each override is examined by itself, since Hydra stops at the first that is wrong.

    Arguments:
        error: What composing raised.
        overrides: The overrides of the command line.
        config_dir: The user's own folder of options.
        config_name: The primary config.
    """
    if config_dir is not None and not config_dir.is_dir():
        return [f"--config-dir: there is no folder {config_dir}"]
    if isinstance(error, yaml.YAMLError):
        return [_yaml_problem(error)]
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
        examination = _Examination(config_name, config_dir)
        try:
            return examination.run(overrides) or [_said(error)]
        except yaml.YAMLError as broken:
            return [_yaml_problem(broken)]


@dataclass
class _Examination:
    config_name: str
    config_dir: Path | None

    def run(self, overrides: Sequence[str]) -> list[str]:
        found, groups, values = self._sort(overrides)
        try:
            base = self._compose(groups)
        except COMPOSITION_ERRORS as error:
            return [*found, _said(error)]
        good = list(groups)
        for override in values:
            problems = [line for one in _variants(override) for line in self._try(base, good, one)]
            found += dict.fromkeys(problems)
            if not problems:
                good.append(_variants(override)[0])
        return [*found, *self._check(good)]

    def _sort(self, overrides: Sequence[str]) -> tuple[list[str], list[str], list[Override]]:
        """Problems of the grammar and of options; sound choices of options; all other."""
        parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
        found: list[str] = []
        groups: list[str] = []
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
            problems = [line for o in _variants(override) for line in _option(o, options)]
            found += dict.fromkeys(problems)
            groups += [] if problems else [_variants(override)[0]]
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

    def _try(self, base: DictConfig, good: Sequence[str], text: str) -> list[str]:
        """What is wrong with one override, given the others that are right."""
        override = OverridesParser.create().parse_override(text)
        key = override.key_or_group
        adds = override.is_add() or override.is_force_add()
        root = key.partition(".")[0]
        if not key.startswith("hydra") and (root not in base or not (adds or _has(base, key))):
            return [_unknown(base, key)]
        try:
            self._compose([*good, text])
        except COMPOSITION_ERRORS as error:
            return [_ambiguous(text) or _wrong_type(override) or _said(error)]
        return []

    def _check(self, overrides: Sequence[str]) -> list[str]:
        from ibdrop.cli.hooks import plain, visible
        from ibdrop.config.check import problems

        try:
            with visible(self._compose(overrides)) as config:
                return problems(plain(config))
        except COMPOSITION_ERRORS:
            return []


def _variants(override: Override) -> list[str]:
    """The override once for each value of a sweep."""
    if not override.is_sweep_override() or not override.is_discrete_sweep():
        return [str(override.input_line)]
    key = override.get_key_element()
    return [f"{key}={value}" for value in override.sweep_string_iterator()]


def _option(text: str, options: Sequence[str]) -> list[str]:
    group, _, value = text.lstrip("+").partition("=")
    if value == "null" or value in options or value.startswith(("[", "$")):
        return []
    return [f"{text}: no such option{nearest(value, options) or ';'} {_listed(group, options)}"]


def _listed(group: str, options: Sequence[str]) -> str:
    return f"the options of {group} are {', '.join(options)}"


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
    if dot and inside:
        near = nearest(leaf, [name.rpartition(".")[2] for name in inside])
        hint = near.replace("'", f"'{node}.", 1) if near else _siblings(config, node, inside)
    else:
        hint = nearest(key, [*keys, "experiment", "sweep"])
    return f"no such key '{key}'{hint or '; `ibdrop train --help` lists them'}"


def _siblings(config: DictConfig, node: str, inside: Sequence[str]) -> str:
    choice = config.hydra.runtime.choices.get(node)
    owner = f"{node}={choice}" if node in GROUPS and choice else node
    return f"; {owner} has {', '.join(inside)}"


def _ambiguous(text: str) -> str | None:
    """A comma means a sweep, which needs the flag."""
    override = OverridesParser.create().parse_override(text)
    if not override.is_sweep_override():
        return None
    return f"{text} gives several values; add -m to sweep over them"


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
