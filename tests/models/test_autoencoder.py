from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch.func import jacrev, vmap
from torch.nn import functional as F

from ibdrop.models.autoencoder import ShallowAutoencoder
from ibdrop.models.penalties import contraction, keep_largest, sparsity
from ibdrop.noise.baselines import NoNoise

X = torch.rand(20, 1, 6, 7, generator=torch.Generator().manual_seed(0))


def network(seed: int = 0, channels: int = 1, **options: Any) -> ShallowAutoencoder:
    torch.manual_seed(seed)
    return ShallowAutoencoder(channels, (6, 7), 10, NoNoise, **{"hidden": 12, **options})


def test_a_tied_network_has_one_matrix() -> None:
    names = {name: tuple(p.shape) for name, p in network().named_parameters()}
    assert names == {"bias": (42,), "encoder.weight": (12, 42), "encoder.bias": (12,)}
    assert len(list(network(tied=False).parameters())) == 4


@pytest.mark.parametrize("tied", [True, False])
def test_the_cost_is_the_formula(tied: bool) -> None:
    found = network(tied=tied).double()
    x = X.double()
    flat, weight, b = x.flatten(1), found.encoder.weight, found.encoder.bias
    y = 1 / (1 + torch.exp(-(flat @ weight.T + b)))
    if found.decoder is None:
        z = 1 / (1 + torch.exp(-(y @ weight + found.bias)))
    else:
        z = 1 / (1 + torch.exp(-(y @ found.decoder.weight.T + found.decoder.bias)))
    expected = -(flat * z.log() + (1 - flat) * (1 - z).log()).sum(1)
    assert torch.allclose(found.judge(x)["cost"], expected, rtol=1e-12)
    costs = found.costs(x, 0.0, 0.0)
    assert torch.allclose(costs.loss, expected.mean(), rtol=1e-12)
    assert set(costs.figures) == {"ce"}
    assert found(x).output.shape == x.shape
    assert found(x).code.shape == (20, 12)


@pytest.mark.parametrize("level", [None, 0.4])
@pytest.mark.parametrize(("count", "channels", "hidden"), [(20, 1, 12), (7, 3, 40), (1, 1, 1)])
def test_the_step_by_hand_is_that_of_autograd(
    level: float | None, count: int, channels: int, hidden: int
) -> None:
    x = torch.rand(count, channels, 6, 7, generator=torch.Generator().manual_seed(2))
    options: dict[str, Any] = {"hidden": hidden}
    if level is not None:
        options |= {"variant": "denoising", "level": level}
    one, other = (network(channels=channels, **options) for _ in range(2))
    optimizers = [torch.optim.SGD(each.parameters(), lr=0.1) for each in (one, other)]
    fused = one.fused(optimizers[0])
    assert fused is not None
    for step in range(5):
        torch.manual_seed(step)
        cost = fused(x, 0.1)
        torch.manual_seed(step)
        optimizers[1].zero_grad()
        found = other.costs(x, 0.0, 0.0)
        found.loss.backward()
        optimizers[1].step()
        assert float(cost) == pytest.approx(found.figures["ce"].item(), rel=1e-6)
    for name, parameter in one.named_parameters():
        assert torch.allclose(parameter, other.get_parameter(name), atol=1e-5), name


def test_the_step_by_hand_goes_where_the_weights_go() -> None:
    """Batches of another size, weights read from a checkpoint, weights moved or converted."""
    found, other = network(), network(seed=1)
    step = found.fused(torch.optim.SGD(found.parameters(), lr=0.1))
    assert step is not None
    step(X, 0.1)
    assert float(step(X[:3], 0.0)) == pytest.approx(found.judge(X[:3])["cost"].mean().item())
    found.load_state_dict(other.state_dict())
    assert float(step(X, 0.0)) == pytest.approx(other.judge(X)["cost"].mean().item())
    found.double()
    before = found.encoder.weight.clone()
    assert float(step(X.double(), 0.1)) == pytest.approx(other.judge(X)["cost"].mean().item())
    assert not torch.equal(found.encoder.weight, before)
    assert found.encoder.weight.requires_grad


def test_the_step_by_hand_is_for_what_it_does() -> None:
    def of(optimizer: type[torch.optim.Optimizer] = torch.optim.SGD, **options: Any) -> object:
        found = network(**options.pop("network", {}))
        return found.fused(optimizer(found.parameters(), lr=0.1, **options))

    assert of() is not None
    assert of(network={"variant": "denoising"}) is not None
    assert of(momentum=0.9) is None
    assert of(weight_decay=0.1) is None
    assert of(maximize=True) is None
    assert of(torch.optim.Adam) is None
    for options in (
        {"tied": False},
        {"likelihood": "gaussian"},
        {"activation": "tanh"},
        {"variant": "sparse"},
        {"variant": "k_sparse", "k": 3},
        {"variant": "contractive"},
        {"variant": "denoising", "emphasis": [1.0, 0.5]},
    ):
        assert of(network=options) is None


def test_contraction_is_the_norm_of_the_jacobian() -> None:
    found = network().double()
    x = X.double()
    jacobian = vmap(jacrev(lambda one: torch.sigmoid(found.encoder(one))))(x.flatten(1))
    expected = jacobian.square().sum((1, 2))
    y = found(x).code
    assert torch.allclose(contraction(y, found.encoder.weight), expected, rtol=1e-10)
    assert torch.allclose(found.judge(x)["jacobian"], expected, rtol=1e-10)


def test_the_contractive_penalty_has_a_gradient() -> None:
    """That of the Deep Learning Tutorials has had none since 2016, by a floor division."""
    found = network(variant="contractive", weight=0.1)
    costs = found.costs(X, 0.0, 0.0)
    (gradient,) = torch.autograd.grad(costs.figures["penalty"], found.encoder.weight)
    assert float(gradient.abs().min()) > 0
    assert float(costs.loss) == pytest.approx(float(sum(costs.figures.values())), rel=1e-6)


def test_sparsity_is_a_divergence() -> None:
    mean = torch.tensor([0.05, 0.2, 0.01], dtype=torch.float64)
    on, off = 0.05 * (0.05 / mean).log(), 0.95 * (0.95 / (1 - mean)).log()
    assert float(sparsity(mean, 0.05)) == pytest.approx(float((on + off).sum()), rel=1e-12)
    assert float(sparsity(mean[:1], 0.05)) == pytest.approx(0, abs=1e-12)


def test_the_activity_is_a_running_mean_with_the_gradient_of_the_batch() -> None:
    found = network(variant="sparse", weight=1.0, rho=0.1).double()
    y = torch.sigmoid(found.encoder(X.double().flatten(1)))
    running = 0.95 * found.activity + 0.05 * y.mean(0)
    expected = sparsity(running.detach() + (y.mean(0) - y.mean(0).detach()), 0.1)
    (by_hand,) = torch.autograd.grad(expected, found.encoder.weight)
    penalty = found.costs(X.double(), 0.0, 0.0).figures["penalty"]
    (gradient,) = torch.autograd.grad(penalty, found.encoder.weight)
    assert float(penalty.detach()) == pytest.approx(float(expected.detach()), rel=1e-9)
    assert torch.allclose(gradient, by_hand, rtol=1e-9)
    assert torch.allclose(found.activity, running.detach(), rtol=1e-12)


def test_judging_leaves_the_running_mean_alone() -> None:
    found = network(variant="sparse")
    before = found.activity.clone()
    found.judge(X)
    found(X)
    assert torch.equal(found.activity, before)


def test_k_sparse_keeps_exactly_k_units_and_their_gradients() -> None:
    found = network(variant="k_sparse", k=3, k_test=5)
    y = found.encode(X, 3)
    assert (y != 0).sum(1).tolist() == [3] * 20
    assert torch.equal(
        y[y != 0].view(20, 3).min(1).values, found.encoder(X.flatten(1)).topk(3).values[:, 2]
    )
    assert (found(X).code != 0).sum(1).tolist() == [5] * 20
    assert found.judge(X)["active"].tolist() == pytest.approx([5 / 12] * 20)
    a = torch.randn(4, 6, requires_grad=True)
    keep_largest(a, 2).sum().backward()
    assert a.grad is not None
    assert (a.grad == 1).sum(1).tolist() == [2] * 4


@pytest.mark.parametrize(
    ("progress", "anneal", "kept"),
    [(0.0, 0.5, 12), (0.25, 0.5, 7), (0.5, 0.5, 3), (1.0, 0.5, 3), (0.0, 0.0, 3)],
)
def test_k_falls_to_its_value(progress: float, anneal: float, kept: int) -> None:
    found = network(variant="k_sparse", k=3, k_anneal=anneal)
    assert found._kept(progress) == kept


def test_corrupted_pixels_count_as_much_as_is_wished() -> None:
    found = network(variant="denoising", level=0.4, emphasis=[1.0, 0.25])
    torch.manual_seed(3)
    costs = found.costs(X, 0.0, 0.0)
    torch.manual_seed(3)
    shown = found._corrupt(X)
    assert shown is not None
    output = found.decode(found.encode(shown.x, 12))
    each = F.binary_cross_entropy_with_logits(output, X, reduction="none")
    weighed = (each * torch.where(shown.hit, 1.0, 0.25)).flatten(1).sum(1).mean()
    assert torch.allclose(costs.loss, weighed)
    assert torch.allclose(costs.figures["ce"], each.flatten(1).sum(1).mean())


def test_clean_and_corrupted_images_are_judged() -> None:
    found = network(variant="denoising", level=0.6)
    judged = found.judge(X)
    assert torch.equal(judged["cost"], network().judge(X)["cost"])
    assert not torch.equal(judged["ce_corrupted"], judged["ce"])
    assert "ce_corrupted" not in network().judge(X)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
def test_units_need_not_be_sigmoid(activation: str) -> None:
    found = network(activation=activation)
    a = found.encoder(X.flatten(1))
    assert torch.allclose(found(X).code, getattr(torch.nn.functional, activation)(a))
    judged = found.judge(X)
    assert "jacobian" not in judged
    expected = (a > 0).float().mean(1) if activation == "relu" else torch.ones(20)
    assert torch.allclose(judged["active"], expected)


def test_colour_pictures_keep_their_shape() -> None:
    found = network(channels=3)
    x = torch.rand(2, 3, 6, 7)
    assert found(x).output.shape == x.shape
    assert found.filters().shape == (12, 3, 6, 7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"variant": "sparsse"},
            "variant=sparsse: must be one of plain, denoising, sparse, k_spa",
        ),
        ({"hidden": 0}, "hidden=0: must be at least 1."),
        ({"activation": "elu"}, "activation=elu: must be one of sigmoid, tanh, relu, softplus."),
        (
            {"variant": "contractive", "activation": "tanh"},
            "activation=tanh: variant=contractive leaves it at sigmoid, as its penalty is that of",
        ),
        (
            {"variant": "k_sparse", "k": 3, "activation": "relu"},
            "activation=relu: variant=k_sparse leaves it at sigmoid, as its code is linear, what",
        ),
        ({"variant": "k_sparse", "k": 13}, "k=13: must be 1 to 12, the number of units."),
        ({"variant": "k_sparse", "k": 3, "k_test": 20}, "k_test=20: must be 1 to 12, the number"),
        ({"variant": "k_sparse", "k": 3, "k_anneal": 2.0}, "k_anneal=2.0: the share of the run"),
        ({"rho": 1.0}, "rho=1.0: the activity that is asked for must be in (0, 1)."),
        ({"weight": -1.0}, "weight=-1.0: must be 0 or more."),
        ({"emphasis": [1.0]}, "emphasis=[1.0]: must be two numbers from 0 on, not both 0: what a"),
        (
            {"corruption": "gaussian", "emphasis": [1.0, 0.5]},
            "emphasis=[1.0, 0.5]: corruption=gaussian hits every pixel, so that both numbers must",
        ),
        ({"level": 1.5}, "level=1.5: the probability that a pixel is hit must be in [0, 1)."),
        ({"likelihood": "poisson"}, "likelihood=poisson: must be one of bernoulli, gaussian."),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        network(**options)
