"""Attributions by captum against our own arithmetic, and the network left alone."""

from __future__ import annotations

import sys
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ibdrop.data.base import UnitRange
from ibdrop.explain.attributions import ATTRIBUTIONS, Occlusion, attribution, last_map
from ibdrop.explain.attributions import IntegratedGradients as Integrated
from ibdrop.explain.randomised import randomised
from ibdrop.explain.score import ClassScore
from ibdrop.models.allcnn import AllCNN
from ibdrop.models.mlp import MLP
from ibdrop.noise.information import InformationNoise

CLASSES = torch.tensor([1, 3, 0])


def network(channels: int = 1) -> AllCNN:
    torch.manual_seed(0)
    return AllCNN(channels, (16, 16), 4, InformationNoise, blocks=(4, 6)).eval()


def asked(model: nn.Module, kind: str = "logit") -> ClassScore:
    return ClassScore(model, UnitRange(), CLASSES, torch.arange(3), kind=kind)  # type: ignore[arg-type]


def pixels(channels: int = 1) -> Tensor:
    return torch.rand(3, channels, 16, 16, generator=torch.Generator().manual_seed(1))


class Patch(nn.Module):
    """A network whose first logit is the sum of a known patch."""

    def forward(self, x: Tensor, sample: bool | None = None) -> object:
        total = x[:, :, 4:12, 4:8].sum((1, 2, 3))
        return type("Found", (), {"logits": torch.stack([total, 0 * total], 1)})


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", list(ATTRIBUTIONS))
def test_maps_have_the_size_of_the_picture_and_are_nowhere_negative(
    name: str, channels: int
) -> None:
    model, x = network(channels), pixels(channels)
    maps = attribution(name)(model, asked(model), x)
    assert maps.shape == (3, 16, 16)
    assert maps.dtype == torch.float32
    assert maps.min() >= 0
    assert maps.max() > 0
    assert not maps.requires_grad


@pytest.mark.parametrize("name", list(ATTRIBUTIONS))
def test_a_map_does_not_depend_on_the_other_images(name: str) -> None:
    model, x = network(), pixels()
    alone = ClassScore(model, UnitRange(), CLASSES[2:], torch.tensor([2]), kind="logit")
    one = attribution(name)(model, alone, x[2:])
    torch.testing.assert_close(one[0], attribution(name)(model, asked(model), x)[2])


@pytest.mark.parametrize("name", list(ATTRIBUTIONS))
def test_the_network_is_left_as_it_was(name: str) -> None:
    model = network().train()
    next(model.parameters()).requires_grad_(False)
    before, flags = deepcopy(model.state_dict()), [p.requires_grad for p in model.parameters()]
    state = torch.random.get_rng_state()
    attribution(name)(model, asked(model), pixels())
    assert model.training
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_gradient_is_that_of_autograd() -> None:
    model, x = network(3), pixels(3).requires_grad_()
    logits = model(x, sample=False).logits.gather(1, CLASSES[:, None])
    (own,) = torch.autograd.grad(logits.sum(), x)
    found = attribution("gradient")(model, asked(model), x)
    torch.testing.assert_close(found, own.abs().amax(1))


def test_integrated_gradients_add_up_to_the_difference() -> None:
    model, x, image = network().double(), pixels().double(), torch.arange(3)

    def score(values: Tensor, which: Tensor) -> Tensor:
        logits = model(values, sample=False).logits
        return logits.gather(1, CLASSES[which][:, None])[:, 0]

    found = Integrated(steps=400).signed(score, x, image)  # type: ignore[arg-type]
    difference = score(x, image) - score(torch.zeros_like(x), image)
    torch.testing.assert_close(found.sum((1, 2, 3)), difference, rtol=0.02, atol=2e-3)


def test_occlusion_of_a_sum_counts_what_the_windows_hide() -> None:
    x = torch.ones(3, 1, 16, 16)
    score = ClassScore(Patch(), UnitRange(), torch.zeros(3, dtype=torch.int64), torch.arange(3))
    score.kind = "logit"
    occlusion = Occlusion(window=56)
    side = occlusion.side(16, 16)
    assert side == 4
    maps = occlusion(Patch(), score, x)
    corners = range(0, 16 - side + 1, side // 2)
    total, count = torch.zeros(16, 16), torch.zeros(16, 16)
    for top in corners:
        for left in corners:
            hidden = torch.ones(16, 16)
            hidden[top : top + side, left : left + side] = 0
            total += (1 - hidden) * (1 - hidden)[4:12, 4:8].sum()
            count += 1 - hidden
    torch.testing.assert_close(maps[0], total / count)


def test_grad_cam_of_a_logit_is_the_map_of_its_class() -> None:
    model, x = network(), pixels()
    grid = attribution("grad_cam", enlarge=False)(model, asked(model), x)
    assert grid.shape == (3, 4, 4)
    features = []
    handle = model.head.register_forward_hook(lambda *seen: features.append(seen[2]))
    model(x, sample=False)
    handle.remove()
    own = features[0][torch.arange(3), CLASSES] / 16
    torch.testing.assert_close(grid, own)
    large = attribution("grad_cam")(model, asked(model), x)
    bilinear = F.interpolate(own[:, None], (16, 16), mode="bilinear")[:, 0]
    torch.testing.assert_close(large, bilinear)


def test_the_last_map_may_not_be_met_twice() -> None:
    relu = nn.ReLU()
    model = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.Conv2d(2, 2, 3), relu, nn.Flatten())
    assert last_map(model, lambda: model(pixels())) is model[2]


def test_grad_cam_wants_positions() -> None:
    model = MLP(1, (16, 16), 4, InformationNoise, width=8, depth=2).eval()
    with pytest.raises(ValueError, match="needs a convolution with positions"):
        attribution("grad_cam")(model, asked(model), pixels())


def test_without_captum_a_sentence_says_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    model = network()
    with pytest.raises(ValueError, match=r"need captum.*pip install 'ibdrop\[captum\]'"):
        attribution("gradient")(model, asked(model), pixels())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("rise", {}, "'rise' is no attribution; there are gradient, integrated_gradients"),
        ("occlusion", {"window": 0}, "window=0: must be more than 0 pixels"),
        ("integrated_gradients", {"steps": 0}, "steps=0: must be 1 or more"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        attribution(name, **options)


def test_shuffled_parameters_keep_their_values_and_lose_their_places() -> None:
    model = network()
    before = deepcopy(model.state_dict())
    shuffled = randomised(model, 0)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    for (name, p), q in zip(model.named_parameters(), shuffled.parameters(), strict=True):
        assert torch.equal(p.flatten().sort().values, q.flatten().sort().values), name
        if p.unique().numel() > 8:
            assert not torch.equal(p, q), name
    again = randomised(model, 0).state_dict()
    assert all(torch.equal(value, again[key]) for key, value in shuffled.state_dict().items())
    other = randomised(model, 1)
    assert not torch.equal(other.plain[0][0].weight, shuffled.plain[0][0].weight)
