"""`ibdrop train --help`, from the text in `conf/hydra/help/ibdrop.yaml` and the files beside it.

Hydra can print the same, but composes a config and copies it for every folder to find the groups.
"""

from __future__ import annotations

from pathlib import Path

import yaml  # type: ignore[import-untyped]

from ibdrop.config.location import conf_dir
from ibdrop.config.schema import GROUPS

__all__ = ["groups", "train_help"]


def train_help(config_dir: Path | None = None) -> str:
    """The whole text.

    Arguments:
        config_dir: The user's own folder of options, which are listed too.
    """
    text = yaml.safe_load((conf_dir() / "hydra" / "help" / "ibdrop.yaml").read_text("utf-8"))
    chosen = _defaults()
    lines = []
    for group, options in groups(config_dir).items():
        marked = [f"{name}*" if name == chosen.get(group) else name for name in options]
        lines.append(f"  {group:<12}{', '.join(marked)}")
    whole: str = text["template"].replace("$APP_CONFIG_GROUPS", "\n".join(lines))
    for part in ("header", "footer"):
        whole = whole.replace(f"${{hydra.help.{part}}}", text[part])
    return whole.rstrip()


def groups(config_dir: Path | None = None) -> dict[str, list[str]]:
    """The options of each group: the parts of a run first, then experiments and sweeps."""
    places = [conf_dir(), *([config_dir] if config_dir else [])]
    found: dict[str, set[str]] = {}
    for file in (file for place in places for file in place.glob("*/*.yaml")):
        found.setdefault(file.parent.name, set()).add(file.stem)
    order = [*GROUPS, *sorted(set(found) - {*GROUPS, "hydra"})]
    return {group: sorted(found[group]) for group in order if group in found}


def _defaults() -> dict[str, str]:
    config = yaml.safe_load((conf_dir() / "train.yaml").read_text("utf-8"))
    entries = [entry for entry in config["defaults"] if isinstance(entry, dict)]
    return {group: option for entry in entries for group, option in entry.items()}
