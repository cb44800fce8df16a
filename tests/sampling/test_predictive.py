"""What many passes say, from sums over groups, against all passes kept."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.sampling.predictive import Predictive, entropy, pool

R, B, K = 12, 5, 4


@pytest.fixture
def logits() -> Tensor:
    return 3 * torch.randn(R, B, K, generator=torch.Generator().manual_seed(0))


def merged(logits: Tensor, sizes: tuple[int, ...]) -> Predictive:
    """Passes as groups of these sizes."""
    one = Predictive.of_logits(logits)
    parts = [part.double() for part in (one.means, one.entropies, one.squares)]
    ends = torch.tensor((0, *sizes)).cumsum(0).tolist()
    cuts = [slice(a, b) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    means, entropies, squares = (torch.stack([p[cut].mean(0) for cut in cuts]) for p in parts)
    votes = torch.stack([one.votes[cut].sum(0) for cut in cuts])
    raw = torch.stack([one.logits[cut].mean(0) for cut in cuts])
    return Predictive(sizes, means, entropies, squares, votes, raw, one.deterministic)


def test_zero_log_zero_is_zero() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert entropy(p).tolist() == pytest.approx([0.0, math.log(2)])


@pytest.mark.parametrize("sizes", [(1,) * R, (3, 3, 3, 3), (5, 5, 2), (12,)])
def test_agrees_with_all_passes_kept(logits: Tensor, sizes: tuple[int, ...]) -> None:
    found = merged(logits, sizes)
    p = logits.double().softmax(-1)
    mean = p.mean(0)
    assert found.passes == R
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.entropy, -(mean * mean.log()).sum(1))
    torch.testing.assert_close(found.expected_entropy, -(p * p.log()).sum(2).mean(0))
    torch.testing.assert_close(found.mutual_information, found.entropy - found.expected_entropy)
    torch.testing.assert_close(found.variance, p.var(0, correction=0).sum(1))
    torch.testing.assert_close(found.logit_mean, logits.double().mean(0).softmax(-1))
    most = torch.stack([(p.argmax(-1) == k).sum(0) for k in range(K)]).amax(0)
    torch.testing.assert_close(found.variation_ratio, 1 - most / R, check_dtype=False)


def test_information_is_between_nothing_and_entropy(logits: Tensor) -> None:
    found = Predictive.of_logits(logits)
    assert (found.mutual_information >= 0).all()
    assert (found.mutual_information <= found.entropy).all()
    assert (found.entropy <= math.log(K) + 1e-12).all()
    torch.testing.assert_close(found.mean.sum(1), torch.ones(B, dtype=torch.float64))


def test_the_jackknife_of_a_mean_is_its_standard_error(logits: Tensor) -> None:
    found = Predictive.of_logits(logits)
    error = found.standard_error(lambda some: some.mean)
    p = logits.double().softmax(-1)
    torch.testing.assert_close(error, p.std(0) / math.sqrt(R))
    one = merged(logits, (R,)).standard_error(lambda some: some.entropy)
    assert one.isnan().all()


def test_halves_share_no_group(logits: Tensor) -> None:
    found = merged(logits, (5, 5, 2))
    first, second = found.halves()
    assert (first.sizes, second.sizes) == ((5,), (5, 2))
    torch.testing.assert_close((5 * first.mean + 7 * second.mean) / 12, found.mean)


def test_pooled_images_come_in_their_order(logits: Tensor) -> None:
    found = merged(logits, (6, 6))
    parts = [found.take(torch.tensor(place)) for place in ([0, 1, 2], [3], [4])]
    torch.testing.assert_close(pool(parts).entropy, found.entropy)
    torch.testing.assert_close(pool(parts).deterministic, found.deterministic)
