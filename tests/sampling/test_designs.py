"""Every design draws from the same distribution; what differs is how passes hang together."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.sampling.designs import DESIGNS, Design, Draws, Sharing, group_sizes

SHARING: tuple[Sharing, ...] = ("batch", "row")


def draws(design: Design, sharing: Sharing = "batch", passes: int = 40, groups: int = 4) -> Draws:
    sizes = group_sizes(passes, groups)
    return Draws(11, sizes, sharing, design, torch.device("cpu"))


def images(count: int) -> Tensor:
    return torch.arange(count)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("design", DESIGNS)
def test_each_draw_is_uniform(design: Design, sharing: Sharing) -> None:
    u = draws(design, sharing).uniform(0, range(40), images(30), 700).double()
    assert u.shape == (40, 30 if sharing == "row" else 1, 700)
    each = u.mean(dim=(1, 2))
    count = u[0].numel()
    assert ((each - 0.5).abs() < 5 / math.sqrt(12 * count)).all()
    assert 12 * float(u.var()) == pytest.approx(1, abs=0.03)
    assert 0 < u.min() < u.max() < 1


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("design", DESIGNS)
def test_normal_draws_are_normal(design: Design, sharing: Sharing) -> None:
    n = draws(design, sharing).normal(2, range(40), images(20), 999).double()
    bound = 5 / math.sqrt(n.numel())
    assert abs(float(n.mean())) < bound
    assert float(n.var()) == pytest.approx(1, abs=2 * bound)
    assert float(n.pow(4).mean()) == pytest.approx(3, abs=12 * bound)
    tail = float((n.abs() > 3).double().mean())
    assert tail == pytest.approx(math.erfc(3 / math.sqrt(2)), rel=0.5)


@pytest.mark.parametrize("rate", [0.5, 0.25, 0.1, 0.9, 1 / 3])
@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("design", DESIGNS)
def test_keep_rate_is_within_binomial_bounds(
    design: Design, sharing: Sharing, rate: float
) -> None:
    kept = draws(design, sharing).kept(1, range(40), images(25), 400, rate)
    n = kept.numel() if design == "independent" else kept.numel() / 40
    assert abs(float(kept.double().mean()) - (1 - rate)) < 5 * math.sqrt(rate * (1 - rate) / n)


def test_rate_as_a_tensor_is_the_same_rate() -> None:
    of_number = draws("balanced").kept(1, range(40), images(2), 100, 0.3)
    of_tensor = draws("balanced").kept(1, range(40), images(2), 100, torch.tensor(0.3))
    assert torch.equal(of_number, of_tensor)


@pytest.mark.parametrize("sharing", SHARING)
def test_balanced_masks_keep_each_unit_in_exactly_half_of_the_passes(sharing: Sharing) -> None:
    kept = draws("balanced", sharing).kept(3, range(40), images(6), 300, 0.5)
    for group in kept.split(10):
        assert (group.sum(0) == 5).all()
    assert len(kept[:10, 0].T.unique(dim=0)) > 150


@pytest.mark.parametrize("sharing", SHARING)
def test_balanced_masks_at_other_rates_are_off_by_less_than_one(sharing: Sharing) -> None:
    kept = draws("balanced", sharing).kept(3, range(40), images(6), 300, 0.27)
    for group in kept.split(10):
        assert set(group.sum(0).unique().tolist()) <= {7, 8}


@pytest.mark.parametrize("sharing", SHARING)
def test_antithetic_pairs_mirror_each_other(sharing: Sharing) -> None:
    u = draws("antithetic", sharing).uniform(3, range(40), images(6), 300)
    torch.testing.assert_close(u[0::2] + u[1::2], torch.ones_like(u[0::2]))
    kept = draws("antithetic", sharing).kept(3, range(40), images(6), 300, 0.5)
    assert (kept[0::2] ^ kept[1::2]).all()


@pytest.mark.parametrize("design", DESIGNS)
def test_groups_are_independent(design: Design) -> None:
    u = draws(design).uniform(0, range(40), images(1), 20_000)[:, 0].double() - 0.5
    across = 12 * (u[:10, None] * u[None, 10:20]).mean(-1)
    assert across.abs().max() < 5 / math.sqrt(20_000)


def test_units_of_balanced_masks_are_independent_of_each_other() -> None:
    u = draws("balanced").uniform(0, range(10), images(1), 20_000)[:, 0].double() - 0.5
    assert abs(12 * float((u[:, :-1] * u[:, 1:]).mean())) < 5 / math.sqrt(20_000)


def test_rows_of_balanced_masks_are_independent_in_each_pass() -> None:
    u = draws("balanced", "row").uniform(0, range(10), images(2), 20_000).double() - 0.5
    each = 12 * (u[:, 0] * u[:, 1]).mean(-1)
    assert each.abs().max() < 5 / math.sqrt(20_000)


@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("design", DESIGNS)
def test_draws_belong_to_pass_image_and_unit(design: Design, sharing: Sharing) -> None:
    whole = draws(design, sharing).uniform(4, range(40), images(9), 50)
    other = draws(design, sharing)
    order = torch.tensor([8, 2, 5])
    for passes in (range(17, 23), range(3), range(39, 40)):
        part = other.uniform(4, passes, order, 50)
        rows = order if sharing == "row" else torch.tensor([0])
        assert torch.equal(part, whole[passes.start : passes.stop, rows])


@pytest.mark.parametrize("design", DESIGNS)
def test_calls_and_seeds_differ(design: Design) -> None:
    first = draws(design).uniform(0, range(40), images(1), 50)
    assert not torch.equal(first, draws(design).uniform(1, range(40), images(1), 50))
    seeded = Draws(12, group_sizes(40, 4), "batch", design, torch.device("cpu"))
    assert not torch.equal(first, seeded.uniform(0, range(40), images(1), 50))


def test_groups_are_as_even_as_can_be() -> None:
    assert group_sizes(50, 10) == (5,) * 10
    assert group_sizes(7, 3) == (3, 2, 2)


@pytest.mark.gpu
@pytest.mark.parametrize("sharing", SHARING)
@pytest.mark.parametrize("design", DESIGNS)
def test_same_draws_on_the_gpu(design: Design, sharing: Sharing) -> None:
    here = draws(design, sharing)
    there = Draws(11, group_sizes(40, 4), sharing, design, torch.device("cuda"))
    few, far = images(5), images(5).cuda()
    u = here.uniform(0, range(40), few, 333)
    assert torch.equal(u, there.uniform(0, range(40), far, 333).cpu())
    kept = here.kept(1, range(40), few, 333, 0.5)
    assert torch.equal(kept, there.kept(1, range(40), far, 333, 0.5).cpu())
    n = here.normal(2, range(40), few, 333)
    torch.testing.assert_close(n, there.normal(2, range(40), far, 333).cpu())
