"""The same network with its parameters shuffled: what an explanation must not survive."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import nn

from ibdrop.seeds import generator

__all__ = ["randomised"]


@torch.no_grad()
def randomised(model: nn.Module, seed: int) -> nn.Module:
    """Copies a network and shuffles the entries of each of its parameters among themselves.

    All layers at once: every tensor keeps its values and so its scale, but not where they were.
    A map that looks the same afterwards shows edges of the picture, and nothing that was learnt
    (Adebayo et al., Sanity checks for saliency maps, 2018, arXiv 1810.03292, section 3). Running
    statistics stay; they belong to the old weights, so estimate them anew before looking.

    Arguments:
        model: The network, which stays as it is.
        seed: Keys the shuffles, each by the name of its parameter.
    """
    copy = deepcopy(model)
    for name, p in copy.named_parameters():
        order = torch.randperm(p.numel(), generator=generator(seed, "randomised", name))
        p.copy_(p.flatten()[order.to(p.device)].view_as(p))
    return copy
