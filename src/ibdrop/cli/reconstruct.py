"""`ibdrop reconstruct`: what an autoencoder gives back, and what it sees and keeps."""

from __future__ import annotations

from argparse import Namespace

from ibdrop.cli.places import named, other_data, place_for, tell
from ibdrop.errors import RunError

__all__ = ["PICTURES", "reconstruct"]

PICTURES = ("reconstructions", "filters", "latents", "manifold")
"""The artifacts of an autoencoder that look at what it makes of images."""


def reconstruct(arguments: Namespace) -> int:
    """`ibdrop reconstruct`: the pictures of an autoencoder alone.

    Raises:
        RunError: The network is none.
    """
    from ibdrop.cli.network import infer_again, reload, with_artifact
    from ibdrop.models.generative import Autoencoder

    run = named(arguments)
    trained = reload(run)
    if not isinstance(trained.model, Autoencoder):
        raise RunError(
            f"{run.folder}: its network is a classifier, which reconstructs nothing; "
            "`ibdrop train experiment=autoencoder_mnist` trains one that does"
        )
    changed = with_artifact(run, PICTURES[0], {"images": arguments.images})
    for name in PICTURES[1:]:
        changed = with_artifact(changed, name, {})
    folder = place_for(run, arguments.output, other_data(arguments.changes))
    _, files = infer_again(changed, PICTURES, folder, trained)
    tell(run, files)
    return 0
