from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ibdrop.data.base import UnitRange
from ibdrop.explain.base import Explanation, Method
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.extremal import Extremal
from ibdrop.explain.fills import Blur, Noise
from ibdrop.explain.meaningful import Meaningful
from ibdrop.models.lenet import LeNet
from ibdrop.noise.information import InformationNoise

METHODS = {"meaningful": Meaningful(steps=20, jitter=1), "extremal": Extremal(steps=20)}


def pixels() -> Tensor:
    return torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))


def explained(
    place: str, method: Method, fill: Blur | Noise, rows: slice = slice(None)
) -> Explanation:
    torch.manual_seed(0)
    network = LeNet(1, (28, 28), 10, InformationNoise, channels=(4, 8), width=32)
    network = network.to(place, memory_format=torch.channels_last).eval()
    explainer = Explainer(method, fill, "logit")
    index = torch.arange(3, device=place)[rows]
    return explainer(network, UnitRange(), pixels().to(place)[rows], index, index % 2)


@pytest.mark.gpu
@pytest.mark.parametrize("fill", [Blur(), Noise()], ids=lambda fill: fill.name)
@pytest.mark.parametrize("name", METHODS)
def test_masks_on_cuda_are_those_of_the_cpu(name: str, fill: Blur | Noise) -> None:
    here, there = (explained(place, METHODS[name], fill) for place in ("cpu", "cuda"))
    assert there.masks.is_cuda
    # Products on CUDA may be in TF32, of ten bits.
    torch.testing.assert_close(there.scores[0].cpu(), here.scores[0], rtol=5e-3, atol=5e-3)
    torch.testing.assert_close(
        there.heat.mean((1, 2)).cpu(), here.heat.mean((1, 2)), rtol=0, atol=0.02
    )


@pytest.mark.gpu
@pytest.mark.parametrize("name", METHODS)
def test_on_cuda_a_picture_does_not_see_the_others_of_its_batch(name: str) -> None:
    whole = explained("cuda", METHODS[name], Blur())
    alone = explained("cuda", METHODS[name], Blur(), slice(1, 2))
    torch.testing.assert_close(alone.scores[0], whole.scores[0, 1:2], rtol=5e-3, atol=5e-3)
    difference = (alone.heat.mean((1, 2)) - whole.heat[1:2].mean((1, 2))).abs()
    assert float(difference) < 0.02


@pytest.mark.gpu
def test_explaining_leaves_the_random_state_of_cuda() -> None:
    explained("cuda", METHODS["meaningful"], Noise())
    before = torch.cuda.get_rng_state()
    explained("cuda", METHODS["meaningful"], Noise())
    assert torch.equal(torch.cuda.get_rng_state(), before)
