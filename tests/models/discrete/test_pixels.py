from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.models.discrete.pixels import (
    BINARISATIONS,
    binarised,
    check_binarisation,
    own_uniform,
)


def levels(count: int = 300) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 1, 12, 12), generator=random)


@pytest.mark.parametrize("how", BINARISATIONS)
def test_black_and_white_stays(how: str) -> None:
    x = (levels() > 128).float()
    assert torch.equal(binarised(x, how), x)


def test_threshold() -> None:
    assert binarised(torch.tensor([[0.4, 0.5, 0.6]]), "threshold").tolist() == [[0, 0, 1]]


@pytest.mark.parametrize("how", ["static", "dynamic"])
def test_a_pixel_is_its_probability(how: str) -> None:
    torch.manual_seed(0)
    x = levels(2000).float() / 256
    drawn = binarised(x, how)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    deviation = (x * (1 - x)).sum().sqrt()
    assert (drawn - x).sum().abs() < 3 * deviation
    bright = x > 0.9
    assert drawn[bright].mean().item() == pytest.approx(x[bright].mean().item(), abs=0.01)


def test_a_static_draw_belongs_to_the_image_alone() -> None:
    x = levels().float() / 256
    whole = binarised(x, "static")
    assert torch.equal(binarised(x[7:9], "static"), whole[7:9])
    assert torch.equal(binarised(x.double(), "static").float(), whole)
    changed = x.clone()
    changed[:, 0, 0, 0] = (changed[:, 0, 0, 0] + 0.25) % 1
    assert (own_uniform(changed) != own_uniform(x)).double().mean() > 0.99


def test_static_draws_are_uniform_and_independent() -> None:
    u = own_uniform(levels(2000).float() / 255).flatten(1)
    assert 0 < u.min() < u.max() < 1
    assert u.mean().item() == pytest.approx(0.5, abs=3 / (12 * u.numel()) ** 0.5)
    centred = u - 0.5
    covariance = centred.T @ centred / len(u)
    aside = covariance - covariance.diag().diag()
    assert aside.abs().max() < 6 * (1 / 12) / len(u) ** 0.5
    assert covariance.diag().mean().item() == pytest.approx(1 / 12, abs=1e-3)


def test_dynamic_draws_change() -> None:
    x = torch.full((4, 1, 8, 8), 0.5)
    assert not torch.equal(binarised(x, "dynamic"), binarised(x, "dynamic"))


def test_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="binarise=round: must be one of none, threshold"):
        check_binarisation("round", "bernoulli")
    with pytest.raises(ValueError, match="binarise=static: needs likelihood=bernoulli, not gaus"):
        check_binarisation("static", "gaussian")
