from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal

import pytest
import torch

from ibdrop.config.signature import argument_problems, first_argument, mismatch


class Colour(Enum):
    RED = 1
    BLUE = 2


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, float),
        (1.5, float),
        (True, bool),
        (3, int),
        ("a", str),
        ("a", Path),
        (None, float | None),
        ("relu", Literal["relu", "softplus"]),
        ([1, 2.5], list[float]),
        ([1, 2], Sequence[int]),
        ([1, 2], tuple[int, ...]),
        ([1, "a"], tuple[int, str]),
        ({"a": 1}, dict[str, int]),
        ("RED", Colour),
        (0.1, float | torch.Tensor),
        ({"_target_": "my.Thing"}, torch.nn.Module),
        ("anything", Any),
        ("anything", torch.device),
    ],
)
def test_fits(value: object, annotation: object) -> None:
    assert mismatch(value, annotation) is None


@pytest.mark.parametrize(
    ("value", "annotation", "words"),
    [
        ("abc", float, "'abc' is not a number"),
        (True, float, "True is not a number"),
        (1.5, int, "1.5 is not a whole number"),
        (False, int, "False is not a whole number"),
        (1, bool, "1 is not true or false"),
        (1, str, "1 is not text"),
        (None, int, "None is not a whole number"),
        ("a", int | None, "'a' is not a whole number or null"),
        ("???", int, "has no value yet; it is a whole number, as in KEY=VALUE or in the file"),
        ("???", str, "has no value yet; it is text, as in KEY=VALUE or in the file"),
        (
            "rleu",
            Literal["relu", "softplus"],
            "'rleu' is not one of 'relu', 'softplus'",
        ),
        (1, Literal["paper"], "1 is not 'paper'"),
        ("csv", list[str], "'csv' is not a list of words, such as [csv]"),
        (["a"], list[float], "['a'] is not a list of numbers"),
        ([1], tuple[int, int], "[1] is not a list of 2: a whole number, a whole number"),
        ("x", float | torch.Tensor, "'x' is not a number"),
        ("GREEN", Colour, "'GREEN' is not one of 'RED', 'BLUE'"),
        (3, dict[str, int], "3 is not a mapping"),
        (3, Path, "3 is not a path"),
    ],
)
def test_differs(value: object, annotation: object, words: str) -> None:
    assert mismatch(value, annotation) == words


class Model:
    def __init__(
        self, in_channels: int, *, width: float = 1.0, blocks: int, activation: str = "relu"
    ) -> None: ...


def anything(**options: float) -> None: ...


def nothing() -> None: ...


def test_names_every_wrong_argument() -> None:
    given = {"widht": 2, "width": "wide", "in_channels": 3, "zzz": 1}
    assert argument_problems("model", Model, given, ["in_channels"], True) == [
        "model.widht: Model takes no such argument; did you mean 'width'?",
        "model.width: 'wide' is not a number",
        "model.in_channels: is set by ibdrop; leave it out",
        "model.zzz: Model takes no such argument; it takes width, blocks, activation",
        "model.blocks: is missing; Model needs it",
    ]


def test_what_others_will_add_is_not_missing() -> None:
    assert argument_problems("x", Model, {}, [], False) == []


def test_says_what_a_target_lacks_that_it_is_given() -> None:
    assert argument_problems("model", nothing, {"a": 1}, ["noise"], True) == [
        "model.a: nothing takes no such argument; it takes none",
        "model._target_: nothing lacks 'noise', which every model is given",
    ]


def test_keywords_of_any_name_are_taken() -> None:
    assert argument_problems("model", anything, {"zzz": 1}, ["noise"], True) == []


def test_first_argument() -> None:
    assert first_argument(torch.optim.SGD) == "params"
    assert first_argument(Model) == "in_channels"
    assert first_argument(nothing) is None
