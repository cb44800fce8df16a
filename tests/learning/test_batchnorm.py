"""Batch norm is re-estimated exactly, with the noise off, and the model is left as it was."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ibdrop.learning.batchnorm import reestimate


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
        self.dropout = nn.Dropout(0.5)

    def forward(self, images: Tensor, sample: bool | None = None) -> Tensor:
        x: Tensor = self.dropout(images) if self.training else images
        return torch.relu(self.norm(self.conv(x)))


def images() -> Tensor:
    torch.manual_seed(3)
    return torch.randn(37, 2, 8, 8) * 3 + 1


def test_moments_are_those_of_all_images() -> None:
    model, x = Net(), images()
    reestimate(model, x.split(10))
    y = model.conv(x)
    torch.testing.assert_close(model.norm.running_mean, y.mean((0, 2, 3)))
    torch.testing.assert_close(model.norm.running_var, y.var((0, 2, 3)))


def test_they_do_not_depend_on_batches_or_order() -> None:
    found = []
    for parts in (images().split(37), images().split(1), images().flip(0).split(5)):
        model = Net()
        model.conv.load_state_dict({"weight": torch.ones(3, 2, 3, 3), "bias": torch.arange(3.0)})
        reestimate(model, parts)
        found.append(model.norm.running_var)
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_flags_and_momentum_are_restored() -> None:
    model = Net().train()
    reestimate(model, images().split(10))
    assert model.training
    assert model.norm.training
    assert model.norm.momentum == 0.1
    assert not model.norm._forward_pre_hooks


def test_a_constant_layer_has_no_variance() -> None:
    model = Net()
    nn.init.zeros_(model.conv.weight)
    reestimate(model, images().split(9))
    assert model.norm.running_var is not None
    assert model.norm.running_var.abs().max() == 0
