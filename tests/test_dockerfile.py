from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

VARIABLES = (
    "HOME USER TORCHINDUCTOR_CACHE_DIR MPLCONFIGDIR XDG_CACHE_HOME TORCH_HOME "
    "IBDROP_DATA IBDROP_OUTPUTS"
)


@pytest.fixture(scope="module")
def dockerfile(checkout: Path) -> DockerfileParser:
    return DockerfileParser(fileobj=io.BytesIO((checkout / "Dockerfile").read_bytes()))


@pytest.fixture(scope="module")
def final_stage(dockerfile: DockerfileParser) -> list[dict[str, str]]:
    steps = dockerfile.structure
    last = max(place for place, step in enumerate(steps) if step["instruction"] == "FROM")
    return list(steps[last:])


def values(stage: list[dict[str, str]], instruction: str) -> list[str]:
    return [step["value"] for step in stage if step["instruction"] == instruction]


def python_of(image: str) -> tuple[int, ...]:
    return tuple(int(part) for part in image.split(":")[1].split("-")[0].split("."))


def test_the_stages_share_a_base_that_can_be_chosen(dockerfile: DockerfileParser) -> None:
    lines = [step["value"] for step in dockerfile.structure if step["instruction"] == "FROM"]
    assert lines == ["${BASE_IMAGE} AS base", "base AS build", "base AS runtime"]


def test_the_python_of_the_base_is_one_that_the_project_supports(
    dockerfile: DockerfileParser, checkout: Path
) -> None:
    first = dockerfile.structure[[s["instruction"] for s in dockerfile.structure].index("ARG")]
    name, _, image = first["value"].partition("=")
    assert name == "BASE_IMAGE"
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    low, high = (bound.lstrip(">=<") for bound in project["requires-python"].split(","))
    assert tuple(map(int, low.split("."))) <= python_of(image) < tuple(map(int, high.split(".")))


def test_it_runs_as_a_numeric_user_that_is_not_root(final_stage: list[dict[str, str]]) -> None:
    assert values(final_stage, "USER") == ["1000:1000"]


def test_the_command_line_is_the_entry_point_in_exec_form(
    final_stage: list[dict[str, str]],
) -> None:
    assert [json.loads(value) for value in values(final_stage, "ENTRYPOINT")] == [["ibdrop"]]
    assert [json.loads(value) for value in values(final_stage, "CMD")] == [["--help"]]
    (check,) = values(final_stage, "HEALTHCHECK")
    assert json.loads(check.partition("CMD ")[2]) == ["ibdrop", "doctor", "--quiet"]
    assert [json.loads(value) for value in values(final_stage, "VOLUME")] == [
        ["/data", "/outputs"]
    ]


def test_a_user_without_a_passwd_entry_finds_all_it_needs(
    final_stage: list[dict[str, str]],
) -> None:
    environment = " ".join(values(final_stage, "ENV"))
    for name in (*VARIABLES.split(), "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES"):
        assert f"{name}=" in environment
    (prepared,) = values(final_stage, "RUN")
    assert prepared == "install -d -m 1777 /home/ibdrop /data /outputs"


def test_the_runtime_gets_the_environment_and_nothing_else(
    final_stage: list[dict[str, str]],
) -> None:
    assert values(final_stage, "COPY") == ["--from=build /opt/venv /opt/venv"]


def test_dependencies_are_installed_before_the_sources_are_copied(
    dockerfile: DockerfileParser,
) -> None:
    steps = [f"{step['instruction']} {step['value']}" for step in dockerfile.structure]
    constrained = [place for place, step in enumerate(steps) if "-c constraints.txt" in step]
    assert len(constrained) == 2
    assert max(constrained) < steps.index("COPY src src")
    assert any("pip wheel" in step and "dist/ibdrop-*.whl" in step for step in steps)


@pytest.fixture(scope="module")
def guard(dockerfile: DockerfileParser) -> str:
    """The check of TORCH_INDEX, without what follows it."""
    (step,) = [v for v in values(dockerfile.structure, "RUN") if v.startswith("case")]
    return step.partition(" && python3 -m venv")[0]


@pytest.mark.parametrize("index", ["", "/wheels", "file:///wheels", "https://wheels.example/cpu"])
def test_an_index_is_an_address(guard: str, index: str) -> None:
    subprocess.run(["sh", "-c", guard], env={"TORCH_INDEX": index}, check=True, timeout=60)


@pytest.mark.parametrize("index", ["cpu", "give-TORCH_CPU_INDEX"])
def test_an_index_that_is_none_is_refused_before_anything_is_fetched(
    guard: str, index: str
) -> None:
    done = subprocess.run(
        ["sh", "-c", guard],
        env={"TORCH_INDEX": index},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"TORCH_INDEX={index} is no address of an index of wheels\n"


def required(dockerfile: DockerfileParser, checkout: Path, extras: str) -> list[str]:
    """What the program in the Dockerfile lists for these extras."""
    (step,) = [v for v in values(dockerfile.structure, "RUN") if "tomllib" in v]
    program = step.partition("-c '")[2].partition("' >requirements.txt")[0]
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout,
        env={"EXTRAS": extras},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("extras", ["", "captum", "captum,tensorboard"])
def test_the_image_gets_the_dependencies_and_the_extras_asked_for(
    dockerfile: DockerfileParser, checkout: Path, extras: str
) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"]]
    for name in filter(None, extras.split(",")):
        wanted += project["optional-dependencies"][name]
    assert required(dockerfile, checkout, extras) == wanted


def test_the_extras_by_default_are_extras_of_the_project(
    dockerfile: DockerfileParser, checkout: Path
) -> None:
    arguments = dict(v.split("=", 1) for v in values(dockerfile.structure, "ARG") if "=" in v)
    project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
    named = arguments["EXTRAS"].strip('"').split(",")
    assert set(named) <= set(project["optional-dependencies"])


def test_nothing_is_added_by_address_and_no_secret_is_an_argument(
    dockerfile: DockerfileParser,
) -> None:
    assert values(dockerfile.structure, "ADD") == []
    arguments = [value.partition("=") for value in values(dockerfile.structure, "ARG")]
    assert {name for name, _, default in arguments if default.strip('"')} == {
        "BASE_IMAGE",
        "EXTRAS",
    }
    words = "".join(name for name, _, _ in arguments).lower()
    assert not any(word in words for word in ("token", "password", "secret", "key"))


def test_the_labels_say_what_it_is_and_of_which_commit(final_stage: list[dict[str, str]]) -> None:
    labels = " ".join(values(final_stage, "LABEL"))
    for name in ("title", "description", "licenses", "base.name", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels


def test_the_context_holds_what_is_copied_and_little_else(
    dockerfile: DockerfileParser, checkout: Path
) -> None:
    lines = (checkout / ".dockerignore").read_text().splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for value in values(dockerfile.structure, "COPY")
        if not value.startswith("--from")
        for source in value.split()[:-1]
    }
    assert copied <= allowed
    assert all((checkout / name).exists() for name in copied)
    assert not allowed & {".git", "outputs", "data", "tests", "benchmarks"}


def test_hadolint_has_nothing_to_say(checkout: Path) -> None:
    beside = Path(sys.executable).with_name("hadolint")
    program = str(beside) if beside.exists() else shutil.which("hadolint")
    assert program, "hadolint is part of the test extra"
    done = subprocess.run(
        [program, "--config", ".hadolint.yaml", "Dockerfile"],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_page_names_every_argument_volume_and_folder(
    dockerfile: DockerfileParser, final_stage: list[dict[str, str]], checkout: Path
) -> None:
    page = (checkout / "docs" / "docker.md").read_text()
    named = {v.partition("=")[0] for v in values(dockerfile.structure, "ARG")}
    folders = [v for volume in values(final_stage, "VOLUME") for v in json.loads(volume)]
    for word in (*named, *VARIABLES.split(), *folders):
        assert f"`{word}`" in page, word


@pytest.mark.skipif(shutil.which("bash") is None, reason="the check is a script of bash")
def test_the_check_of_the_image_is_sound(checkout: Path) -> None:
    script = checkout / "tools" / "check-image.sh"
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=60)
    assert script.stat().st_mode & 0o111
