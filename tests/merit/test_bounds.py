from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from ibdrop.merit.bounds import Bounds, elbo_and_nll, of_weights
from ibdrop.models.generative import Autoencoder, Costs, Reconstruction
from ibdrop.models.vae import VAE
from ibdrop.noise.base import Noisy
from ibdrop.noise.baselines import NoNoise
from ibdrop.noise.draws import standard_normal
from ibdrop.noise.information import InformationNoise

DEVIATION = 0.5


class Linear(Autoencoder):
    """z ~ N(0, 1), x ~ N(A z, 1/4): all is known, and the posterior is a poor one on purpose."""

    is_bound = True

    def __init__(self) -> None:
        super().__init__((1, 2, 2))
        drawn = torch.randn(4, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        self.a = nn.Parameter(drawn)

    def posterior(self, x: Tensor) -> Normal:
        precision = torch.eye(2).double() + self.a.T @ self.a / DEVIATION**2
        mean = torch.linalg.solve(precision, self.a.T @ x.flatten(1).T / DEVIATION**2).T
        return Normal(0.8 * mean, 1.3 * precision.inverse().diagonal().sqrt())

    def truth(self, x: Tensor) -> Tensor:
        covariance = self.a @ self.a.T + DEVIATION**2 * torch.eye(4)
        law = MultivariateNormal(torch.zeros(4).double(), covariance)
        found: Tensor = law.log_prob(x.flatten(1))
        return found.detach()

    def log_weights(self, x: Tensor, m: int) -> Tensor:
        q = self.posterior(x.repeat(m, 1, 1, 1))
        z = q.loc + q.scale * standard_normal(q.loc)
        given: Tensor = Normal(z @ self.a.T, DEVIATION).log_prob(x.flatten(1).repeat(m, 1)).sum(1)
        ratio: Tensor = (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(1)
        return (given + ratio).view(m, len(x))

    def forward(self, x: Tensor, sample: bool | None = None) -> Reconstruction:
        z = self.posterior(x).loc
        return Reconstruction(self.decode(z), z, {"z": Noisy(z)})

    def decode(self, code: Tensor) -> Tensor:
        return (code @ self.a.T).view(-1, 1, 2, 2)

    def costs(self, x: Tensor, b: float, progress: float) -> Costs:
        raise NotImplementedError


def samples(count: int = 50) -> Tensor:
    return torch.randn(count, 1, 2, 2, dtype=torch.float64, generator=torch.manual_seed(1))


def bounds(model: Autoencoder, x: Tensor, m: int, tile: int = 4096, seed: int = 0) -> Bounds:
    found = elbo_and_nll(model.eval(), x, torch.arange(len(x)), seed, m, tile)
    assert found is not None
    return found


def test_the_bound_goes_to_the_truth() -> None:
    model, x = Linear(), samples()
    found, truth = bounds(model, x, 20_000), model.truth(x)
    torch.testing.assert_close(found.bound, truth, rtol=0, atol=0.05)
    assert ((found.bound - truth).abs() < 5 * found.bound_error).all()
    assert (found.elbo < truth - 0.01).all()


def test_the_bound_rises_with_m_from_the_elbo() -> None:
    model, x = Linear(), samples()
    means = [bounds(model, x, m).bound.mean().item() for m in (1, 4, 16, 256)]
    assert means == sorted(means)
    assert means[-1] - means[0] > 0.1
    for m in (2, 16, 256):
        found = bounds(model, x, m)
        assert (found.elbo <= found.bound).all()
        assert (found.effective >= 1).all()
        assert (found.effective <= m).all()


def test_the_elbo_is_unbiased() -> None:
    """E log p(x, z) - log q(z) in closed form, and one draw for each of many numbers."""
    model, x = Linear(), samples(1).expand(20_000, 1, 2, 2)
    q = model.posterior(x[:1])
    mean, scale = q.loc[0], q.scale[0]
    rest = (x[0].flatten() - model.a @ mean).square().sum()
    rest = rest + (model.a.square() @ scale.square()).sum()
    given = -rest / (2 * DEVIATION**2) - 4 * math.log(DEVIATION * math.sqrt(2 * math.pi))
    kl = ((scale.square() + mean.square() - 1) / 2 - scale.log()).sum()
    found = bounds(model, x, 1)
    error = found.elbo.std() / math.sqrt(len(x))
    assert abs(found.elbo.mean() - (given - kl).detach()) < 4 * error
    assert found.elbo_error.isnan().all()


def test_errors_are_what_other_seeds_show() -> None:
    model, x = Linear(), samples(20)
    runs = [bounds(model, x, 400, seed=seed) for seed in range(60)]
    for value, error in [("elbo", "elbo_error"), ("bound", "bound_error")]:
        spread = torch.stack([getattr(run, value) for run in runs]).std(0)
        said = torch.stack([getattr(run, error) for run in runs]).mean(0)
        assert (spread / said).mean().item() == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("tile", [3, 64, 4096])
@pytest.mark.parametrize("batch", [1, 7, 50])
def test_batches_tiles_and_order_change_nothing(batch: int, tile: int) -> None:
    model, x, index = Linear(), samples(), torch.arange(50)
    whole = bounds(model, x, 40)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(2))
    parts = []
    for some in order.split(batch):
        found = elbo_and_nll(model, x[some], index[some], 0, 40, tile)
        assert found is not None
        parts.append(found)
    for expected, column in zip(whole, zip(*parts, strict=True), strict=True):
        torch.testing.assert_close(torch.cat(column), expected[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("prior", [None, "log_normal"])
def test_vaes_give_the_same_whatever_the_batch(prior: str | None) -> None:
    torch.manual_seed(0)
    if prior is None:
        model = VAE(1, (3, 4), 10, NoNoise, hidden=[8])
    else:
        model = VAE(
            1, (3, 4), 10, lambda k: InformationNoise(k, prior=prior), latent="information"
        )
    x = torch.rand(50, 1, 3, 4)
    whole = bounds(model, x, 30)
    assert (whole.elbo <= whole.bound).all()
    for batch in (1, 7):
        parts = [
            elbo_and_nll(model, x[some], some, 0, 30) for some in torch.arange(50).split(batch)
        ]
        bound = torch.cat([part.bound for part in parts if part is not None])
        torch.testing.assert_close(bound, whole.bound, rtol=1e-6, atol=1e-5)


def test_draws_leave_the_generator_alone() -> None:
    model, x = Linear(), samples(3)
    before = torch.get_rng_state()
    bounds(model, x, 10)
    assert torch.equal(before, torch.get_rng_state())


def test_another_seed_is_another_estimate() -> None:
    model, x = Linear(), samples(3)
    assert not torch.equal(bounds(model, x, 10).elbo, bounds(model, x, 10, seed=1).elbo)


def test_an_improper_prior_has_no_bound() -> None:
    model = VAE(1, (3, 4), 10, InformationNoise, latent="information").eval()
    assert elbo_and_nll(model, torch.rand(2, 1, 3, 4), torch.arange(2), 0, 5) is None


def test_mistakes_are_named() -> None:
    model, x = Linear(), samples(2)
    with pytest.raises(ValueError, match="m=0, tile=4096: both must be at least 1"):
        elbo_and_nll(model.eval(), x, torch.arange(2), 0, 0)
    with pytest.raises(ValueError, match="training mode"):
        elbo_and_nll(model.train(), x, torch.arange(2), 0, 5)


def test_weights_of_any_size_are_summed_in_log_space() -> None:
    w = torch.tensor([[-2000.0, 900.0], [-2001.0, 900.0]])
    found = of_weights(w)
    expected = -2000 + math.log((1 + math.exp(-1)) / 2)
    assert found.bound.tolist() == pytest.approx([expected, 900.0])
    assert found.effective[1].item() == pytest.approx(2)
    assert found.bound_error[1].item() == pytest.approx(0, abs=1e-6)
