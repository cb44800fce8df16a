"""What variational autoencoders become in training: bounds that hold, and one that is none."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor

from ibdrop.initialisers import glorot_uniform
from ibdrop.models.latents import InformationLatent
from ibdrop.models.vae import VAE
from ibdrop.noise.baselines import NoNoise
from ibdrop.noise.information import InformationNoise

if TYPE_CHECKING:
    from tests.models.conftest import Digits

FORMS: dict[str, tuple[str, Any]] = {
    "gaussian": ("gaussian", NoNoise),
    "log_normal": ("information", partial(InformationNoise, prior="log_normal")),
    "log_uniform": ("information", InformationNoise),
}


def stripes() -> Tensor:
    """Sixteen black and white pictures of 4 x 4 pixels: each row is on or off."""
    rows = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 4)
    return rows[:, None, :, None].expand(16, 1, 4, 4).contiguous()


def trained(form: str, b: float, steps: int = 600) -> tuple[VAE, dict[str, float]]:
    torch.manual_seed(0)
    latent, noise = FORMS[form]
    given: dict[str, Any] = {"latent": latent, "hidden": [32], "latents": 4}
    model, x = VAE(1, (4, 4), 10, noise, **given), stripes().repeat(4, 1, 1, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(steps):
        costs = model.costs(x, b, 0.0)
        optimizer.zero_grad()
        costs.loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        found = model.judge(x.repeat(10, 1, 1, 1))
        strength = model(x, sample=False).layers["z"].alpha
    return model, {
        **{name: value.mean().item() for name, value in found.items()},
        "alpha": strength.mean().item(),
    }


@pytest.mark.parametrize("form", ["gaussian", "log_normal"])
def test_beta_moves_between_an_autoencoder_and_the_mean_image(form: str) -> None:
    _, little = trained(form, 0.01)
    _, one = trained(form, 1.0)
    _, much = trained(form, 100.0)
    assert little["alpha"] < one["alpha"] < much["alpha"]
    assert little["kl"] > one["kl"] > much["kl"]
    assert little["ce"] < one["ce"] < much["ce"]
    assert little["ce"] < 0.5
    assert much["kl"] < 0.1
    assert much["ce"] == pytest.approx(16 * math.log(2), rel=0.05)


@pytest.mark.parametrize("form", ["gaussian", "log_normal"])
def test_no_bound_is_below_the_entropy_of_the_data(form: str) -> None:
    """Sixteen equally likely pictures: no model says less than log 16 nats on average."""
    _, one = trained(form, 1.0)
    assert math.log(16) < one["cost"] < 1.6 * math.log(16)


@pytest.mark.parametrize("b", [1.0, 100.0])
def test_the_log_uniform_cost_is_no_bound(b: float) -> None:
    """It goes far below the entropy of the data: alphas at the cap, and locations cost nothing."""
    _, found = trained("log_uniform", b)
    assert found["cost"] < 0.2 * math.log(16)
    assert found["alpha"] == pytest.approx(0.701, rel=1e-2)


def test_a_dead_unit_with_all_the_noise_there_is_stays_finite() -> None:
    """Where the Keras form has 0 * exp(infinity), since nothing caps its alpha."""
    model = VAE(1, (3, 4), 10, InformationNoise, latent="information", hidden=[6])
    assert isinstance(model.latent, InformationLatent)
    assert model.latent.layer.raw is not None
    with torch.no_grad():
        model.latent.layer.raw.bias.fill_(1e4)  # type: ignore[union-attr]
        model.latent.layer.affine.bias.fill_(-1e4)  # type: ignore[union-attr]
    loss = model.costs(torch.rand(5, 1, 3, 4), 1.0, 0.0).loss
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def learn(model: VAE, x: Tensor, epochs: int, steps: int | None = None) -> None:
    """Adam at 1e-3 on batches of 100; stops within an epoch after so many steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for place in torch.randperm(len(x)).split(100)[:steps]:
            costs = model.costs(x[place], 1.0, 0.0)
            assert costs.loss.isfinite()
            optimizer.zero_grad()
            costs.loss.backward()
            optimizer.step()


def network(seed: int, form: str = "log_uniform") -> VAE:
    """The Keras network, 784-256-2-256-784, with its initialisation."""
    torch.manual_seed(seed)
    latent, noise = FORMS[form]
    given: dict[str, Any] = {"latent": latent}
    model = VAE(1, (28, 28), 10, noise, **given)
    glorot_uniform(model)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_capped_information_dropout_stays_finite(seed: int, theano_mnist: Digits) -> None:
    """300 steps, within which two of three seeds break down where alpha has no cap."""
    model = network(seed)
    learn(model, theano_mnist.train, 1, 300)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "cost"), [("log_uniform", 158.7), ("gaussian", 160.6), ("log_normal", 161.5)]
)
def test_eight_epochs_on_digits(form: str, cost: float, theano_mnist: Digits) -> None:
    """Five seeds: 158.3 to 159.5, 160.3 to 161.3, 160.3 to 162.5 nats."""
    model = network(0, form)
    learn(model, theano_mnist.train, 8)
    with torch.no_grad():
        found = torch.cat([model.judge(x)["cost"] for x in theano_mnist.test.split(1000)])
    assert found.mean().item() == pytest.approx(cost, abs=3)
