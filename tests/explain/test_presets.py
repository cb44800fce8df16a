from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.explain.base import Fill
from ibdrop.explain.fills import Average, Blur
from ibdrop.explain.meaningful import Meaningful
from ibdrop.explain.presets import FILLS, METHODS, PRESETS, fill, meaningful, method
from ibdrop.explain.score import KINDS


def rough(m: Tensor) -> tuple[Tensor, Tensor]:
    """Differences down and right, 0 beyond the last cell."""
    down = torch.cat([m[:, 1:] - m[:, :-1], 0 * m[:, :1]], 1)
    right = torch.cat([m[:, :, 1:] - m[:, :, :-1], 0 * m[:, :, :1]], 2)
    return down, right


def test_the_paper_is_a_sum_over_784_cells() -> None:
    m = torch.rand(5, 28, 28, dtype=torch.float64)
    down, right = rough(m)
    sums = 1e-4 * (1 - m).abs().sum((1, 2))
    sums += 1e-2 * (down**2 + right**2).pow(3 / 2).sum((1, 2))
    found = meaningful("paper").cost(m, torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found, sums)
    assert PRESETS["paper"].settings["l1"] == pytest.approx(784e-4)


def test_the_blog_is_means_over_its_differences() -> None:
    m = torch.rand(5, 28, 28, dtype=torch.float64)
    means = 0.01 * (1 - m).abs().mean((1, 2))
    for differences in (m.diff(dim=1), m.diff(dim=2)):
        assert differences[0].numel() == 756
        means += 0.2 * (differences.abs() ** 3).mean((1, 2))
    found = meaningful("blog").cost(m, torch.zeros(5, dtype=torch.float64))
    torch.testing.assert_close(found, means)


def test_the_blog_is_that_much_weaker_than_the_paper() -> None:
    paper, blog = meaningful("paper"), meaningful("blog")
    assert paper.l1 / blog.l1 == pytest.approx(7.84)
    assert paper.tv / blog.tv == pytest.approx(37.8)
    assert (blog.start, blog.steps, blog.jitter, blog.smoothing) == ("ones", 500, 1, 0)
    assert (paper.start, paper.steps, paper.jitter, paper.smoothing) == ("disc", 300, 4, 5)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_whole(name: str) -> None:
    preset = PRESETS[name]
    assert isinstance(method("meaningful", name), Meaningful)
    assert preset.fill in FILLS
    assert preset.kind in KINDS
    assert isinstance(fill(preset.fill), Fill)


def test_settings_of_a_preset_can_be_changed() -> None:
    changed = method("meaningful", "paper", steps=7, game="preservation")
    assert isinstance(changed, Meaningful)
    assert (changed.steps, changed.game, changed.tv_power) == (7, "preservation", 3)


@pytest.mark.parametrize("name", FILLS)
def test_fills_are_found_by_name(name: str) -> None:
    options: dict[str, Any] = {"images": None} if name == "rerender" else {}
    assert fill(name, **options).name == name


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_found_by_name(name: str) -> None:
    made = method(name, seed=3) if "seed" in _parameters(name) else method(name)
    assert made.name == name


def _parameters(name: str) -> list[str]:
    return list(inspect.signature(type(method(name))).parameters)


def test_options_reach_the_fill() -> None:
    assert fill("blur", sigma=3.0).sigma == 3.0  # type: ignore[attr-defined]
    assert isinstance(fill("blur"), Blur)
    assert isinstance(fill("average", sigma=3.0), Average)


def test_wrong_words_name_the_near_miss_and_the_choices() -> None:
    with pytest.raises(
        ValueError, match=r"blurr: no fill; did you mean blur\? There are constant"
    ):
        fill("blurr")
    with pytest.raises(ValueError, match=r"sigm: no option of fill=blur; did you mean sigma\?"):
        fill("blur", sigm=2)
    with pytest.raises(ValueError, match=r"meaningfull: no method; did you mean meaningful\?"):
        method("meaningfull")
    with pytest.raises(ValueError, match=r"papers: no preset; did you mean paper\? There are def"):
        method("meaningful", "papers")
    with pytest.raises(ValueError, match=r"gird: no option of method=meaningful; did you mean g"):
        method("meaningful", gird=14)
    with pytest.raises(ValueError, match="zebra: no fill; There are constant, noise"):
        fill("zebra")
    with pytest.raises(ValueError, match="fill=rerender: needs images"):
        fill("rerender")
    with pytest.raises(ValueError, match="preset=paper: extremal has no presets; meaningful has"):
        method("extremal", "paper")
