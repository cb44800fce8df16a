from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dockerfile_parse import DockerfileParser

Service = dict[str, Any]

SERVICES = ("ibdrop", "ibdrop-cpu")
TORCH_INDEX = {"ibdrop": "", "ibdrop-cpu": "TORCH_CPU_INDEX-is-unset"}
# What the specification lets a service and a reservation of devices hold, as far as we use it.
SERVICE_KEYS = {"image", "build", "profiles", "init", "user", "shm_size", "volumes", "deploy"}
DEVICE_KEYS = {"driver", "count", "device_ids", "capabilities", "options"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?P<when>:?-)(?P<default>[^}]*)\}")


@pytest.fixture(scope="module")
def written(checkout: Path) -> dict[str, Any]:
    made: dict[str, Any] = yaml.safe_load((checkout / "compose.yaml").read_text())
    return made


@pytest.fixture(scope="module", params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def service(written: dict[str, Any], name: str) -> Service:
    made: Service = written["services"][name]
    return made


@pytest.fixture(scope="module")
def dockerfile(checkout: Path) -> DockerfileParser:
    return DockerfileParser(fileobj=io.BytesIO((checkout / "Dockerfile").read_bytes()))


def arguments(dockerfile: DockerfileParser) -> dict[str, str]:
    """The arguments of the Dockerfile and their defaults, the first of each name."""
    found: dict[str, str] = {}
    for step in dockerfile.structure:
        if step["instruction"] == "ARG":
            name, _, default = step["value"].partition("=")
            found.setdefault(name, default.strip('"'))
    return found


def resolved(text: str, **environment: str) -> str:
    """The text as Compose reads it: `:-` also replaces what is empty, `-` only what is unset."""

    def value(found: re.Match[str]) -> str:
        given = environment.get(found["name"])
        absent = given is None or (found["when"] == ":-" and not given)
        return found["default"] if absent else str(given)

    return VARIABLE.sub(value, text)


def test_the_file_holds_two_services_and_no_obsolete_version(written: dict[str, Any]) -> None:
    assert set(written["services"]) == set(SERVICES)
    assert {key for key in written if not key.startswith("x-")} == {"services"}


def test_a_service_holds_only_what_compose_knows(service: Service) -> None:
    assert set(service) <= SERVICE_KEYS
    assert set(service["build"]) == {"context", "args"}
    assert service["build"]["context"] == "."


def test_every_variable_has_a_default(service: Service) -> None:
    assert "$" not in resolved(json.dumps(service))


def test_every_gpu_is_reserved_with_the_capability_that_must_be_named(
    written: dict[str, Any],
) -> None:
    deploy = written["services"]["ibdrop"]["deploy"]
    assert set(deploy) == {"resources"}
    assert set(deploy["resources"]) == {"reservations"}
    (device,) = deploy["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
    assert set(device) <= DEVICE_KEYS
    assert not {"count", "device_ids"} <= set(device), "either a number or names, not both"


def test_the_service_without_a_gpu_stands_in_a_profile_of_its_own(
    written: dict[str, Any],
) -> None:
    assert written["services"]["ibdrop-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in written["services"]["ibdrop-cpu"]
    assert "profiles" not in written["services"]["ibdrop"]


def test_the_images_are_those_that_the_dockerfile_says_how_to_build(
    checkout: Path, written: dict[str, Any]
) -> None:
    head = (checkout / "Dockerfile").read_text().partition("ARG")[0]
    built = re.findall(r"^#   docker build -t (\S+)", head, flags=re.MULTILINE)
    assert [written["services"][name]["image"] for name in SERVICES] == built


def test_the_volumes_are_those_of_the_image(
    service: Service, dockerfile: DockerfileParser
) -> None:
    (volumes,) = [s["value"] for s in dockerfile.structure if s["instruction"] == "VOLUME"]
    mounted = [resolved(volume).split(":") for volume in service["volumes"]]
    assert [inside for _, inside in mounted] == json.loads(volumes)
    assert [outside for outside, _ in mounted] == ["./data", "./outputs"]


def test_its_arguments_are_those_of_the_dockerfile(
    name: str, service: Service, dockerfile: DockerfileParser
) -> None:
    known = arguments(dockerfile)
    given = {key: resolved(value) for key, value in service["build"]["args"].items()}
    assert set(given) <= set(known)
    assert given.pop("TORCH_INDEX") == TORCH_INDEX[name]
    assert given == {key: known[key] for key in given}


def test_an_argument_that_is_given_gets_through(service: Service, name: str) -> None:
    args = service["build"]["args"]
    index = "TORCH_INDEX" if name == "ibdrop" else "TORCH_CPU_INDEX"
    address = "https://wheels.example/some"
    assert resolved(args["TORCH_INDEX"], **{index: address}) == address
    assert resolved(args["EXTRAS"], EXTRAS="") == ""
    assert resolved(args["BASE_IMAGE"], BASE_IMAGE="") == resolved(args["BASE_IMAGE"])


def test_the_user_is_the_images_unless_another_is_given(
    service: Service, dockerfile: DockerfileParser
) -> None:
    (user,) = [s["value"] for s in dockerfile.structure if s["instruction"] == "USER"]
    assert resolved(service["user"]) == user
    assert resolved(service["user"], IBDROP_USER="12345:54321") == "12345:54321"


def test_signals_arrive_and_shared_memory_suffices_for_loaders(service: Service) -> None:
    assert service["init"] is True
    assert service["shm_size"] == "2gb"
