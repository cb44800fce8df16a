from __future__ import annotations

import pytest
import torch

from ibdrop.data.base import UnitRange
from ibdrop.explain.base import Fill, Method
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.extremal import Extremal
from ibdrop.explain.fills import Average, Blur, Constant, Noise
from ibdrop.explain.meaningful import Meaningful
from ibdrop.explain.pyramid import Pyramid
from ibdrop.explain.score import KINDS
from ibdrop.models.allcnn import AllCNN
from ibdrop.noise.information import InformationNoise

METHODS = {
    "meaningful": Meaningful(steps=4, patience=1),
    "preservation": Meaningful(steps=2, start="ones", game="preservation"),
    "lbfgsb": Meaningful(steps=2, start="ones", optimiser="lbfgsb", jitter=1),
    "extremal": Extremal(steps=3, areas=(0.1, 0.2), patience=1),
    "dual": Extremal(steps=2, areas=(0.1,), game="dual", flip=True, smoothing=0.09),
}
FILLS = (Constant(), Constant("mean"), Noise(), Blur(), Average(), Pyramid())


def explained(
    place: torch.device, method: Method, fill: Fill, kind: str = "prob", draws: int = 0
) -> torch.Tensor:
    torch.manual_seed(0)
    network = AllCNN(1, (16, 16), 10, InformationNoise, width=0.1).to(place).eval()
    pixels = torch.rand(2, 1, 16, 16).to(place)
    explainer = Explainer(method, fill, kind, draws)  # type: ignore[arg-type]
    classes = torch.tensor([0, 3]).to(place)
    found = explainer(network, UnitRange(), pixels, torch.arange(2).to(place), classes)
    assert found.heat.device == place
    return found.heat.cpu()


def same(device: torch.device, method: Method, fill: Fill, *how: object) -> None:
    there = explained(device, method, fill, *how)  # type: ignore[arg-type]
    here = explained(torch.device("cpu"), method, fill, *how)  # type: ignore[arg-type]
    assert torch.equal(there, here)


@pytest.mark.parametrize("name", METHODS)
def test_masks_are_found_on_the_device_of_the_network(name: str, device: torch.device) -> None:
    same(device, METHODS[name], Blur())


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: fill.name)
def test_fills_are_made_on_the_device_of_the_pictures(fill: Fill, device: torch.device) -> None:
    same(device, METHODS["preservation"], fill)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_stay_on_the_device(kind: str, device: torch.device) -> None:
    same(device, METHODS["preservation"], Blur(), kind, 2)
