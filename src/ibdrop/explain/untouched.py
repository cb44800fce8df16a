"""A network that is only looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["untouched"]


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Lets gradients flow through a network to its input, and nothing else change.

    While the block runs the network is in evaluation mode and no parameter gathers a gradient.
    Afterwards flags, modes, gradients and the state of torch's generators are what they were,
    also after an error.
    """
    modes = [(module, module.training) for module in model.modules()]
    flags = [(p, p.requires_grad) for p in model.parameters()]
    devices = sorted({p.device.index for p, _ in flags if p.is_cuda})
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        try:
            model.eval()
            for p, _ in flags:
                p.requires_grad_(False)
            yield
        finally:
            for module, training in modes:
                module.training = training
            for p, required in flags:
                p.requires_grad_(required)
