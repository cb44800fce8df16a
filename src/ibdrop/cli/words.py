"""The words of `ibdrop evaluate`: what they ask for, and every mistake in them at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

from ibdrop.config.location import conf_dir
from ibdrop.config.targets import nearest
from ibdrop.errors import ConfigError

__all__ = ["MADE_UP", "WORDS", "Wishes", "datasets", "read", "slug"]

WORDS = (
    "passes",
    "noise",
    "mask_sharing",
    "design",
    "corruption",
    "severity",
    "ood",
    "ood.root",
    "dataset",
)
CHANGEABLE = ("dataset.", "trainer.", "artifacts.")
MADE_UP = ("uniform", "gaussian", "permuted")
"""Outliers that are made, not taken from another data set."""

CHOICES = {
    "noise": ("on", "off"),
    "mask_sharing": ("batch", "row"),
    "design": ("balanced", "antithetic", "independent"),
}
SEVERITIES = (1, 2, 3, 4, 5)
PASSES = 50
LONGEST = 80


@dataclass(frozen=True)
class Wishes:
    """What is asked for besides the plain figures.

    Attributes:
        passes: Monte Carlo passes :math:`T` with the noise on; 0 for none at all; `None` where
            nothing was said.
        mask_sharing: `batch`, one mask for all images, or `row`, one for each.
        design: `balanced`, `antithetic` or `independent` masks.
        corruptions: Names of corruptions.
        severities: How strong, 1 to 5.
        outliers: Names of out-of-distribution sets.
        outlier_root: The folder of their files, where they have any.
        dataset: The data set to test on in place of the run's own.
        changes: `KEY=VALUE` changes of the run's config.
    """

    passes: int | None = None
    mask_sharing: Literal["batch", "row"] = "batch"
    design: Literal["balanced", "antithetic", "independent"] = "balanced"
    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = SEVERITIES
    outliers: tuple[str, ...] = ()
    outlier_root: str | None = None
    dataset: str | None = None
    changes: tuple[str, ...] = ()

    @property
    def plain(self) -> bool:
        """Whether the deterministic figures of one network are all that is asked for."""
        return not (self.passes or self.corruptions or self.outliers)

    @property
    def wanted_passes(self) -> int:
        """The passes to draw, if the network draws noise: outliers are told apart by them."""
        if self.passes is None:
            return PASSES if self.outliers else 0
        return self.passes


def datasets(config_dir: Path | None = None) -> dict[str, Path]:
    """The YAML of each data set by name; the user's own are added, and replace none of ours."""
    places = [*([config_dir] if config_dir else []), conf_dir()]
    return {f.stem: f for place in places for f in sorted((place / "dataset").glob("*.yaml"))}


def read(words: Sequence[str], corruptions: Sequence[str], sets: Sequence[str]) -> Wishes:
    """Reads `KEY=VALUE` words.

    Arguments:
        words: As given, without the runs.
        corruptions: The names of the corruptions there are.
        sets: The names of the data sets there are.

    Raises:
        ConfigError: With every mistake in the words.
    """
    reader = _Reader(corruptions, sets)
    for word in words:
        reader.take(word)
    reader.agree()
    if reader.problems:
        raise ConfigError(reader.problems)
    return reader.wishes


def slug(words: Sequence[str]) -> str:
    """A folder's name for the words, without where the data lie; empty for none."""
    told = [word for word in words if not word.partition("=")[0].endswith(".root")]
    name = "_".join(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-.") for word in told)
    if len(name) <= LONGEST:
        return name
    return f"{name[:LONGEST]}-{blake2b(name.encode(), digest_size=4).hexdigest()}"


class _Reader:
    def __init__(self, corruptions: Sequence[str], sets: Sequence[str]) -> None:
        self.corruptions = tuple(corruptions)
        self.sets = tuple(sets)
        self.wishes = Wishes()
        self.problems: list[str] = []
        self.given: dict[str, str] = {}

    def take(self, word: str) -> None:
        """Takes in one word, or notes what is wrong with it."""
        key, equals, value = word.partition("=")
        problem = self._unfit(key, equals, value)
        if problem:
            self.problems.append(f"{word}: {problem}")
            return
        if key.startswith(CHANGEABLE):
            self.wishes = replace(self.wishes, changes=(*self.wishes.changes, word))
            return
        self.given[key] = word
        found = self._value(key, value)
        if isinstance(found, str):
            self.problems.append(f"{word}: {found}")
        else:
            self.wishes = replace(self.wishes, **found)

    def agree(self) -> None:
        """Notes words that contradict each other, or have no effect."""
        asked = {key.partition(".")[0] for key in self.given}
        sampled = self.given.get("noise") == "noise=on" or {"passes", "ood"} & asked
        needs = {
            "severity": ("corruption" in asked, "corruption=NAME"),
            "ood.root": ("ood" in self.given, "ood=NAME"),
            "mask_sharing": (sampled, f"passes={PASSES}"),
            "design": (sampled, f"passes={PASSES}"),
        }
        for key, (there, partner) in needs.items():
            if key in self.given and not there:
                self.problems.append(f"{self.given[key]}: has no effect without {partner}")
        if self.given.get("noise") == "noise=off" and "passes" in self.given:
            self.problems.append(
                f"noise=off: contradicts {self.given['passes']}, which is with the noise on"
            )

    def _unfit(self, key: str, equals: str, value: str) -> str | None:
        if not equals:
            return f"is neither the folder of a run nor KEY=VALUE{nearest(key, WORDS)}"
        if key.startswith(CHANGEABLE):
            return None
        if key not in WORDS:
            return self._unknown(key)
        if key in self.given:
            return f"was said before, {self.given[key]}"
        if not value:
            return f"{key} has no value"
        choices = CHOICES.get(key)
        if choices and value not in choices:
            return f"must be {_either(choices)}{nearest(value, choices)}"
        return None

    def _unknown(self, key: str) -> str:
        only = f"evaluate changes only {', '.join(f'{group}*' for group in CHANGEABLE)}"
        if "." in key and not key.startswith("ood."):
            root, dot, rest = key.partition(".")
            hint = nearest(root, [group[:-1] for group in CHANGEABLE])
            return only + hint.replace("'?", f"{dot}{rest}'?")
        return f"evaluate has no such word{nearest(key, WORDS) or _there_are(WORDS)}"

    def _value(self, key: str, value: str) -> dict[str, Any] | str:
        """The wishes that a value stands for, or what is wrong with it."""
        if key in ("mask_sharing", "design"):
            return {key: value}
        if key == "ood.root":
            return {"outlier_root": value}
        if key == "ood":
            return self._named(value, "outliers", (*MADE_UP, *self.sets), "set")
        readers: dict[str, Callable[[str], dict[str, Any] | str]] = {
            "passes": self._passes,
            "noise": self._noise,
            "corruption": self._corruption,
            "severity": self._severity,
            "dataset": self._dataset,
        }
        return readers[key](value)

    def _passes(self, value: str) -> dict[str, Any] | str:
        if not value.isdecimal() or int(value) < 1:
            return "is no whole number above 0"
        return {"passes": int(value)}

    def _noise(self, value: str) -> dict[str, Any] | str:
        return {"passes": 0 if value == "off" else self.wishes.passes or PASSES}

    def _corruption(self, value: str) -> dict[str, Any] | str:
        found = self._named(value, "corruptions", ("all", *self.corruptions), "corruption")
        if isinstance(found, dict) and "all" in found["corruptions"]:
            return {"corruptions": self.corruptions}
        return found

    def _severity(self, value: str) -> dict[str, Any] | str:
        first, dots, last = value.partition("..")
        parts = value.split(",") if not dots else [first, last]
        if not all(part.isdecimal() and int(part) in SEVERITIES for part in parts):
            return "must be 1 to 5, such as 3, or 1,3,5, or 1..5"
        numbers = [int(part) for part in parts]
        if dots:
            numbers = list(range(numbers[0], numbers[1] + 1))
        return {"severities": tuple(sorted(set(numbers)))} if numbers else "goes down, not up"

    def _dataset(self, value: str) -> dict[str, Any] | str:
        if value not in self.sets:
            return f"no such data set{nearest(value, self.sets) or _there_are(self.sets)}"
        return {"dataset": value}

    def _named(
        self, value: str, field: str, names: Sequence[str], kind: str
    ) -> dict[str, Any] | str:
        """A list of names, all of which are known."""
        chosen = tuple(dict.fromkeys(value.split(",")))
        wrong = [
            f"no such {kind} '{name}'{nearest(name, names) or _there_are(names)}"
            for name in chosen
            if name not in names
        ]
        return "; ".join(wrong) if wrong else {field: chosen}


def _there_are(names: Iterable[str]) -> str:
    return f"; there are {', '.join(names)}"


def _either(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}"
