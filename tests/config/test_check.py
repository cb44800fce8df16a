from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ibdrop.config.check import check, problems, settings_without_effect
from ibdrop.errors import ConfigError

Config = dict[str, Any]

SOUND: Config = {
    "beta": 1e-3,
    "beta_units": "paper",
    "beta_warmup": 0.0,
    "seed": 0,
    "epochs": 1,
    "batch_size": 4,
    "name": "test",
    "output_dir": "outputs",
    "reestimate_batchnorm": True,
    "loggers": ["csv"],
    "model": {"_target_": "ibdrop.models.mlp.MLP"},
    "noise": {"_target_": "ibdrop.noise.baselines.BinaryNoise", "_partial_": True, "rate": 0.5},
    "init": {"_target_": "ibdrop.initialisers.default", "_partial_": True},
    "dataset": {"_target_": "ibdrop.data.digits.cluttered_digits"},
    "augment": {"_target_": "ibdrop.data.augment.Augmentation"},
    "optim": {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.1},
    "schedule": {"_target_": "ibdrop.learning.schedule.Constant"},
    "trainer": {"_target_": "ibdrop.learning.trainer.TrainerOptions", "device": "cpu"},
    "artifacts": {},
}

CUDA = (
    "trainer.device: CUDA was asked for, but this machine has no usable CUDA device; "
    "use trainer=auto or trainer=cpu"
)

MINE = """
from ibdrop.noise.baselines import NoNoise


class Loud(NoNoise):
    def __init__(self, channels: int, *, volume: float = 1.0) -> None:
        super().__init__(channels)
        if volume > 11:
            raise ValueError(f"volume={volume} is above 11")


class Cat:
    def __init__(self, noise: object) -> None: ...


def shape(network: object, *, gain: float) -> None: ...


value = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checked_mine.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)


def changed(**changes: object) -> Config:
    """The sound config with some keys, `__` standing for a dot, set or deleted by `...`."""
    config = copy.deepcopy(SOUND)
    for path, value in changes.items():
        *nodes, key = path.split("__")
        holder = config
        for node in nodes:
            holder = holder[node]
        if value is ...:
            del holder[key]
        else:
            holder[key] = value
    return config


def test_a_sound_config_passes() -> None:
    check(SOUND)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"beta": -1.0}, "beta: -1 is negative; the weight of the information term is 0 or more"),
        (
            {"beta": float("nan")},
            "beta: nan is not finite; the weight of the information term is 0 or more",
        ),
        (
            {"beta": float("inf")},
            "beta: inf is not finite; the weight of the information term is 0 or more",
        ),
        (
            {"beta_warmup": -0.5},
            "beta_warmup: -0.5 is negative; "
            "the number of epochs over which beta rises is 0 or more",
        ),
        ({"betta": 1}, "no such key 'betta'; did you mean 'beta'?"),
        ({"seed": -1}, "seed: -1 is negative; a seed is 0 or more"),
        ({"epochs": 0}, "epochs: 0 is too few; it is 1 or more"),
        ({"batch_size": -4}, "batch_size: -4 is too few; it is 1 or more"),
        (
            {"beta_units": "papr"},
            "beta_units: 'papr' is not one of 'paper', 'nats'; did you mean 'paper'?",
        ),
        (
            {"loggers": ["csv", "tensorbord"]},
            "loggers: 'tensorbord' is not one of 'csv', 'tensorboard', 'mlflow'"
            "; did you mean 'tensorboard'?",
        ),
        ({"noise": None}, "noise: is missing; choose one with noise=OPTION"),
        ({"model": ...}, "model: is missing; choose one with model=OPTION"),
        (
            {"model___target_": ...},
            "model._target_: is missing; it names the class, as in package.module.Class",
        ),
        (
            {"noise___target_": "my.Noise"},
            "noise._target_: cannot import 'my.Noise' (ModuleNotFoundError: No module named 'my')",
        ),
        (
            {"noise___partial_": ...},
            "noise._partial_: must be true; noise is called later by the run",
        ),
        (
            {"noise__raet": 0.1},
            "noise.raet: BinaryNoise takes no such argument; did you mean 'rate'?",
        ),
        ({"noise__channels": 3}, "noise.channels: is set by ibdrop; leave it out"),
        ({"model__num_classes": 3}, "model.num_classes: is set by ibdrop; leave it out"),
        ({"dataset__seed": 3}, "dataset.seed: is set by ibdrop; leave it out"),
        ({"noise__rate": "high"}, "noise.rate: 'high' is not a number"),
        (
            {"trainer__device": "gpu"},
            "trainer.device: 'gpu' is not one of 'auto', 'cpu', 'cuda'",
        ),
        (
            {"trainer__limit_steps": "few"},
            "trainer.limit_steps: 'few' is not a whole number or null",
        ),
        ({"trainer__limit_steps": 0}, "trainer: limit_steps: 0 is not above 0"),
        ({"optim__lr": -1}, "optim: Invalid learning rate: -1"),
        ({"artifacts": 3}, "artifacts: 3 is no mapping of names to artifacts"),
        (
            {"artifacts__heatmap": None},
            "artifacts.heatmap: None is no artifact; "
            "to leave an artifact out, write ~artifacts.heatmap",
        ),
        (
            {"artifacts__heatmap": {"_target_": "nowhere.Heatmap"}},
            "artifacts.heatmap._target_: cannot import 'nowhere.Heatmap' "
            "(ModuleNotFoundError: No module named 'nowhere')",
        ),
    ],
)
def test_one_problem_is_one_line(changes: dict[str, object], words: str) -> None:
    assert problems(changed(**changes)) == [words]


def test_all_problems_come_at_once() -> None:
    config = changed(beta=-1.0, seed=-1, noise__raet=0.1, schedule__rise=0.2)
    with pytest.raises(ConfigError) as caught:
        check(config)
    assert [line.partition(":")[0] for line in caught.value.problems] == [
        "beta",
        "seed",
        "noise.raet",
        "schedule.rise",
    ]


def test_cuda_is_asked_for_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert problems(changed(trainer__device="cuda")) == [CUDA]


def test_cuda_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert problems(changed(trainer__device="cuda")) == []


def test_a_logger_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert problems(changed(loggers=["mlflow"])) == [
        "loggers: mlflow is not installed; `pip install 'ibdrop[mlflow]'` brings it"
    ]


@pytest.mark.usefixtures("mine")
class TestClassesOfTheUser:
    def test_are_checked_by_their_signature(self) -> None:
        noise = {"_target_": "checked_mine.Loud", "_partial_": True, "volum": 3}
        assert problems(changed(noise=noise)) == [
            "noise.volum: Loud takes no such argument; did you mean 'volume'?"
        ]

    def test_refuse_before_anything_is_created(self) -> None:
        noise = {"_target_": "checked_mine.Loud", "_partial_": True, "volume": 12}
        assert problems(changed(noise=noise)) == ["noise: volume=12 is above 11"]

    def test_must_take_what_they_are_given(self) -> None:
        assert problems(changed(model={"_target_": "checked_mine.Cat"})) == [
            f"model._target_: Cat lacks '{name}', which every model is given"
            for name in ("in_channels", "image_size", "num_classes")
        ]

    def test_may_name_their_first_argument_freely(self) -> None:
        init = {"_target_": "checked_mine.shape", "_partial_": True}
        assert problems(changed(init=init)) == ["init.gain: is missing; shape needs it"]
        assert problems(changed(init=init | {"gain": 2})) == []

    def test_must_be_callable(self) -> None:
        assert problems(changed(schedule={"_target_": "checked_mine.value"})) == [
            "schedule._target_: 'checked_mine.value' is no class or function"
        ]

    def test_nodes_inside_nodes_are_checked_too(self) -> None:
        inner = {"_target_": "checked_mine.Loud", "channels": 1, "volum": 3}
        artifact = {"_target_": "checked_mine.Cat", "noise": inner}
        assert problems(changed(artifacts__cat=artifact)) == [
            "artifacts.cat.noise.volum: Loud takes no such argument; did you mean 'volume'?"
        ]


@pytest.mark.parametrize(
    ("target", "beta", "words"),
    [
        ("BinaryNoise", 0.5, ["beta=0.5 has no effect: BinaryNoise has no information term"]),
        ("BinaryNoise", 0.0, []),
        ("Nothing", 0.5, []),
    ],
)
def test_beta_without_an_information_term(target: str, beta: float, words: list[str]) -> None:
    config = changed(beta=beta, noise___target_=f"ibdrop.noise.baselines.{target}")
    assert settings_without_effect(config) == words


def test_beta_with_an_information_term() -> None:
    config = changed(noise___target_="ibdrop.noise.information.InformationNoise")
    assert settings_without_effect(config) == []


def test_checking_leaves_the_config_as_it_was() -> None:
    config = changed(optim__lr=-1)
    before = copy.deepcopy(config)
    problems(config)
    assert config == before


def test_functions_of_others_are_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[object] = []
    spy: Callable[..., None] = lambda *args, **kwargs: called.append(args)  # noqa: E731
    spy.__module__ = "someone.elses"
    monkeypatch.setattr("ibdrop.learning.schedule.Constant", spy)
    assert problems(SOUND) == []
    assert called == []
