"""The same canvas with or without the target, and with the rest where it was or elsewhere."""

from __future__ import annotations

from typing import Literal, get_args

__all__ = ["VIEWS", "View", "check_view"]

View = Literal["whole", "without_target", "moved", "alone"]
"""What is shown of a canvas; every view has the label, box and strokes of the whole.

- `whole`: everything.
- `without_target`: the distractors alone. Box and strokes are those of the place where the
  target was, so that a map which still finds it gives itself away, and the label is what can
  no longer be known: right answers are chance.
- `moved`: the target where it was, the same distractors in other places.
- `alone`: the target alone.
"""

VIEWS: tuple[str, ...] = get_args(View)


def check_view(view: str) -> None:
    """Refuses a view that there is not.

    Raises:
        ValueError: There is no such view.
    """
    if view not in VIEWS:
        raise ValueError(f"view is '{view}'; it must be one of {', '.join(VIEWS)}")
