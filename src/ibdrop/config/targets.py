"""From the dotted path of a `_target_` to the object, with the true cause where that fails."""

from __future__ import annotations

import difflib
import importlib
import traceback
from collections.abc import Iterable
from typing import Any

__all__ = ["TargetError", "locate", "nearest"]

ATTEMPTS = 0.6


class TargetError(Exception):
    """A target that cannot be imported; the message is a clause, fit to follow a key."""


def locate(path: str) -> Any:
    """Imports the object at a dotted path such as `torch.optim.SGD`.

    Raises:
        TargetError: A module or an attribute is not there, or a module fails to load.
    """
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts):
        raise TargetError(f"'{path}' is no dotted path such as package.module.Class")
    found = _load(path, parts[0])
    for position, part in enumerate(parts[1:], start=1):
        if not hasattr(found, part) and isinstance(found, type(importlib)):
            _load_inside(path, parts[: position + 1])
        try:
            found = getattr(found, part)
        except AttributeError:
            holder = ".".join(parts[:position])
            hint = nearest(part, vars(found) if hasattr(found, "__dict__") else ())
            raise TargetError(f"cannot import '{path}': {holder} has no '{part}'{hint}") from None
    return found


def nearest(word: str, words: Iterable[str]) -> str:
    """Says `; did you mean 'x'?` if one of the words is likely meant, and nothing otherwise."""
    found = difflib.get_close_matches(word, list(words), n=1, cutoff=ATTEMPTS)
    return f"; did you mean '{found[0]}'?" if found else ""


def _load(path: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import '{path}' ({_cause(error)})") from error


def _load_inside(path: str, parts: list[str]) -> None:
    """Imports a submodule; that it is not there is for the caller to find out."""
    module = ".".join(parts)
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = f"No module named {module!r}"
        if missing not in str(error):
            raise TargetError(f"cannot import '{path}' ({_cause(error)})") from error
    except (Exception, SystemExit) as error:
        raise TargetError(f"cannot import '{path}' ({_cause(error)})") from error


def _cause(error: BaseException) -> str:
    """Kind and message of an error, and the place in the user's file where it arose."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        return text
    frames = traceback.extract_tb(error.__traceback__)
    places = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    return f"{text}, at {places[-1].filename}:{places[-1].lineno}" if places else text
