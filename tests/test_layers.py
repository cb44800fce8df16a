from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ibdrop.cli.main import COMMANDS

LEVELS = {
    "ibdrop": 0,
    "ibdrop.errors": 0,
    "ibdrop.files": 0,
    "ibdrop.seeds": 0,
    "ibdrop.splitmix": 0,
    "ibdrop.information": 0,
    "ibdrop.runs.provenance": 1,
    "ibdrop.noise": 1,
    "ibdrop.runs.record": 2,
    "ibdrop.initialisers": 2,
    "ibdrop.data": 2,
    "ibdrop.models": 2,
    "ibdrop.sampling": 3,
    "ibdrop.merit": 4,
    "ibdrop.explain": 4,
    "ibdrop.artifacts": 5,
    "ibdrop.learning": 5,
    "ibdrop.config": 6,
    "ibdrop.build": 7,
    "ibdrop.runs": 8,
    "ibdrop.cli": 9,
    "ibdrop.__main__": 10,
}
"""How high each part stands; imports go to parts further down, or stay within the part."""

OWNERS = {
    "hydra.utils": ("ibdrop.build",),
    "hydra": ("ibdrop.build", "ibdrop.config", "ibdrop.cli"),
    "omegaconf": ("ibdrop.build", "ibdrop.config", "ibdrop.runs.folder", "ibdrop.cli"),
    "pytorch_lightning": ("ibdrop.learning",),
    "matplotlib": ("ibdrop.artifacts",),
    "torchvision": ("ibdrop.data", "ibdrop.models.torchvision"),
    "captum": ("ibdrop.explain.attributions",),
    "sklearn": ("ibdrop.data",),
    "rich": ("ibdrop.cli", "ibdrop.learning.progress"),
}
"""Who alone may import a library; the most specific line counts."""

LIGHT = ("ibdrop", "ibdrop.errors", "ibdrop.files", "ibdrop.__main__", "ibdrop.cli.main")
HEAVY = ("torch", "pytorch_lightning", "matplotlib", "sklearn", "torchvision")


def prefix(name: str, table: dict[str, object]) -> str | None:
    """The longest entry that `name` is or lies in."""
    found = [entry for entry in table if name == entry or name.startswith(f"{entry}.")]
    return max(found, key=len, default=None)


def part(name: str) -> str:
    """The part of ibdrop that a module belongs to; a new one must be given its level."""
    if name in LEVELS:
        return name
    found = prefix(name, {entry: 0 for entry in LEVELS if entry != "ibdrop"})
    assert found is not None, f"{name} has no level: add it to LEVELS"
    return found


def module_name(file: Path, source: Path) -> str:
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, known: set[str]) -> Iterator[tuple[int, str]]:
    """Line and full name of everything a file imports, at any depth."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write the import in full"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in known else str(node.module)


def violations(source: Path) -> list[str]:
    files = sorted((source / "ibdrop").rglob("*.py"))
    known = {module_name(file, source) for file in files}
    problems = []
    for file in files:
        importer = module_name(file, source)
        for line, name in imports(file, known):
            problem = judge(importer, name)
            if problem:
                problems.append(f"{importer}:{line}: {problem}")
    return problems


def judge(importer: str, name: str) -> str | None:
    if name.partition(".")[0] == "ibdrop":
        if part(importer) == part(name) or LEVELS[part(name)] < LEVELS[part(importer)]:
            return None
        return f"{part(importer)} may not import {part(name)}"
    library = prefix(name, dict(OWNERS))
    if library and prefix(importer, dict.fromkeys(OWNERS[library])) is None:
        return f"only {' and '.join(OWNERS[library])} may import {library}"
    return None


def test_imports_point_only_downwards(checkout: Path) -> None:
    assert violations(checkout / "src") == []


def test_every_package_was_looked_at(checkout: Path) -> None:
    source = checkout / "src"
    names = [module_name(file, source) for file in (source / "ibdrop").rglob("*.py")]
    assert len(names) >= 60
    assert {part(name) for name in names} == set(LEVELS)


@pytest.mark.parametrize(
    ("module", "line", "problem"),
    [
        ("noise/mine.py", "from ibdrop.models.base import Prediction", "may not import"),
        ("noise/mine.py", "import ibdrop.cli.main", "may not import"),
        ("models/mine.py", "from ibdrop.data import base", "may not import ibdrop.data"),
        ("seeds.py", "def f():\n    from ibdrop import build", "may not import ibdrop.build"),
        ("models/mine.py", "import pytorch_lightning as pl", "only ibdrop.learning may import"),
        ("learning/mine.py", "from matplotlib import pyplot", "only ibdrop.artifacts may import"),
        ("cli/mine.py", "from hydra.utils import instantiate", "only ibdrop.build may import"),
        ("learning/mine.py", "from rich.table import Table", "only ibdrop.cli and"),
    ],
)
def test_a_planted_violation_is_found(
    tmp_path: Path, module: str, line: str, problem: str
) -> None:
    for name in (module, "models/base.py", "data/base.py", "cli/main.py", "build.py"):
        file = tmp_path / "ibdrop" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "ibdrop" / module).write_text(line)
    found = violations(tmp_path)
    assert len(found) == 1
    assert problem in found[0]


def test_a_permitted_import_is_permitted(tmp_path: Path) -> None:
    folder = tmp_path / "ibdrop" / "learning"
    folder.mkdir(parents=True)
    (folder / "progress.py").write_text("from rich.progress import Progress\nimport torch\n")
    assert violations(tmp_path) == []


@pytest.mark.parametrize("name", LIGHT)
def test_the_way_to_help_imports_only_the_standard_library_at_the_top(
    checkout: Path, name: str
) -> None:
    path = checkout / "src" / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
            top = str(module).partition(".")[0]
            assert top in {"ibdrop", *sys.stdlib_module_names}, f"{name}:{node.lineno}"


SPY = """
import atexit, sys
atexit.register(lambda: print("\\nLOADED", *sorted(m for m in {heavy!r} if m in sys.modules)))
from ibdrop.cli.main import main
sys.argv = ["ibdrop", *{words!r}]
sys.exit(main())
"""


def test_every_command_is_asked_for_help() -> None:
    assert len(COMMANDS) >= 10


@pytest.mark.parametrize(
    "words",
    [[], ["--help"], ["--version"], ["train", "--cfg", "job"], ["runs", "."]]
    + [[command, "--help"] for command in COMMANDS],
    ids=" ".join,
)
def test_nothing_heavy_is_loaded_for_help(words: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SPY.format(heavy=HEAVY, words=words)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "100"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].split() == ["LOADED"]
    assert list(tmp_path.iterdir()) == []
