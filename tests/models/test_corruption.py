from __future__ import annotations

import re

import pytest
import torch

from ibdrop.models.corruption import check_level, corrupt

X = torch.rand(200, 1, 10, 10, generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


def test_masked_pixels_are_black_and_others_stay() -> None:
    torch.manual_seed(0)
    x, hit = corrupt(X, "masking", 0.3)
    assert bool((x[hit] == 0).all())
    assert torch.equal(x[~hit], X[~hit])
    assert abs(float(hit.float().mean()) - 0.3) < 4 * (0.21 / X.numel()) ** 0.5


def test_salt_is_as_likely_as_pepper() -> None:
    torch.manual_seed(0)
    x, hit = corrupt(X, "salt_and_pepper", 0.4)
    assert torch.equal(x[~hit], X[~hit])
    assert set(x[hit].tolist()) == {0.0, 1.0}
    spread = 4 * (0.16 / X.numel()) ** 0.5
    assert abs(float((x == 0).float().mean()) - 0.2) < spread
    assert abs(float((x == 1).float().mean()) - 0.2) < spread


def test_gaussian_noise_is_added_to_every_pixel() -> None:
    torch.manual_seed(0)
    x, hit = corrupt(X, "gaussian", 0.25)
    assert bool(hit.all())
    noise = x - X
    assert abs(float(noise.mean())) < 4 * 0.25 / X.numel() ** 0.5
    assert float(noise.std()) == pytest.approx(0.25, rel=0.03)


def test_nothing_is_hit_at_level_0() -> None:
    for kind in ("masking", "salt_and_pepper"):
        x, hit = corrupt(X, kind, 0.0)
        assert torch.equal(x, X)
        assert not bool(hit.any())


@pytest.mark.parametrize(
    ("kind", "level", "message"),
    [
        ("maskin", 0.3, "corruption=maskin: must be one of masking, salt_and_pepper, gaussian."),
        ("masking", 1.0, "level=1.0: the probability that a pixel is hit must be in [0, 1)."),
        ("masking", -0.1, "level=-0.1: the probability that a pixel is hit must be in [0, 1)."),
        ("gaussian", 0.0, "level=0.0: the standard deviation of gaussian must be above 0."),
    ],
)
def test_what_is_no_corruption(kind: str, level: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_level(kind, level)
