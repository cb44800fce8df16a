"""The signature is the schema: compares the arguments in a config with what a target takes."""

from __future__ import annotations

import collections.abc
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Union

from ibdrop.config.targets import nearest

__all__ = ["argument_problems", "first_argument", "mismatch"]

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
WORDS = {
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    str: "text",
    type(None): "null",
}
MISSING = "???"
"""What stands in a config for a value that the user is to give."""

MANY = {float: " of numbers", int: " of whole numbers", str: " of words"}


def first_argument(target: Callable[..., Any]) -> str | None:
    """The name of the first positional argument, if the target has one that can be named."""
    parameters = (_parameters(target) or {}).values()
    return next((p.name for p in parameters if p.kind in POSITIONAL), None)


def argument_problems(
    where: str,
    target: Callable[..., Any],
    given: Mapping[str, Any],
    supplied: Sequence[str],
    complete: bool,
) -> list[str]:
    """What is wrong with the arguments of one target.

    Arguments:
        where: The key of the node, such as `model`.
        target: The class or function.
        given: The arguments in the config.
        supplied: The names of the arguments that ibdrop adds.
        complete: Whether nobody will add further arguments.
    """
    parameters = _parameters(target)
    if parameters is None:
        return []
    named = {p.name: p for p in parameters.values() if p.kind in NAMED}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    title = getattr(target, "__name__", str(target))
    choices = [name for name in named if name not in supplied]
    annotations = _annotations(target)
    found = []
    for name, value in given.items():
        if name in supplied:
            found.append(f"{where}.{name}: is set by ibdrop; leave it out")
        elif name in named:
            wrong = mismatch(value, annotations.get(name, Any))
            found += [f"{where}.{name}: {wrong}"] if wrong else []
        elif not anything:
            hint = nearest(name, choices) or _offer(choices)
            found.append(f"{where}.{name}: {title} takes no such argument{hint}")
    for name in supplied:
        if name not in parameters and not anything:
            found.append(f"{where}._target_: {title} lacks '{name}', which every {where} is given")
    for name in choices if complete else ():
        if named[name].default is inspect.Parameter.empty and name not in given:
            found.append(f"{where}.{name}: is missing; {title} needs it")
    return found


def _parameters(target: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """The parameters, or `None` for the few built-in functions that do not tell."""
    try:
        return inspect.signature(target).parameters
    except (TypeError, ValueError):
        return None


def mismatch(value: Any, annotation: Any) -> str | None:
    """Says how a plain value differs from an annotation, or nothing where it fits.

    Annotations that say nothing of plain values, such as a class of one's own, fit all.
    """
    if value == MISSING:
        return f"has no value yet; it is {_words(annotation)}, as in KEY=VALUE or in the file"
    if _fits(value, annotation):
        return None
    example = f", such as [{value}]" if _fits([value], annotation) else ""
    return f"{value!r} is not {_words(annotation)}{example}"


def _fits(value: Any, annotation: Any) -> bool:
    origin = typing.get_origin(annotation)
    arguments = typing.get_args(annotation)
    if isinstance(value, Mapping) and "_target_" in value:
        return True
    if origin in (Union, types.UnionType):
        return any(_fits(value, option) for option in arguments)
    if origin is Literal:
        return any(type(value) is type(option) and value == option for option in arguments)
    if origin is typing.Annotated:
        return _fits(value, arguments[0])
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable):
        return _fits_items(value, origin, arguments)
    if origin in (dict, collections.abc.Mapping):
        return isinstance(value, Mapping)
    return _fits_plain(value, annotation)


def _fits_items(value: Any, origin: Any, arguments: tuple[Any, ...]) -> bool:
    if not isinstance(value, list | tuple):
        return False
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return len(value) == len(arguments) and all(map(_fits, value, arguments))
    return all(_fits(item, arguments[0]) for item in value) if arguments else True


def _fits_plain(value: Any, annotation: Any) -> bool:
    if annotation in (None, type(None)):
        return value is None
    if annotation is float:
        return isinstance(value, float | int) and not isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation in (bool, str):
        return isinstance(value, annotation)
    if annotation is Path:
        return isinstance(value, str)
    if annotation in (list, tuple, dict):
        return isinstance(value, Mapping if annotation is dict else list | tuple)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return isinstance(value, str) and value in annotation.__members__
    return not _is_tensor(annotation)


def _is_tensor(annotation: Any) -> bool:
    """A tensor cannot be written in YAML, so a union with one leaves the other options."""
    return getattr(annotation, "__name__", "") == "Tensor"


def _words(annotation: Any) -> str:
    """Names what an annotation allows, for the end of a sentence."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        options = ", ".join(map(repr, arguments))
        return f"one of {options}" if len(arguments) > 1 else options
    if origin in (Union, types.UnionType):
        return " or ".join(_words(option) for option in arguments if not _is_tensor(option))
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)}: {', '.join(map(_words, arguments))}"
    if origin in (list, tuple, collections.abc.Sequence, collections.abc.Iterable):
        return f"a list{MANY.get(arguments[0], '')}" if arguments else "a list"
    if origin in (dict, collections.abc.Mapping) or annotation is dict:
        return "a mapping"
    if annotation in (list, tuple):
        return "a list"
    if annotation is None:
        return "null"
    if annotation is Path:
        return "a path"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"one of {', '.join(map(repr, annotation.__members__))}"
    return WORDS.get(annotation, str(annotation))


def _annotations(target: Callable[..., Any]) -> dict[str, Any]:
    """Resolved annotations; none where they name what cannot be resolved."""
    holder: Any = target.__init__ if inspect.isclass(target) else target
    try:
        return typing.get_type_hints(holder)
    except Exception:
        return {}


def _offer(choices: Sequence[str]) -> str:
    return f"; it takes {', '.join(choices)}" if choices else "; it takes none"
