"""From a configuration: what an initialisation is given, and what becomes of its refusals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from torch import Tensor, nn

from ibdrop import build
from ibdrop.cli.hooks import plain, visible
from ibdrop.config.location import conf_dir
from ibdrop.config.schema import register, version_base
from ibdrop.data.base import ImageData
from ibdrop.errors import ConfigError

TINY = ("dataset=digits", "model=mlp", "model.width=40", "artifacts=none", "trainer=cpu")

Compose = Callable[..., dict[str, Any]]


@pytest.fixture
def composed() -> Iterator[Compose]:
    """Composes as `ibdrop train` does."""
    register()
    GlobalHydra.instance().clear()

    def run(*overrides: str) -> dict[str, Any]:
        config = compose("train", [*TINY, *overrides], return_hydra_config=True)
        with visible(config):
            return plain(config)

    with initialize_config_dir(str(conf_dir()), job_name="train", **version_base()):
        yield run


def weights(model: nn.Module) -> list[Tensor]:
    return [p.detach() for p in model.parameters() if p.ndim > 1]


def test_lsuv_is_handed_a_training_batch_that_the_seed_decides(composed: Compose) -> None:
    experiment = build.experiment(composed("init=lsuv", "noise=none", "batch_size=64"))
    data, model = experiment.data, experiment.module.model
    x = data.inputs(data.train.batch(torch.arange(200)).images)
    with torch.no_grad():
        assert float(model.hidden["D1"].affine(x.flatten(1)).var()) == pytest.approx(1, abs=0.2)
        assert float(model(x).logits.var()) == pytest.approx(1, abs=0.4)
    again = experiment.fresh_model()
    assert all(map(torch.equal, weights(again), weights(model)))
    other = build.experiment(composed("init=lsuv", "noise=none", "batch_size=64", "seed=1"))
    assert not torch.equal(weights(other.module.model)[0], weights(model)[0])


def test_building_draws_nothing_from_outside(composed: Compose) -> None:
    config = composed("init=lsuv", "init.noise_on=true", "noise=binary")
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = build.experiment(config).module.model
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert all(map(torch.equal, weights(build.experiment(config).module.model), weights(first)))


def test_noisy_he_knows_the_noise_of_the_run(composed: Compose) -> None:
    noise = ("noise=constant_lognormal", "noise.alpha=0.7", "noise.unit_mean=false")
    he, ours = (
        weights(build.experiment(composed(*noise, f"init={name}")).module.model)
        for name in ("he_normal", "noisy_he")
    )
    factors = [float(a.square().sum() / b.square().sum()) for a, b in zip(he, ours, strict=True)]
    assert factors == pytest.approx([1] + [math.exp(0.98)] * (len(factors) - 1), rel=1e-4)


def test_without_data_no_batch_is_looked_at(composed: Compose) -> None:
    config = composed("init=lsuv", "noise=none")
    data: ImageData = build.data(config)
    bare, seen = build.model(config, data.spec), build.model(config, data.spec, data)
    for one, other in zip(weights(bare), weights(seen), strict=True):
        ratio = one / other
        assert torch.allclose(ratio, ratio[0, 0].expand_as(ratio), rtol=1e-3)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("init=he_normal", "init.gain=swish"), r"^init: gain=swish: must be a number above 0, "),
        (("init=gaussian001", "init.std=0"), r"^init: std=0: a standard deviation must be "),
        (("init=lsuv", "init.tries=0"), r"^init: tries=0: a layer must be rescaled at least once"),
        (
            ("init=delta_orthogonal", "model=deepnet", "model.kind=conv", "model.kernel=2"),
            r"^init: delta_orthogonal needs odd kernels, and hidden\.D2\.affine has 2 x 2: ",
        ),
    ],
)
def test_a_refusal_is_the_users_to_mend(
    composed: Compose, overrides: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build.experiment(composed(*overrides))
