"""Says whether a wheel holds what the program reads at run time: configs, templates, the mark."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

__all__ = ["missing"]

ROOT = Path(__file__).resolve().parents[1]
EXPECTED = ("ibdrop/py.typed", "ibdrop/conf/train.yaml")


def missing(wheel: Path) -> list[str]:
    """Names every source, config or template of this checkout that is not in the wheel."""
    wanted = set(EXPECTED)
    for tree, prefix in (("src/ibdrop", "ibdrop"), ("conf", "ibdrop/conf")):
        for file in (ROOT / tree).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                wanted.add(f"{prefix}/{file.relative_to(ROOT / tree).as_posix()}")
    with zipfile.ZipFile(wheel) as archive:
        return sorted(wanted - set(archive.namelist()))


if __name__ == "__main__":
    absent = missing(Path(sys.argv[1]))
    for name in absent:
        print(f"the wheel lacks {name}", file=sys.stderr)
    print(f"{Path(sys.argv[1]).name}: {'incomplete' if absent else 'complete'}")
    sys.exit(bool(absent))
