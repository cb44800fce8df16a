"""Calls the cheap constructors once, so that their refusals come before anything is created."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from ibdrop.errors import IbdropError

__all__ = ["REHEARSED", "refusal"]

REHEARSED = ("noise", "augment", "optim", "schedule", "trainer", "artifacts")
"""Groups whose objects need neither data nor memory; the others speak up when they are built."""


def refusal(
    group: str, where: str, target: Callable[..., Any], given: Mapping[str, Any]
) -> list[str]:
    """What a constructor says of its arguments; nothing if it takes them.

    Arguments:
        group: The group of the node.
        where: The key of the node.
        target: The class or function.
        given: Its arguments in the config, of the right names and types.
    """
    harmless = inspect.isclass(target) or target.__module__.startswith("ibdrop.")
    if group not in REHEARSED or not harmless or any(map(_holds_target, given.values())):
        return []
    try:
        target(*_stand_in(group), **given)
    except (ValueError, IbdropError) as error:
        return [f"{where}: {line}" for line in str(error).splitlines()]
    except Exception:
        return []  # Not the user's words; building will show the true traceback.
    return []


def _stand_in(group: str) -> tuple[Any, ...]:
    """The first argument of what is called later: one channel, or one parameter."""
    if group == "optim":
        import torch

        return ([torch.nn.Parameter(torch.zeros(1))],)
    return (1,) if group == "noise" else ()


def _holds_target(value: object) -> bool:
    if isinstance(value, Mapping):
        return "_target_" in value or any(map(_holds_target, value.values()))
    return isinstance(value, list) and any(map(_holds_target, value))
