from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import ibdrop


def call(words: Sequence[str | Path], folder: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=clean,
        capture_output=True,
        text=True,
        timeout=600,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="session")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built of an sdist, as an index would have it."""
    folder = tmp_path_factory.mktemp("dist")
    call([sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, checkout], folder)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_configs_templates_and_the_mark_of_types(
    wheel: Path, checkout: Path
) -> None:
    call([sys.executable, checkout / "tools" / "check_wheel.py", wheel], wheel.parent)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "ibdrop/conf/train.yaml" in names
    assert "ibdrop/py.typed" in names
    assert any(name.startswith("ibdrop/runs/templates/") for name in names)
    assert len([name for name in names if name.endswith(".yaml")]) >= 30
    assert {name.partition("/")[0] for name in names} == {
        "ibdrop",
        f"ibdrop-{ibdrop.__version__}.dist-info",
    }


def test_an_incomplete_wheel_is_noticed(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    broken = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as whole, zipfile.ZipFile(broken, "w") as part:
        for name in whole.namelist():
            if name != "ibdrop/conf/train.yaml":
                part.writestr(name, whole.read(name))
    done = subprocess.run(
        [sys.executable, checkout / "tools" / "check_wheel.py", broken],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the wheel lacks ibdrop/conf/train.yaml" in done.stderr


def constraints(checkout: Path) -> dict[str, str]:
    lines = (checkout / "constraints.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def test_every_requirement_has_a_tested_version_within_its_bounds(checkout: Path) -> None:
    pinned = constraints(checkout)
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    direct = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert len(direct) >= 15
    for line in direct:
        requirement = Requirement(line)
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_every_indirect_requirement_has_a_tested_version(checkout: Path) -> None:
    """What comes with torch for CUDA only, torch pins itself."""
    pinned = constraints(checkout)
    for name in pinned:
        for line in requires(name) or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is not None and not marker.evaluate({"extra": ""}):
                continue
            if not re.match(r"nvidia|cuda|triton", requirement.name):
                assert canonicalize_name(requirement.name) in pinned, f"{name} needs {line}"


def test_the_installed_version_is_that_of_the_sources() -> None:
    from importlib.metadata import version

    assert version("ibdrop") == ibdrop.__version__


@pytest.mark.slow
def test_the_installed_wheel_composes_its_configs_without_torch(
    wheel: Path, checkout: Path, tmp_path: Path
) -> None:
    """Needs an index of packages, or a pip that is configured for one."""
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    pip = [binaries / "python", "-m", "pip", "install", "-q", "-c", checkout / "constraints.txt"]
    call([*pip, "hydra-core", "omegaconf", "rich"], tmp_path)
    call([*pip, "--no-deps", wheel], tmp_path)
    shown = call([binaries / "ibdrop", "train", "--cfg", "job", "beta=0.25"], tmp_path)
    assert "beta: 0.25" in shown
    assert "_target_: ibdrop.models" in shown
    listed = call([binaries / "ibdrop", "train", "--help"], tmp_path)
    assert "cluttered_digits" in listed
    assert "ibdrop doctor" in call([binaries / "ibdrop", "--help"], tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["venv"]
