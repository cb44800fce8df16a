from __future__ import annotations

import dataclasses

import pytest

from ibdrop.config.schema import GROUPS, TrainConfig, job_name, slug, sweep_name


def test_every_group_is_a_node_without_a_default() -> None:
    nodes = {f.name for f in dataclasses.fields(TrainConfig) if f.type == "Any"}
    assert nodes == set(GROUPS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mnist_mlp_none_beta-0.001", "mnist_mlp_none_beta-0.001"),
        ("a=b c/d", "a-b-c-d"),
        (["beta=1e-3", "optim.lr=0.1"], "beta-1e-3_optim.lr-0.1"),
        ("../..", ""),
        ("x" * 200, "x" * 96),
        ("Größe", "Gr-e"),
    ],
)
def test_slug_is_safe_as_a_folder_and_in_an_override(text: object, expected: str) -> None:
    assert slug(text) == expected


def test_a_job_is_named_by_what_differs() -> None:
    overrides = ["trainer=smoke", "beta=0.1", "seed=2"]
    assert job_name(overrides, [1, 2]) == "beta-0.1_seed-2"
    assert job_name(overrides) == "trainer-smoke_beta-0.1_seed-2"
    assert job_name([]) == "job"


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["trainer=smoke", "beta=0,1", "seed=0,1"], "beta-0-1_seed-0-1"),
        (["sweep=beta", "model=mlp"], "sweep-beta"),
        (["beta=range(0,3)", "loggers=[csv,mlflow]"], "beta-range-0-3"),
        (["model=mlp"], "model-mlp"),
        (["beta=0,1", "name=my sweep"], "my-sweep"),
        ([], "sweep"),
    ],
)
def test_a_sweep_is_named_by_what_it_sweeps_over(overrides: list[str], name: str) -> None:
    assert sweep_name(overrides) == name
