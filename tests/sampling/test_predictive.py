"""Figures of groups of passes against all passes kept, and standard errors against repetition."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ibdrop.sampling.predictive import Predictive, entropy, pool
from ibdrop.sampling.sums import Sums


def logits(passes: int, images: int = 6, classes: int = 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.randn(images, classes, generator=torch.Generator().manual_seed(77))
    return centre + torch.randn(passes, images, classes, generator=generator, dtype=torch.float64)


def gathered(drawn: Tensor, sizes: tuple[int, ...]) -> Predictive:
    sums = Sums(sizes, drawn.shape[1], drawn[0])
    for start in range(0, len(drawn), 4):
        for place in (slice(0, 2), slice(2, drawn.shape[1])):
            passes = range(start, min(start + 4, len(drawn)))
            sums.add(passes, place, drawn[passes.start : passes.stop, place])
    return sums.predictive()


def test_zero_log_zero_is_zero() -> None:
    p = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert entropy(p).tolist() == pytest.approx([0.0, math.log(2)])


def test_agrees_with_all_passes_kept() -> None:
    drawn = logits(13)
    found = gathered(drawn, (5, 4, 4))
    p = drawn.softmax(-1)
    mean = p.mean(0)
    assert found.passes == 13
    torch.testing.assert_close(found.mean, mean)
    torch.testing.assert_close(found.entropy, -(mean * mean.log()).sum(1))
    torch.testing.assert_close(found.expected_entropy, -(p * p.log()).sum(2).mean(0))
    torch.testing.assert_close(found.mutual_information, found.entropy - found.expected_entropy)
    torch.testing.assert_close(found.variance, p.var(0, correction=0).sum(1))
    torch.testing.assert_close(found.logit_mean, drawn.mean(0).softmax(-1))
    counts = torch.stack([(p.argmax(-1) == k).sum(0) for k in range(4)], -1)
    torch.testing.assert_close(found.variation_ratio, 1 - counts.max(-1).values / 13)


def test_groups_halves_images_and_pools() -> None:
    drawn = logits(12)
    found = gathered(drawn, (3, 3, 3, 3))
    first, second = found.halves()
    torch.testing.assert_close(first.mean, drawn[:6].softmax(-1).mean(0))
    torch.testing.assert_close(second.mean, drawn[6:].softmax(-1).mean(0))
    some = torch.tensor([4, 0])
    torch.testing.assert_close(found.take(some).entropy, found.entropy[some])
    parts = [found.take(torch.tensor(place)) for place in ([0, 1, 2], [3, 4, 5])]
    torch.testing.assert_close(pool(parts).variance, found.variance)
    single = found.groups([2])
    assert single.halves() == (single, single)


def test_a_set_of_logits_is_a_group_each() -> None:
    drawn = logits(3)
    found = Predictive.of_logits(drawn)
    assert found.sizes == (1, 1, 1)
    torch.testing.assert_close(found.mean, drawn.softmax(-1).mean(0))
    torch.testing.assert_close(found.deterministic, drawn[0].softmax(-1))
    assert found.votes.sum().item() == 18


def test_standard_error_of_a_mean_is_the_textbook_one() -> None:
    drawn = logits(10)
    found = gathered(drawn, (1,) * 10)
    textbook = drawn.softmax(-1).std(0) / math.sqrt(10)
    torch.testing.assert_close(found.standard_error(lambda some: some.mean), textbook)


def test_standard_error_of_entropy_is_the_spread_over_repetitions() -> None:
    runs = [gathered(logits(50, seed=seed), (5,) * 10) for seed in range(200)]
    spread = torch.stack([run.entropy for run in runs]).std(0)
    claimed = torch.stack([run.standard_error(lambda some: some.entropy) for run in runs]).mean(0)
    torch.testing.assert_close(claimed, spread, rtol=0.25, atol=0)


def test_a_single_group_has_no_standard_error() -> None:
    found = gathered(logits(8), (8,))
    assert found.standard_error(lambda some: some.entropy).isnan().all()
