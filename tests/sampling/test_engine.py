"""The engine changes nothing but speed: every way to sample gives the same, and as defined."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.models.base import Prediction
from ibdrop.noise.base import Noise, Noisy
from ibdrop.noise.baselines import BinaryNoise
from ibdrop.sampling import engine
from ibdrop.sampling.designs import DESIGNS, Draws
from ibdrop.sampling.engine import MonteCarlo, NoNoiseError
from ibdrop.sampling.predictive import Predictive, pool
from ibdrop.sampling.whole import Whole

CONF = Path(__file__).parents[2] / "conf"
NOISES = sorted(path.stem for path in (CONF / "noise").glob("*.yaml") if path.stem != "none")
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
OTHERS = "vae", "autoencoder", "torchvision"  # which take no noise, or name no classes
CLASSIFIERS = [name for name in MODELS if not any(word in name for word in OTHERS)]
Make = Callable[..., nn.Module]


def sample(model: nn.Module, images: Tensor, index: Tensor | None = None, **options: Any) -> Any:
    options = {"seed": 5, "passes": 9, "groups": 3} | options
    return MonteCarlo(model, **options)(images, _numbers(images) if index is None else index)


def sample_whole(model: nn.Module, images: Tensor, **options: Any) -> Predictive:
    """The same by calling the whole network for each pass."""
    options = {"seed": 5, "passes": 9, "groups": 3} | options
    sampler = MonteCarlo(model, **options)
    draws = Draws(5, sampler.sizes, sampler.mask_sharing, sampler.design, images.device)
    sampler._plan, sampler._prepared = Whole(model, draws), True
    return sampler(images, _numbers(images))


def _numbers(images: Tensor) -> Tensor:
    return torch.arange(len(images))


def assert_same(found: Predictive, wanted: Predictive, atol: float = 1e-5) -> None:
    for name in ("means", "entropies", "squares", "deterministic"):
        torch.testing.assert_close(
            getattr(found, name), getattr(wanted, name), atol=atol, rtol=1e-4, msg=name
        )


@pytest.mark.parametrize("sharing", ["batch", "row"])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("model", CLASSIFIERS)
def test_parts_equal_the_whole(
    make: Make, images: Tensor, model: str, noise: str, sharing: str
) -> None:
    network = make(model, noise)
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3, mask_sharing=sharing)  # type: ignore[arg-type]
    found = sampler(images, _numbers(images))
    assert sampler.notes == []
    assert_same(found, sample_whole(network, images, mask_sharing=sharing))
    assert float(found.variance.max()) > 1e-6


@pytest.mark.parametrize("sharing", ["batch", "row"])
@pytest.mark.parametrize("design", DESIGNS)
def test_designs_in_parts_equal_the_whole(
    make: Make, images: Tensor, design: str, sharing: str
) -> None:
    network = make("lenet", "binary")
    options = {"design": design, "mask_sharing": sharing, "passes": 8, "groups": 2}
    assert_same(sample(network, images, **options), sample_whole(network, images, **options))


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_whole_channels_are_cut_out_of_convolutions(
    make: Make, images: Tensor, model: str
) -> None:
    network = make(model, "binary", whole_channels=True).to(memory_format=torch.channels_last)
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3)
    found = sampler(images, _numbers(images))
    assert type(sampler._plan).__name__ == "Subnetworks"
    assert_same(found, sample_whole(network, images))


@pytest.mark.parametrize("sharing", ["batch", "row"])
@pytest.mark.parametrize("noise", ["binary", "information"])
def test_batches_tiles_and_order_do_not_matter(
    make: Make, images: Tensor, noise: str, sharing: str
) -> None:
    network = make("allcnn", noise)
    once = sample(network, images, mask_sharing=sharing)
    order = torch.randperm(11, generator=torch.Generator().manual_seed(4))
    for size, memory in ((1, None), (7, 0.05), (512, 0.5)):
        sampler = MonteCarlo(
            network, seed=5, passes=9, groups=3, mask_sharing=sharing, memory=memory
        )  # type: ignore[arg-type]
        parts = [sampler(images[some], some) for some in order.split(size)]
        assert_same(pool(parts).take(order.argsort()), once)


def test_draws_follow_the_number_of_the_image(make: Make, images: Tensor) -> None:
    network = make("mlp", "binary")
    same = images[:1].expand(3, -1, -1, -1)
    found = sample(network, same, torch.tensor([4, 4, 9]), mask_sharing="row")
    torch.testing.assert_close(found.means[:, 0], found.means[:, 1])
    assert not torch.allclose(found.means[:, 0], found.means[:, 2])


def test_leaves_everything_bit_identical(make: Make, images: Tensor) -> None:
    network = make("allcnn", "information")
    merge = [getattr(module, "merge", 0) for module in network.modules()]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    flags = [module.training for module in network.modules()]
    state = torch.get_rng_state()
    sample(network, images)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in network.modules()] == flags
    assert [getattr(module, "merge", 0) for module in network.modules()] == merge
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_state_of_the_generator_does_not_matter(make: Make, images: Tensor) -> None:
    network = make("mlp", "gaussian")
    found = []
    for state in (1, 2):
        torch.manual_seed(state)
        found.append(sample(network, images))
    assert torch.equal(found[0].means, found[1].means)
    assert not torch.equal(found[0].means, sample(network, images, seed=6).means)


@pytest.mark.parametrize("sharing", ["batch", "row"])
def test_a_network_of_ones_own(own: Make, images: Tensor, sharing: str) -> None:
    network = own()
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3, mask_sharing=sharing)  # type: ignore[arg-type]
    found = sampler(images, _numbers(images))
    assert sampler.notes == []
    assert type(sampler._plan).__name__ == "Tiles"
    assert_same(found, sample_whole(network, images, mask_sharing=sharing))
    torch.testing.assert_close(
        found.deterministic, network(images, sample=False).logits.double().softmax(-1)
    )


def test_functional_dropout_is_found(own: Make, images: Tensor) -> None:
    class Functional(own.kind):  # type: ignore[name-defined, misc]
        def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
            x = F.dropout(self.first(images), 0.5, training=bool(sample))
            y = F.dropout2d(self.norm(x), 0.3, training=bool(sample))
            return Prediction(self.out(self.second(y).flatten(1)), {})

    network = own(Functional)
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3)
    found = sampler(images, _numbers(images))
    assert sampler.notes == []
    assert_same(found, sample_whole(network, images))
    assert float(found.variance.min()) > 0


def test_torch_dropout_modules_stay_off(images: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(784, 5)).eval()

    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = network

        def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
            return Prediction(self.body(images), {})

    with pytest.raises(
        NoNoiseError,
        match="^the network has no noise layer, so there is nothing to sample; train it with "
        "noise=binary, for example$",
    ):
        sample(Plain().eval(), images)


def test_noise_that_draws_nothing_is_one_plain_pass(make: Make, images: Tensor) -> None:
    network = make("allcnn", "none")
    found = sample(network, images)
    assert found.passes == 1
    assert torch.equal(found.mean, found.deterministic)
    assert found.mutual_information.tolist() == found.variance.tolist() == [0.0] * 11


@pytest.mark.parametrize(
    ("noise", "options"),
    [("binary", {"rate": 0.0}), ("gaussian", {"sd": 0.0}), ("constant_lognormal", {"alpha": 0.0})],
)
def test_noise_of_strength_zero_changes_nothing(
    make: Make, images: Tensor, noise: str, options: dict[str, float]
) -> None:
    network = make("lenet", noise, **options)
    found = sample(network, images)
    assert found.passes == 9
    torch.testing.assert_close(found.mean, found.deterministic, atol=1e-6, rtol=1e-5)
    assert float(found.mutual_information.max()) < 1e-6
    assert float(found.variance.max()) < 1e-6


class Deciding(nn.Module):
    """Decides by the value of a tensor, which cannot be written down."""

    def __init__(self) -> None:
        super().__init__()
        self.noise = BinaryNoise(5)
        self.out = nn.Linear(784, 5)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        x = self.out(images.flatten(1))
        if float(x.sum()) > 1e9:
            x = -x
        return Prediction(self.noise(x, None, bool(sample)).z, {})


def test_what_cannot_be_taken_apart_is_called_whole_and_says_so(images: Tensor) -> None:
    network = Deciding().eval()
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3, mask_sharing="row")
    parts = pool([sampler(images[some], some) for some in _numbers(images).split(4)])
    assert len(sampler.notes) == 1
    assert sampler.notes[0].startswith("the network cannot be taken apart at its first noise (")
    assert sampler.notes[0].endswith("): it is called whole for each pass")
    assert_same(parts, sample_whole(network, images, mask_sharing="row"))


def test_rows_that_look_at_each_other_are_found_out(own: Make, images: Tensor) -> None:
    class Mixing(own.kind):  # type: ignore[name-defined, misc]
        def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
            x = self.noise(self.first(images), None, bool(sample)).z
            return Prediction(self.out((x - x.mean(0)).flatten(1)), {})

    sampler = MonteCarlo(own(Mixing), seed=5, passes=9, groups=3)
    sampler(images, _numbers(images))
    assert len(sampler.notes) == 1
    assert "its logits would differ by" in sampler.notes[0]


class Weights(Noise):
    """Draws weights, another set in each pass."""

    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        weight = torch.ones(4, 1, 1)
        return Noisy(f * (1 + 0.5 * torch.randn_like(weight)) if sample else f)


def test_noise_in_weights_is_another_one_in_each_pass(own: Make, images: Tensor) -> None:
    sampler = MonteCarlo(own(noise=Weights(4)), seed=5, passes=9, groups=9)
    found = sampler(images, _numbers(images))
    assert len(found.means[:, 0].unique(dim=0)) == 9
    assert len(sampler.notes) == 1


class Unkeyed(Noise):
    def forward(self, f: Tensor, a: Tensor | None, sample: bool) -> Noisy:
        return Noisy(f * torch.multinomial(torch.ones(3), 1) if sample else f)


def test_random_functions_that_cannot_be_keyed_are_admitted(own: Make, images: Tensor) -> None:
    network = own(noise=Unkeyed(4))
    state = torch.get_rng_state()
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3)
    found = sampler(images, _numbers(images))
    assert sampler.notes == [
        "the network draws random numbers in a way that cannot be keyed: it is called whole for "
        "each pass, and its results depend on the batches"
    ]
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(found.means, sample(network, images).means)


class OneLayer(nn.Module):
    """Dropout before a linear layer: mean and variance of its logits are known."""

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self.noise = noise
        self.out = nn.Linear(30, 4)

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        return Prediction(self.out(self.noise(images, None, bool(sample)).z), {})


@pytest.mark.parametrize("sharing", ["batch", "row"])
def test_moments_of_logits_are_those_of_the_closed_form(sharing: str) -> None:
    torch.manual_seed(0)
    x, rate = torch.rand(6, 30), 0.3
    network = OneLayer(BinaryNoise(30, rate=rate)).eval()
    found = sample(
        network, x, passes=4000, groups=4000, mask_sharing=sharing, design="independent"
    )
    with torch.no_grad():
        mean = network.out(x).double()
        variance = (rate / (1 - rate) * x.square() @ network.out.weight.square().T).double()
    bound = 5 * (variance / 4000).sqrt()
    assert ((found.logits.mean(0) - mean).abs() < bound).all()
    assert ((found.logits.var(0) / variance - 1).abs() < 5 * (2.5 / 4000) ** 0.5).all()


class Twice(OneLayer):
    """Two masks in a row, with no product between them."""

    def forward(self, images: Tensor, sample: bool | None = None) -> Prediction:
        x = self.noise(torch.relu(self.noise(images, None, bool(sample)).z), None, bool(sample)).z
        return Prediction(self.out(x), {})


def test_masks_in_a_row_both_count() -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 30)
    network = Twice(BinaryNoise(30, rate=0.3)).eval()
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3)
    found = sampler(x, _numbers(x))
    assert sampler.notes == []
    assert_same(found, sample_whole(network, x))


@pytest.mark.parametrize("design", DESIGNS)
def test_dependent_passes_cancel_what_is_linear(design: str) -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 30)
    network = OneLayer(BinaryNoise(30, rate=0.5)).eval()
    found = sample(network, x, passes=10, groups=1, design=design)
    with torch.no_grad():
        difference = float((found.logits[0] - network.out(x)).abs().max())
    assert (difference < 1e-6) == (design != "independent")


@pytest.mark.parametrize("design", ["antithetic", "balanced"])
def test_dependent_passes_are_unbiased(make: Make, images: Tensor, design: str) -> None:
    network = make("mlp", "binary")
    truth = sample(network, images, passes=2000, groups=10, seed=99).mean

    def repeated(kind: str) -> Tensor:
        options = {"passes": 10, "groups": 1, "design": kind}
        return torch.stack([sample(network, images, seed=s, **options).mean for s in range(20)])

    plain = float((repeated("independent") - truth).square().mean().sqrt())
    found = repeated(design) - truth
    assert float(found.square().mean().sqrt()) < plain
    assert float(found.mean(0).square().mean().sqrt()) < 1.5 * plain / 20**0.5


def test_bounds_of_information(make: Make, images: Tensor) -> None:
    found = sample(make("allcnn", "information"), 3 * images, passes=40, groups=10)
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= found.entropy).all()
    assert (found.entropy <= math.log(5) + 1e-12).all()
    assert (found.entropy >= found.expected_entropy - 1e-12).all()
    assert found.votes.sum(dim=(0, 2)).tolist() == [40] * 11


def test_memory_does_not_grow_with_the_passes(
    make: Make, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make("lenet", "binary")
    rows: list[int] = []
    add = engine.Sums.add

    def watch(self: Any, some: range, place: slice, logits: Tensor) -> None:
        rows.append(logits.shape[0] * logits.shape[1])
        add(self, some, place, logits)

    monkeypatch.setattr(engine.Sums, "add", watch)
    largest = []
    for passes in (100, 500):
        rows.clear()
        found = sample(network, images, passes=passes, groups=10, mask_sharing="row", memory=0.01)
        assert found.means.shape == (10, 11, 5)
        largest.append(max(rows))
    assert largest[0] == largest[1] < 11 * 100


def test_out_of_memory_halves_the_tiles(
    make: Make, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = make("mlp", "binary")
    wanted = sample(network, images, mask_sharing="row")
    sampler = MonteCarlo(network, seed=5, passes=9, groups=3, mask_sharing="row")
    sampler(images[:3], _numbers(images)[:3])
    plan = sampler._plan
    assert plan is not None
    logits = plan.logits

    def refusing(known: Any, passes: range, numbers: Tensor) -> Tensor:
        if len(passes) * len(numbers) > 16:
            raise torch.OutOfMemoryError
        return logits(known, passes, numbers)

    monkeypatch.setattr(plan, "logits", refusing)
    sampler.most_rows = 64
    assert_same(sampler(images, _numbers(images)), wanted)
    assert sampler.notes == [f"out of memory: tiles of {rows} rows are tried" for rows in (32, 16)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"passes": 0}, "^passes is 0; at least 1 is needed$"),
        ({"groups": 0}, "^groups is 0; at least 1 is needed$"),
        ({"mask_sharing": "rows"}, "^mask_sharing=rows: must be one of batch, row.$"),
        (
            {"design": "latin"},
            "^design=latin: must be one of independent, antithetic, balanced.$",
        ),
        ({"memory": 0.0}, "^memory is 0.0 MiB; it must be above 0$"),
    ],
)
def test_refuses(make: Make, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MonteCarlo(make("mlp", "binary"), seed=0, **options)


def test_refuses_training_mode(make: Make, images: Tensor) -> None:
    network = make("mlp", "binary").train()
    with pytest.raises(ValueError, match="^the model is in training mode; call model.eval"):
        sample(network, images)


@pytest.mark.gpu
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("model", CLASSIFIERS)
def test_same_on_the_gpu(make: Make, images: Tensor, model: str, noise: str) -> None:
    network = make(model, noise)
    for sharing in ("batch", "row"):
        here = sample(network.cpu(), images, mask_sharing=sharing)
        there = sample(network.cuda(), images.cuda(), mask_sharing=sharing)
        assert_same(there.cpu(), here, atol=1e-3)
