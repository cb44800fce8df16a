"""A trained network run again, from the folder of its run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.config.location import conf_dir
from ibdrop.errors import ConfigError, RunError
from ibdrop.learning.progress import bar
from ibdrop.learning.tasks import task_of
from ibdrop.runs.evaluate import fitting, images_to_see, infer
from ibdrop.runs.folder import Run
from ibdrop.runs.reload import trained as reloaded

__all__ = [
    "draw_chosen",
    "explained",
    "infer_again",
    "reload",
    "with_artifact",
    "with_config",
    "writing",
]

Figures = dict[str, object]


def with_artifact(run: Run, name: str, chosen: Mapping[str, Any]) -> Run:
    """The run with one artifact changed, or added as it is by default."""
    default = OmegaConf.to_container(OmegaConf.load(conf_dir() / "artifacts" / "default.yaml"))
    assert isinstance(default, dict)
    nodes = dict(run.config.get("artifacts") or {})
    given = {key: value for key, value in chosen.items() if value is not None}
    nodes[name] = {**(nodes.get(name) or default[name]), **given}
    return with_config(run, {**run.config, "artifacts": nodes})


def with_config(run: Run, config: Mapping[str, Any]) -> Run:
    """The same run under another config; nothing is written."""
    changed = Run(run.folder, run.record)
    changed.config = dict(config)
    return changed


def infer_again(
    run: Run, names: Sequence[str] | None, folder: Path, trained: Trained | None = None
) -> tuple[Figures, list[Path]]:
    """One deterministic pass over the test set with the artifacts that are named.

    Arguments:
        run: The run.
        names: The artifacts; `None` for all.
        folder: Where to write.
        trained: Its network, if that has been reloaded already, perhaps with other data.
    """
    options = build.options(run.config)
    artifacts = build.artifacts(run.config, names)
    trained = trained or reload(run)
    fit = fitting(artifacts, task_of(trained.model))
    if names is not None and len(fit) < len(artifacts):
        wrong = ", ".join(name for name in artifacts if name not in fit)
        kind = task_of(trained.model).name
        raise RunError(f"{run.folder}: {wrong} is not for a network made for {kind}")
    artifacts = fit
    count = images_to_see(trained, artifacts, options.limit_images)
    with writing(folder), bar(shown=options.progress) as progress:
        task = progress.add_task("test", total=count, figures="")
        return infer(
            trained,
            artifacts,
            folder,
            batch_size=options.eval_batch_size,
            limit=options.limit_images,
            on_batch=lambda images: progress.advance(task, images),
        )


def draw_chosen(run: Run, index: Sequence[int], folder: Path) -> list[Path]:
    """Heat maps, and their quality, of the images with these numbers and of no others."""
    artifact = build.artifacts(run.config, ["heatmap"])["heatmap"]
    trained = reload(run)
    last = len(trained.data.test) - 1
    if max(index) > last:
        problem = (
            f"--index: there is no test image {max(index)}; they have the numbers 0 to {last}"
        )
        raise ConfigError([problem])
    numbers = torch.tensor(list(dict.fromkeys(index)))
    artifact.begin(trained)
    with torch.no_grad():
        for part in numbers.split(build.options(run.config).eval_batch_size):
            batch = trained.data.test.batch(part)
            inputs = trained.data.inputs(batch.images)
            artifact.update(batch, trained.model(inputs, sample=False))
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        return artifact.write(folder)


def reload(run: Run) -> Trained:
    """The network of the run, as it was tested."""
    with explained(run):
        return reloaded(run)


@contextmanager
def explained(run: Run) -> Iterator[None]:
    """Says in a sentence why the network of a run cannot be made.

    Raises:
        RunError: A class of the user's cannot be found from here, or the checkpoint is that of
            another network.
    """
    try:
        yield
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise
        best = run.checkpoints / "best.ckpt"
        raise RunError(f"{best} does not fit the network that config.yaml describes") from error
    except ImportError as error:
        what = str(error).splitlines()[0].rstrip(":")
        where = run.record.get("directory") or "the folder that holds it"
        raise RunError(
            f"{run.folder} needs a class that cannot be imported here ({what}); "
            f"the run was made in {where}: call ibdrop from there"
        ) from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Says in a sentence why a folder cannot be written into."""
    try:
        yield
    except OSError as error:
        raise RunError(f"cannot write into {folder}: {error.strerror}") from error
