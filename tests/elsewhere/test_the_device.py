from __future__ import annotations

import pytest
import torch
from torch import nn


def test_tensors_of_two_devices_do_not_meet(device: torch.device) -> None:
    away, here = torch.ones(2, 3, device=device), torch.ones(2, 3)
    with pytest.raises(RuntimeError, match="meet tensors of the device"):
        away + here
    with pytest.raises(RuntimeError, match="indexed by one of the device"):
        here[torch.zeros(1, dtype=torch.long, device=device)]
    assert (away + torch.tensor(2.0)).sum().item() == 18
    assert away[torch.tensor([0])].device == device
    assert (away.cpu() + here).device.type == "cpu"


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")
def test_networks_learn_there_as_on_the_cpu(device: torch.device) -> None:
    torch.manual_seed(0)
    x, start = torch.rand(5, 3), nn.Linear(3, 2).state_dict()
    ends = []
    for place in (device, torch.device("cpu")):
        layer = nn.Linear(3, 2).to(place)
        layer.load_state_dict(start)
        optimizer = torch.optim.Adam(layer.parameters())
        layer(x.to(place)).square().sum().backward()
        assert layer.weight.device == place
        optimizer.step()
        ends.append(layer.weight.detach().cpu())
    assert torch.equal(*ends)
    assert not torch.equal(ends[0], start["weight"])
