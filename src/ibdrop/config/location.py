"""Where the packaged configuration lives."""

from __future__ import annotations

from pathlib import Path

import ibdrop

__all__ = ["conf_dir"]


def conf_dir() -> Path:
    """The folder of `train.yaml`: in the installed package, or else in the checkout.

    Raises:
        FileNotFoundError: The installation is incomplete.
    """
    package = Path(ibdrop.__file__).resolve().parent
    places = (package / "conf", package.parent.parent / "conf")
    for place in places:
        if (place / "train.yaml").is_file():
            return place
    raise FileNotFoundError(f"no train.yaml in {places[0]} nor {places[1]}: install ibdrop again")
