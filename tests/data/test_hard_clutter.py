"""What hard clutter is for: a map that only follows the ink scores at chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from ibdrop.artifacts.floors import floors
from ibdrop.artifacts.quality import Target
from ibdrop.config.schema import register, version_base
from ibdrop.data.base import ImageData
from ibdrop.data.canvases import ADVISED
from ibdrop.data.digits import cluttered_digits
from ibdrop.data.mnist import cluttered_mnist

CHANCE = 1 / 9
MEASURES = (
    "energy_padded",
    "energy_box",
    "mass_strokes",
    "rank_strokes",
    "rank_box",
    "pointing_box",
)


def best(data: ImageData, count: int) -> tuple[dict[str, float], float]:
    """The best floor of each measure on test canvases, and the area share of the padded box."""
    batch = data.test.batch(torch.arange(count))
    assert batch.boxes is not None
    side = data.spec.height
    target = Target.of(batch.boxes, batch.masks, (side, side), round(6 * side / 96))
    found = dict(floors(batch.images, target))
    return {
        measure: max(scores[measure].nanmean().item() for scores in found.values())
        for measure in MEASURES
    }, found["uniform"]["energy_padded"].mean().item()


def test_among_fragments_a_map_of_the_ink_finds_the_target() -> None:
    found, area = best(cluttered_digits(0), 200)
    assert found["energy_padded"] > 5 * area
    assert found["energy_padded"] > 0.95
    assert min(found.values()) > 0.7


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"clutter": "scrambled"}, 0.08),
        ({"clutter": "digits", "excluded": ADVISED}, 0.06),
    ],
    ids=["scrambled", "digits"],
)
def test_beside_things_of_the_same_ink_it_is_at_chance(
    options: dict[str, Any], most: float
) -> None:
    found, area = best(cluttered_digits(0, canvas=54, **options), 300)
    assert abs(area - CHANCE) < 0.02
    assert max(found.values()) < CHANCE + most


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"clutter": "scrambled"}, {"clutter": "digits", "excluded": ADVISED}],
    ids=["scrambled", "digits"],
)
def test_on_mnist_too(options: dict[str, Any], mnist_root: str) -> None:
    found, area = best(cluttered_mnist(0, root=mnist_root, distractors=8, **options), 500)
    assert abs(area - CHANCE) < 0.025
    assert max(found.values()) < CHANCE + 0.035


@pytest.mark.parametrize(
    ("name", "target", "canvas"),
    [
        ("hard_clutter", "ibdrop.data.digits.cluttered_digits", 54),
        ("hard_cluttered_mnist", "ibdrop.data.mnist.cluttered_mnist", 96),
    ],
)
def test_the_experiments_are_what_was_measured(
    checkout: Path, name: str, target: str, canvas: int
) -> None:
    register()
    with initialize_config_dir(str(checkout / "conf"), job_name="train", **version_base()):
        config = compose("train", [f"experiment={name}", "dataset.view=moved"])
    assert config.dataset._target_ == target
    assert (config.dataset.canvas, config.dataset.distractors) == (canvas, 8)
    assert (config.dataset.clutter, config.dataset.view) == ("scrambled", "moved")
    if name == "hard_clutter":
        data = instantiate(config.dataset, seed=0, _convert_="all")
        assert data.name == "cluttered digits (scrambled, moved)"
        assert data.spec.height == data.val.batch(torch.arange(2)).images.shape[3] == canvas
