from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from ibdrop.data.base import UnitRange
from ibdrop.data.transforms import PerChannel
from ibdrop.data.whitening import Whitened
from ibdrop.explain.score import KINDS, ClassScore
from ibdrop.explain.untouched import untouched
from ibdrop.models.mlp import MLP
from ibdrop.noise.information import InformationNoise


def network() -> MLP:
    torch.manual_seed(0)
    return MLP(1, (6, 6), 4, InformationNoise, width=8, depth=2).eval()


def asked(model: nn.Module, kind: str = "prob", draws: int = 0) -> ClassScore:
    classes, index = torch.tensor([1, 3]), torch.tensor([10, 17])
    return ClassScore(model, UnitRange(), classes, index, kind=kind, draws=draws)  # type: ignore[arg-type]


def pixels(rows: int = 2) -> Tensor:
    return torch.rand(rows, 1, 6, 6, generator=torch.Generator().manual_seed(1))


def test_kinds_follow_from_the_logits() -> None:
    model, x, image = network(), pixels(), torch.tensor([0, 1])
    y = model(x, sample=False).logits
    p = y.softmax(1)
    first = {
        "prob": p[0, 1],
        "logp": p[0, 1].log(),
        "margin": y[0, 1] - max(y[0, k] for k in (0, 2, 3)),
        "logit": y[0, 1],
    }
    assert set(first) == set(KINDS)
    for kind, value in first.items():
        torch.testing.assert_close(asked(model, kind)(x, image)[0], value)


def test_averaged_noise_is_the_same_at_every_call_and_in_any_company() -> None:
    model, x = network(), pixels()
    score = asked(model, draws=5)
    both = score(x, torch.tensor([0, 1]))
    assert torch.equal(both, score(x, torch.tensor([0, 1])))
    torch.testing.assert_close(score(x[1:], torch.tensor([1]))[0], both[1])
    assert not torch.equal(both, asked(model)(x, torch.tensor([0, 1])))


@pytest.mark.parametrize("draws", [0, 3])
def test_gradients_reach_the_pixels(draws: int) -> None:
    x = pixels().double().float().requires_grad_()
    asked(network(), "logp", draws)(x, torch.tensor([0, 1])).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("kind", "draws", "words"), [("prop", 0, "logp"), ("prob", -1, "or more")]
)
def test_wrong_words_are_refused(kind: str, draws: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        asked(network(), kind, draws)


def look_at(model: nn.Module) -> None:
    with untouched(model):
        assert not any(p.requires_grad for p in model.parameters())
        assert not any(module.training for module in model.modules())
        torch.rand(3)
        raise RuntimeError("on purpose")


def test_a_network_that_was_looked_at_is_what_it_was() -> None:
    model = network()
    model.train()
    next(iter(model.hidden.values())).eval()
    model.out.weight.requires_grad_(False)
    model.out.bias.grad = torch.ones(4)
    flags = [p.requires_grad for p in model.parameters()]
    modes = [module.training for module in model.modules()]
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError, match="on purpose"):
        look_at(model)
    assert flags == [p.requires_grad for p in model.parameters()]
    assert modes == [module.training for module in model.modules()]
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(model.out.bias.grad, torch.ones(4))


TRANSFORMS = [
    UnitRange(),
    PerChannel(torch.tensor([0.2]), torch.tensor([0.3])),
    Whitened(torch.linspace(-1, 1, 36), torch.eye(36)),
]


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda t: type(t).__name__)
def test_floats_are_transformed_as_bytes_are_and_differentiably(transform: nn.Module) -> None:
    x = torch.randint(256, (3, 1, 6, 6), dtype=torch.uint8)
    floats = x.float().requires_grad_()
    torch.testing.assert_close(transform(floats), transform(x))
    assert torch.equal(floats.detach(), x.float())
    transform(floats).square().sum().backward()
    assert floats.grad is not None
