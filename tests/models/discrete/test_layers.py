from __future__ import annotations

import pytest
import torch
from torch import nn

from ibdrop.models.discrete.binary import BinConcrete
from ibdrop.models.discrete.categorical import ExpConcrete
from ibdrop.models.discrete.estimators import Draw
from ibdrop.models.discrete.halves import Halves
from ibdrop.models.discrete.layers import Centre, Chain, Prior, affine


def test_centre_follows_the_mean_in_training_alone() -> None:
    centre = Centre(3)
    x = torch.tensor([[[1.0, 2.0, 3.0]], [[3.0, 2.0, 1.0]]], requires_grad=True)
    centre(x)
    centre(x)
    torch.testing.assert_close(centre.mean, torch.full((3,), 2 * (1 - 0.9**2)))
    before = centre.eval().mean.clone()
    shifted = centre(x)
    assert torch.equal(centre.mean, before)
    assert not centre.mean.requires_grad
    torch.testing.assert_close(shifted.detach(), x.detach() - before)


def test_linear_and_tanh_maps() -> None:
    assert [type(layer) for layer in affine(5, 3, linear=True)] == [nn.Linear]
    deep = affine(5, 3, linear=False)
    assert [type(layer) for layer in deep] == [nn.Linear, nn.Tanh] * 2 + [nn.Linear]
    assert [layer.out_features for layer in deep if isinstance(layer, nn.Linear)] == [5, 5, 3]


def test_a_chain_reads_what_was_drawn_before() -> None:
    units = ExpConcrete(4)
    chain = Chain(7, [3, 2], units, linear=True, centred=False)
    drawn = chain(torch.rand(5, 7), 6, lambda logits: Draw(logits, units.draw(logits)))
    assert [draw.state.shape for draw in drawn] == [(30, 3, 4), (30, 2, 4)]
    read = units.embed(drawn[0].state)
    assert torch.equal(drawn[0].logits[:5], drawn[0].logits[25:])
    torch.testing.assert_close(drawn[1].logits, chain.maps[1](read).unflatten(-1, (2, 4)))


def test_prior_draws_from_the_top() -> None:
    torch.manual_seed(0)
    prior = Prior([3, 2], BinConcrete(), linear=True, learned=True)
    with torch.no_grad():
        prior.top.copy_(torch.tensor([200.0, -200.0]))
    above = prior.maps[0](torch.tensor([1.0, -1.0]))
    states = prior.draw(100_000)
    torch.testing.assert_close(states.mean(0), torch.sigmoid(above), rtol=0, atol=0.006)


def test_a_prior_that_is_not_learned_is_even_and_no_parameter() -> None:
    prior = Prior([3], ExpConcrete(4), linear=True, learned=False)
    assert list(prior.parameters()) == []
    assert torch.equal(prior.top, torch.zeros(3, 4))


def test_halves() -> None:
    x = torch.rand(2, 3, 5, 4)
    halves = Halves((3, 5, 4), "bottom")
    assert (halves.inputs, halves.outputs) == (24, 36)
    assert torch.equal(torch.cat([halves.shown(x), halves.predicted(x)], dim=2), x)
    image = halves.image(torch.zeros(2, 36), x)
    torch.testing.assert_close(torch.sigmoid(image[:, :, :2]), x[:, :, :2].clamp(1e-3, 1 - 1e-3))
    assert torch.equal(halves.image(torch.ones(2, 36))[:, :, :2], torch.zeros(2, 3, 2, 4))
    whole = Halves((3, 5, 4), "whole")
    assert torch.equal(whole.shown(x), x)
    assert torch.equal(whole.predicted(x), x)


def test_what_is_no_half() -> None:
    with pytest.raises(ValueError, match="target=top: must be one of whole, bottom"):
        Halves((1, 4, 4), "top")
    with pytest.raises(ValueError, match="must be at least 2 pixels high"):
        Halves((1, 1, 4), "bottom")
