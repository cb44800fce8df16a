"""What comes before training where a run is asked to look at its initial weights."""

from __future__ import annotations

import torch

from ibdrop.artifacts.probe import write_probe
from ibdrop.build import Experiment
from ibdrop.errors import ConfigError
from ibdrop.learning.classification import Classification
from ibdrop.learning.probe import probe as measure
from ibdrop.learning.probe import summary
from ibdrop.learning.progress import say
from ibdrop.runs.folder import Run
from ibdrop.seeds import generator

__all__ = ["check_probe", "probe"]


def check_probe(experiment: Experiment, wanted: bool) -> None:
    """Refuses to look into what is no classifier, before there is a run.

    Arguments:
        experiment: What was built.
        wanted: Whether `probe=true`.

    Raises:
        ConfigError: The network is no classifier.
    """
    if wanted and not isinstance(experiment.module.task, Classification):
        raise ConfigError(
            ["probe=true: looks into classifiers alone; leave it out with an autoencoder"]
        )


def probe(run: Run, experiment: Experiment) -> None:
    """Measures how variance passes through a fresh classifier if `probe=true`, and says so.

    One batch of training images, chosen by the seed, is shown to it. Leaves `probe.csv` and
    `probe.png` among the artifacts of the run; the network stays as it is.

    Arguments:
        run: The run.
        experiment: What was built for it, a classifier.
    """
    # Runs made before there was this key have none.
    if not run.config.get("probe"):
        return
    module, data = experiment.module, experiment.data
    order = torch.randperm(len(data.train), generator=generator(module.seed, "probe", "images"))
    batch = data.train.batch(order[: module.batch_size])
    x = data.inputs(batch.images)
    rows = measure(module.model, x, batch.labels.to(x.device), module.seed)
    write_probe(rows, run.artifacts)
    say(summary(rows))
