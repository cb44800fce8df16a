"""Which task a network is for."""

from __future__ import annotations

from torch import nn

from ibdrop.learning.classification import Classification
from ibdrop.learning.reconstruction import Reconstructing
from ibdrop.learning.task import Task

__all__ = ["TASKS", "task_of"]

TASKS: dict[str, type[Task]] = {task.name: task for task in (Classification, Reconstructing)}


def task_of(model: nn.Module) -> Task:
    """The task that a network names in its attribute `task`; without one it is a classifier.

    Raises:
        ValueError: There is no such task.
    """
    name = getattr(model, "task", Classification.name)
    if name not in TASKS:
        raise ValueError(f"task={name}: must be one of {', '.join(TASKS)}.")
    return TASKS[name]()
