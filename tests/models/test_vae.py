from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import LogNormal, Normal, kl_divergence
from torch.nn import functional as F

from ibdrop.models.latents import InformationLatent
from ibdrop.models.vae import VAE
from ibdrop.noise.baselines import BinaryNoise, NoNoise
from ibdrop.noise.draws import drawing_from
from ibdrop.noise.information import InformationNoise

LOG_NORMAL = partial(InformationNoise, prior="log_normal")
FORMS: dict[str, tuple[str, Any]] = {
    "gaussian": ("gaussian", NoNoise),
    "log_normal": ("information", LOG_NORMAL),
    "log_normal_unit_mean": ("information", partial(LOG_NORMAL, unit_mean=True)),
    "log_uniform": ("information", InformationNoise),
}
PROPER = ["gaussian", "log_normal", "log_normal_unit_mean"]


def tiny(form: str, **options: Any) -> VAE:
    torch.manual_seed(0)
    latent, noise = FORMS[form]
    given = {"hidden": [6], "latents": 2, "latent": latent, **options}
    return VAE(1, (3, 4), 10, noise, **given)


def pictures(count: int = 5) -> Tensor:
    return torch.rand(count, 1, 3, 4, generator=torch.Generator().manual_seed(0))


class Given:
    """The same draws for whoever asks."""

    def __init__(self, n: Tensor) -> None:
        self.n = n

    def normal(self, like: Tensor) -> Tensor:
        assert like.shape == self.n.shape
        return self.n

    uniform = normal

    def kept(self, f: Tensor, rate: float | Tensor, whole_channels: bool) -> Tensor:
        raise AssertionError


@pytest.mark.parametrize("form", FORMS)
def test_shapes_and_figures(form: str) -> None:
    model, x = tiny(form, latents=3), pictures()
    made = model(x)
    assert (made.output.shape, made.code.shape) == (x.shape, (5, 3))
    assert {name: kl.shape for name, kl in made.kls.items()} == {"z": (5, 3)}
    assert model.filters().shape == (6, 1, 3, 4)
    costs = model.costs(x, 0.3, 0.0)
    assert list(costs.figures) == ["ce", "kl"]
    expected = costs.figures["ce"] + 0.3 * costs.figures["kl"]
    torch.testing.assert_close(costs.loss, expected)
    assert list(model.judge(x)) == ["cost", "ce", "kl"]
    assert model.uses_noise == (form != "gaussian")


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_gets_a_gradient(form: str) -> None:
    model = tiny(form)
    model.costs(pictures(), 1.0, 0.0).loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.parametrize("form", FORMS)
def test_evaluation_is_deterministic_and_sampling_is_asked_for(form: str) -> None:
    model, x = tiny(form).eval(), pictures()
    assert torch.equal(model(x).output, model(x).output)
    assert not torch.equal(model(x).output, model(x, sample=True).output)


@pytest.mark.parametrize("form", FORMS)
def test_halves_are_priced_in_float32(form: str) -> None:
    model, x = tiny(form), pictures()
    with torch.autocast("cpu", torch.bfloat16):
        costs = model.costs(x, 1.0, 0.0)
    assert {figure.dtype for figure in costs.figures.values()} == {torch.float32}
    costs.loss.backward()


def test_hidden_layers_may_be_several_or_none() -> None:
    assert tiny("gaussian", hidden=[]).filters().shape == (2, 1, 3, 4)
    deep = tiny("gaussian", hidden=[6, 5])
    widths = [layer.weight.shape for layer in deep.decoder if isinstance(layer, nn.Linear)]
    assert widths == [(5, 2), (6, 5), (12, 6)]


def test_the_keras_network_has_its_404244_parameters() -> None:
    model = VAE(1, (28, 28), 10, InformationNoise, latent="information")
    assert sum(p.numel() for p in model.parameters()) == 404_244


class InLogSpace(nn.Module):
    """A Gaussian VAE of its own whose decoder starts with an exponential."""

    def __init__(self, source: VAE) -> None:
        super().__init__()
        assert isinstance(source.latent, InformationLatent)
        self.encoder, self.decoder = source.encoder, source.decoder
        self.f, self.a = source.latent.layer.affine, source.latent.layer.raw
        self.noise = source.latent.noise

    def loss(self, x: Tensor, n: Tensor) -> Tensor:
        assert self.a is not None
        h = self.encoder(x.flatten(1))
        mean = F.softplus(self.f(h)).log()
        deviation = 0.001 + 0.7 * torch.sigmoid(self.a(h))
        zeta = mean + deviation * n
        prior = Normal(self.noise.mu, self.noise.log_sigma.exp())
        kl = kl_divergence(Normal(mean, deviation), prior).sum(1)
        output = self.decoder(zeta.exp())
        ce = F.binary_cross_entropy_with_logits(output, x.flatten(1), reduction="none").sum(1)
        return (ce + kl).mean()


@pytest.mark.parametrize("prior", [(0.0, 1.0), (0.4, 0.7)])
def test_information_dropout_is_the_gaussian_vae_in_log_space(prior: tuple[float, float]) -> None:
    """Softplus and a log-normal prior: same noise, same loss, same gradients."""
    model, x = tiny("log_normal").double(), pictures().double()
    assert isinstance(model.latent, InformationLatent)
    with torch.no_grad():
        model.latent.noise.mu.fill_(prior[0])
        model.latent.noise.log_sigma.fill_(math.log(prior[1]))
    n = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    with drawing_from(Given(n)):
        loss = model.costs(x, 1.0, 0.0).loss
    other = InLogSpace(model).loss(x, n)
    assert loss.item() == pytest.approx(other.item(), abs=1e-12)
    parameters = list(model.parameters())
    pairs = zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(other, parameters), strict=True
    )
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("form", PROPER)
def test_the_price_is_torchs_divergence(form: str) -> None:
    """KL(logN || logN) = KL(N || N); of the Gaussian code, against N(0, 1)."""
    model, x = tiny(form).double(), pictures().double()
    if isinstance(model.latent, InformationLatent):
        with torch.no_grad():
            model.latent.noise.mu.fill_(-0.3)
            model.latent.noise.log_sigma.fill_(0.2)
    location, log_scale = model.latent.posterior(model.encoder(x.flatten(1)))
    start, log_width = model.latent.prior()
    q, p = (location, log_scale.exp()), (start, log_width.exp())
    kl = model(x).kls["z"]
    torch.testing.assert_close(kl, kl_divergence(Normal(*q), Normal(*p)))
    torch.testing.assert_close(kl, kl_divergence(LogNormal(*q), LogNormal(*p)))


@pytest.mark.parametrize(("alpha", "measured"), [(0.05, 5.266), (0.2, 3.879), (0.7, 2.627)])
def test_the_log_uniform_price_by_monte_carlo(alpha: float, measured: float) -> None:
    """Against a density that is uniform over log z in a window of 40 nats."""
    torch.manual_seed(0)
    f = torch.full((400_000, 1), 1.7, dtype=torch.float64)
    raw = torch.full_like(f, (alpha - 0.001) / 0.7001).logit()
    noisy = InformationNoise(1, max_alpha=0.7001)(f, raw, sample=True)
    assert noisy.kl is not None
    location = noisy.z.log()
    assert location.abs().max() < 20
    monte_carlo = Normal(f.log(), alpha).log_prob(location).mean().item() + math.log(40)
    constant = math.log(40) - math.log(0.7011) - 0.5 * math.log(2 * math.pi * math.e)
    assert noisy.kl[0].item() + constant == pytest.approx(measured, abs=5e-4 + 3e-3)
    assert noisy.kl[0].item() + constant == pytest.approx(monte_carlo, abs=5e-3)


@pytest.mark.parametrize("form", PROPER)
def test_the_mean_weight_is_the_negative_cost(form: str) -> None:
    """By two routes: sampled log p - log q, and sampled reconstruction with the exact KL."""
    model, x = tiny(form).double().eval(), pictures(2).double()
    torch.manual_seed(0)
    weights = model.log_weights(x, 40_000)
    assert weights is not None
    assert weights.shape == (40_000, 2)
    costs = model.judge(x.repeat(40_000, 1, 1, 1))["cost"].view(-1, 2)
    error = (weights.var(0) + costs.var(0)).div(40_000).sqrt()
    assert ((weights.mean(0) + costs.mean(0)).abs() < 4 * error).all()


@pytest.mark.parametrize("form", PROPER)
def test_weights_lead_to_the_evidence(form: str) -> None:
    """The truth by integrating p(zeta) p(x | zeta) over a grid of one latent unit."""
    model, x = tiny(form, latents=1).double().eval(), pictures(3).double()
    if isinstance(model.latent, InformationLatent):
        with torch.no_grad():
            model.latent.noise.mu.fill_(-0.4)
            model.latent.noise.log_sigma.fill_(math.log(0.4))
    grid = torch.linspace(-12, 12, 24_001, dtype=torch.float64)[:, None]
    start, log_width = model.latent.prior()
    prior = Normal(start, log_width.exp()).log_prob(grid[:, 0])
    output = model.decode(model.latent.code(grid))
    truth = [
        torch.logsumexp(prior - model.nll(output, one.expand_as(output)), 0) + math.log(1e-3)
        for one in x
    ]
    torch.manual_seed(0)
    weights = model.log_weights(x, 100_000)
    assert weights is not None
    found = weights.logsumexp(0) - math.log(100_000)
    torch.testing.assert_close(found, torch.stack(truth), rtol=0, atol=0.02)
    assert (weights.mean(0) < found).all()


def test_grey_pixels_bound_the_likelihood_of_their_black_and_white_versions() -> None:
    """Exactly, over all 64 versions of 6 pixels, each as probable as the grey values say."""
    torch.manual_seed(0)
    model = VAE(1, (2, 3), 10, NoNoise, hidden=[6], latents=1).double()
    with torch.no_grad():
        model.decoder[-1].weight.mul_(8)  # type: ignore[operator]
    grid = torch.linspace(-8, 8, 1601, dtype=torch.float64)[:, None]
    output = model.decode(grid)
    prior = Normal(0.0, 1.0).log_prob(grid[:, 0]) + math.log(0.01)

    def evidence(x: Tensor) -> Tensor:
        return torch.logsumexp(prior - model.nll(output, x.expand_as(output)), 0)

    grey = torch.rand(1, 2, 3, dtype=torch.float64)
    versions = torch.cartesian_prod(*[torch.tensor([0.0, 1.0]).double()] * 6).view(64, 1, 2, 3)
    shares = (versions * grey + (1 - versions) * (1 - grey)).flatten(1).prod(1)
    likelihood = (shares * torch.stack([evidence(x) for x in versions])).sum()
    assert evidence(grey) < likelihood
    assert likelihood - evidence(grey) < 1.0


def test_what_has_no_proper_prior_has_no_bound() -> None:
    model = tiny("log_uniform")
    assert not model.is_bound
    assert model.log_weights(pictures(), 3) is None
    assert model.codes(3) is None
    assert all(tiny(form).is_bound for form in PROPER)


def test_codes_follow_the_prior() -> None:
    torch.manual_seed(1)
    gaussian, positive = tiny("gaussian"), tiny("log_normal")
    assert isinstance(positive.latent, InformationLatent)
    with torch.no_grad():
        positive.latent.noise.mu.fill_(0.5)
        positive.latent.noise.log_sigma.fill_(math.log(0.3))
    for model, mean, sd in [(gaussian, 0.0, 1.0), (positive, 0.5, 0.3)]:
        drawn = model.codes(20_000)
        assert drawn is not None
        assert drawn.shape == (20_000, 2)
        zeta = drawn if model is gaussian else drawn.log()
        assert zeta.mean().item() == pytest.approx(mean, abs=0.03)
        assert zeta.std().item() == pytest.approx(sd, rel=0.03)


@pytest.mark.parametrize(
    ("form", "options", "words"),
    [
        (
            "gaussian",
            {"latent": "laplace"},
            "latent=laplace: must be one of gaussian, information",
        ),
        ("gaussian", {"latents": 0}, "latents=0: the code needs at least 1 unit"),
        ("gaussian", {"hidden": [5, 0]}, r"hidden=\[5, 0\]: every layer needs at least 1 unit"),
        ("gaussian", {"activation": "tanh"}, "activation=tanh: must be one of"),
        ("gaussian", {"code_activation": "tanh"}, "code_activation=tanh: must be one of auto"),
        ("gaussian", {"likelihood": "poisson"}, "likelihood=poisson: must be one of"),
        ("log_normal", {"code_activation": "relu"}, "prior=log_normal needs softplus"),
        ("gaussian", {"latent": "information"}, "by noise=information, not NoNoise"),
    ],
)
def test_mistakes_are_named(form: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tiny(form, **options)


def test_another_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="by noise=information, not BinaryNoise"):
        VAE(1, (3, 4), 10, BinaryNoise, latent="information")
