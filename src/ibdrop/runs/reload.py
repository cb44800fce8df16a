"""The network of a finished run, from its folder alone."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.learning.checkpoint import load_checkpoint
from ibdrop.runs.folder import Run

__all__ = ["trained"]


def trained(run: Run, overrides: Iterable[str] = ()) -> Trained:
    """Reloads the network of a run from its best checkpoint, with its data as they are.

    Arguments:
        run: The run.
        overrides: `KEY=VALUE` changes to its configuration, such as `dataset.root=DIR`.

    Raises:
        RunError: The checkpoint is missing or damaged.
        ConfigError: An override names no key of the run.
    """
    config = build.overridden(run.config, overrides)
    device = build.options(config).pick_device()
    images = build.data({**config, "augment": None}).to(device)
    network = build.model(config, images.spec, published=False).to(device)
    network.load_state_dict(load_checkpoint(run.checkpoints / "best.ckpt", device)["model"])

    def untrained() -> nn.Module:
        return build.model(config, images.spec, images, published=False).to(device).eval()

    return Trained(network.eval(), images, device, config["seed"], untrained, run.folder)
