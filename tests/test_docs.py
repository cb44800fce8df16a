from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ibdrop.cli.main import COMMANDS
from ibdrop.noise.base import Noise

PLACES = re.compile(r"(?<![\w}$])/(?:work|tmp|root|home)/\w")
HOSTS = re.compile(
    r"pypi\.org|pythonhosted|download\.pytorch|registry\.npmjs|docker\.io|deb\.debian"
)


@pytest.fixture(scope="module")
def readme(checkout: Path) -> str:
    return (checkout / "README.md").read_text()


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def the_two_commands(readme: str) -> list[str]:
    return [block.strip() for block in blocks(readme, "sh") if block.startswith("python3 -m venv")]


def committed(checkout: Path) -> list[Path]:
    """What git tracks; without git, everything but hidden and generated folders."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=checkout, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        names = [checkout / name for name in listed.stdout.split("\0") if name]
    else:
        tops = ("src", "conf", "tests", "tools", "benchmarks", "docs")
        names = [file for top in tops for file in (checkout / top).rglob("*")]
    return [name for name in names if name.is_file() and "__pycache__" not in name.parts]


def test_the_two_commands_are_one_line_each(readme: str) -> None:
    first, second = the_two_commands(readme)
    assert first.endswith("ibdrop train model=allcnn noise=information beta=1e-3")
    assert second.endswith(".venv/bin/pytest -n 2")
    assert "\n" not in first + second


def test_the_check_from_nothing_does_what_the_second_command_does(
    checkout: Path, readme: str
) -> None:
    lines = (checkout / ".ci" / "run").read_text().splitlines()
    steps = [re.sub(r"^quietly |\s*</dev/null$", "", line.strip()) for line in lines]
    make, *rest = the_two_commands(readme)[1].split(" && ")
    assert make == "python3 -m venv .venv"
    wanted = ['"$python" -m venv "$venv"'] + [s.replace(".venv", '"$venv"', 1) for s in rest]
    places = [steps.index(step) for step in wanted]
    assert places == sorted(places)
    assert len(places) == 3


def test_the_check_from_nothing_is_sound_and_cleans_up(checkout: Path) -> None:
    script = checkout / ".ci" / "run"
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    text = script.read_text()
    assert "set -euo pipefail" in text
    assert """trap 'rm -rf "$scratch"' EXIT""" in text


def test_every_command_is_described(readme: str) -> None:
    described = set(re.findall(r"`ibdrop (\w+)", readme))
    assert len(COMMANDS) >= 10
    assert set(COMMANDS) <= described


def test_every_group_is_described_with_every_option(checkout: Path, readme: str) -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", readme, flags=re.MULTILINE))
    groups = [path for path in (checkout / "conf").iterdir() if path.is_dir()]
    groups = [path for path in groups if path.name != "hydra"]
    assert len(groups) >= 9
    for group in groups:
        options = {file.stem for file in group.glob("*.yaml")}
        assert options, group
        assert options == set(re.findall(r"`(\w+)`", rows[group.name])), group.name


def test_links_lead_to_files(checkout: Path) -> None:
    found = 0
    for page in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", (checkout / page).read_text()):
            assert (checkout / target).exists(), f"{page}: {target}"
            found += 1
    assert found >= 4


def test_nothing_committed_names_a_machine_or_a_registry(checkout: Path) -> None:
    files = committed(checkout)
    assert len(files) >= 60
    for file in files:
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if "dockerfile" not in file.name.lower():
            assert not PLACES.search(text), f"{file}: {PLACES.search(text)}"
        if file != Path(__file__).resolve():
            assert not HOSTS.search(text), f"{file}: {HOSTS.search(text)}"


@pytest.fixture
def extension(readme: str, tmp_path: Path) -> Path:
    """A folder with the README's own noise, as a reader would write it."""
    (python,) = blocks(readme, "python")
    (yaml,) = blocks(readme, "yaml")
    (tmp_path / "my_noise.py").write_text(python)
    group = tmp_path / "my_conf" / "noise"
    group.mkdir(parents=True)
    (group / "uniform.yaml").write_text(yaml)
    return tmp_path


@pytest.fixture
def uniform(extension: Path) -> Callable[..., Noise]:
    spec = importlib.util.spec_from_file_location("my_noise", extension / "my_noise.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Callable[..., Noise] = module.UniformNoise
    return made


def ibdrop(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ibdrop", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
        check=False,
    )


def test_the_noise_of_the_readme_costs_what_it_says(uniform: Callable[..., Noise]) -> None:
    """KL by integrating p log(p/q) on a grid over [0, 2]."""
    noise = uniform(3, width=0.8)
    a = torch.tensor([[-2.0, 0.0, 1.5]], dtype=torch.float64)
    f = torch.ones_like(a)
    silent = noise(f, a, sample=False)
    assert torch.equal(silent.z, f)
    assert silent.kl is not None
    grid = torch.linspace(0, 2, 2_000_001, dtype=torch.float64)[:-1] + 5e-7
    for raw, kl in zip(a[0], silent.kl[0], strict=True):
        w = 0.8 * torch.sigmoid(raw)
        p = ((grid - 1).abs() <= w) / (2 * w)
        integral = torch.xlogy(p, p / 0.5).mean() * 2
        assert kl.item() == pytest.approx(integral.item(), abs=1e-5)
    drawn = noise(f.expand(10_000, 3), a.expand(10_000, 3), sample=True).z
    widest = (drawn - 1).abs().amax(dim=0)
    torch.testing.assert_close(widest, 0.8 * torch.sigmoid(a[0]), rtol=1e-2, atol=0.0)


def test_the_noise_of_the_readme_composes(extension: Path) -> None:
    words = "train noise=uniform --config-dir my_conf --cfg job -p noise"
    done = ibdrop(extension, *words.split())
    assert done.returncode == 0, done.stderr
    assert "_target_: my_noise.UniformNoise" in done.stdout


def test_the_noise_of_the_readme_refuses_a_width_of_2(extension: Path) -> None:
    words = "train noise=uniform noise.width=2 --config-dir my_conf trainer=smoke output_dir=o"
    done = ibdrop(extension, *words.split())
    assert done.returncode == 2
    assert "width=2 must lie in (0, 1]" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (extension / "o").exists()


@pytest.mark.slow
def test_the_noise_of_the_readme_trains_and_reloads(extension: Path) -> None:
    words = "train noise=uniform --config-dir my_conf trainer=smoke output_dir=o"
    done = ibdrop(extension, *words.split())
    assert done.returncode == 0, done.stderr
    (report,) = (extension / "o").rglob("report.html")
    assert ibdrop(extension, "evaluate", str(report.parent)).returncode == 0
