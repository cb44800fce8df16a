from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ibdrop.learning.propagation import Stage, backward, forward, similarities

PLAIN = Stage(
    fan_in=100,
    fan_out=200,
    weight_variance=0.03,
    bias_variance=0.0,
    activation="relu",
    norm_gain=None,
    dense=True,
    first=False,
    noise_mean=1.0,
    noise_square=1.0,
    input_square=0.7,
    gradient=0.4,
)


def chain(*changes: dict[str, object]) -> list[Stage]:
    stages = [replace(PLAIN, **change) for change in changes]  # type: ignore[arg-type]
    stages[0], stages[-1] = replace(stages[0], first=True), replace(stages[-1], activation=None)
    return stages


def test_each_layer_multiplies() -> None:
    stages = chain({}, {"noise_square": 1.5}, {})
    assert forward(stages) == pytest.approx([2.1, 2.1 * 1.5, 2.1 * 1.5**2 * 1.5])
    assert backward(stages) == pytest.approx([0.4 * 3 * 1.5 * 3, 0.4 * 3 * 1.5, 0.4])


def test_what_is_not_followed_begins_anew() -> None:
    stages = chain({}, {"first": True, "input_square": 2.0}, {})
    assert forward(stages) == pytest.approx([2.1, 6.0, 9.0])
    assert backward(stages) == pytest.approx([0.4, 1.2, 0.4])


def test_biases_add() -> None:
    stages = chain({"bias_variance": 0.9}, {"bias_variance": 1.5})
    assert forward(stages) == pytest.approx([3.0, 1.5 * 3.0 + 1.5])
    found = similarities(stages, [torch.tensor([1.0]), torch.tensor([0.0])])
    assert found == pytest.approx([1.0, 1.0])
    found = similarities(stages, [torch.tensor([-1.0]), torch.tensor([0.0])])
    assert found == pytest.approx([-1.0, 0.25])


def test_batch_norm_forgets_the_scale() -> None:
    stages = chain({"norm_gain": 5.0}, {})
    assert forward(stages) == pytest.approx([2.1, 1.5])
    assert backward(stages) == pytest.approx([0.4 * 3 * 5, 0.4])


def test_he_keeps_what_lecun_halves() -> None:
    for gain, factor in ((2.0, 1.0), (1.0, 0.5)):
        stages = chain(*(30 * [{"fan_out": 100, "weight_variance": gain / 100}]))
        found = forward(stages)
        assert found[-1] / found[0] == pytest.approx(factor**29)
        assert backward(stages)[0] / 0.4 == pytest.approx(factor**29)


def test_vgg_with_weights_of_a_hundredth_loses_what_the_paper_says() -> None:
    """He et al., section 2.2: 1 / (5.9 * 4.2^2 * 2.9^2 * 2.1^4) = 1 / 1.7e4 from conv10 down."""
    channels = [64, 64, 128, 128, 256, 256, 512, 512, 512, 512]
    fans = [9 * count for count in channels]
    assert [round(math.sqrt(2 / fan), 3) for fan in sorted(set(fans))] == [
        0.059,
        0.042,
        0.029,
        0.021,
    ]
    poor = chain(*({"fan_out": fan, "weight_variance": 1e-4} for fan in fans))
    good = chain(*({"fan_out": fan, "weight_variance": 2 / fan} for fan in fans))
    shrinks = math.sqrt(backward(good)[0] / backward(poor)[0])
    assert shrinks == pytest.approx(1.7e4, rel=0.02)


@pytest.mark.parametrize("variance", [0.01, 1.0, 30.0])
def test_softplus_by_monte_carlo(variance: float) -> None:
    fits = {"input_square": variance, "fan_in": 1, "weight_variance": 1.0, "fan_out": 1}
    stages = chain(*(2 * [fits | {"activation": "softplus"}]))
    random = torch.Generator().manual_seed(0)
    y = math.sqrt(variance) * torch.randn(1_000_000, generator=random, dtype=torch.float64)
    square = torch.nn.functional.softplus(y).square().mean()
    assert forward(stages)[1] == pytest.approx(float(square), rel=0.01)
    slope = y.sigmoid().square().mean()
    assert backward(stages)[0] == pytest.approx(0.4 * float(slope), rel=0.01)


@pytest.mark.parametrize("cosine", [-1.0, -0.3, 0.0, 0.6, 1.0])
def test_cosines_behind_relu_by_monte_carlo(cosine: float) -> None:
    random = torch.Generator().manual_seed(1)
    a, b = torch.randn(2, 1_000_000, generator=random, dtype=torch.float64)
    b = cosine * a + math.sqrt(1 - cosine**2) * b
    drawn = (a.relu() * b.relu()).mean() / 0.5
    stages = chain({}, {})
    found = similarities(stages, [torch.tensor([cosine], dtype=torch.float64)] * 2)
    assert found == pytest.approx([cosine, float(drawn)], abs=0.005)
    noisy = similarities(
        chain({"noise_mean": 1.0, "noise_square": 2.0}, {}), [torch.tensor([cosine])] * 2
    )
    assert noisy[1] == pytest.approx(float(drawn) / 2, abs=0.005)


def test_no_cosine_is_promised_where_none_is_known() -> None:
    same = [torch.ones(1)] * 3
    assert similarities(chain({}, {"norm_gain": 1.0}, {}), same) == [1.0, 1.0, None]
    assert similarities(chain({"dense": False}, {}, {}), same) == [None, None, None]
    softplus = chain({"activation": "softplus"}, {}, {"first": True})
    assert similarities(softplus, same) == [1.0, None, 1.0]
