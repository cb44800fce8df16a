"""`ibdrop explain`: which part of an image makes a network name its class."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from rich.progress import TaskID
from torch import Tensor

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.explanations import write_explanations
from ibdrop.cli.explain_table import show_explanations
from ibdrop.cli.network import reload, writing
from ibdrop.cli.places import named, other_data, place_for, say, tell
from ibdrop.data.picture_file import SUFFIXES
from ibdrop.errors import ConfigError, RunError
from ibdrop.explain.attributions import ATTRIBUTIONS
from ibdrop.files import read_csv
from ibdrop.learning.progress import bar
from ibdrop.learning.tasks import task_of
from ibdrop.runs.explain import Settings, Watch, fill_names, method
from ibdrop.runs.explain import arguments as method_arguments
from ibdrop.runs.explain import explain as carry_out
from ibdrop.runs.folder import Run
from ibdrop.runs.judging import refused
from ibdrop.runs.selection import Chosen, Selector, class_number, of_files

__all__ = ["explain"]

IMAGES = 6
"""Images that are explained where nobody says how many."""

QUALITY_IMAGES = 1000
"""Images that are measured where nobody says how many; masks take fewer of them."""

WAYS = {
    "index": "--index",
    "of_class": "--class",
    "uncertain": "--uncertain",
    "wrong": "--wrong",
    "picture": "--picture",
}
CHANGES = ("game", "optimiser", "steps", "grid", "areas")
"""Flags that are arguments of the method."""


def explain(arguments: Namespace) -> int:
    """`ibdrop explain` on the images of a run, or on a picture file.

    Raises:
        IbdropError: What the user can mend.
    """
    way = _way(arguments)
    settings = _settings(arguments)
    method(settings)
    if _is_picture(arguments.run):
        return _picture(arguments, settings, way)
    run = named(arguments)
    trained = reload(run)
    if task_of(trained.model).name != "classification":
        raise RunError(
            f"{run.folder}: its network is an autoencoder, which names no classes to explain; "
            "`ibdrop train` trains a classifier"
        )
    options = build.options(run.config)
    other = other_data(arguments.changes)
    folder = place_for(run, arguments.output, other)
    if arguments.quality:
        return _quality(run, trained, arguments, settings, way, folder, options.progress)
    chosen = _chosen(run, trained, arguments, way, not other)
    files = _explained(trained, chosen, settings, arguments.target, folder, options.progress)
    tell(run, files)
    return 0


def _quality(
    run: Run,
    trained: Trained,
    arguments: Namespace,
    settings: Settings,
    way: str | None,
    folder: Path,
    shown: bool,
) -> int:
    """Measures masks, KL maps and baselines on many rightly classified images."""
    from ibdrop.runs.explanation_maps import METHODS
    from ibdrop.runs.explanation_quality import quality

    if way:
        raise ConfigError([f"--quality: takes right images of all classes, not {WAYS[way]}"])
    first, second = fill_names(settings, trained)
    captum = find_spec("captum") is not None
    if arguments.baselines and not captum:
        say("note   without captum there are no baselines; `pip install 'ibdrop[captum]'`")
    baselines = arguments.baselines and captum
    names = [name for name in METHODS if baselines or name not in ATTRIBUTIONS]
    changed = method_arguments(settings)
    if settings.preset:
        changed["preset"] = settings.preset
    with writing(folder), _watched(shown) as watch, refused():
        folder.mkdir(parents=True, exist_ok=True)
        files = quality(
            trained,
            folder,
            images=arguments.images or QUALITY_IMAGES,
            methods=names,
            fill=first,
            second=(second,),
            changes={settings.method: changed} if changed else {},
            progress=lambda what, share: watch("quality", round(1000 * share), 1000),
        )
    tell(run, files)
    return 0


def _picture(arguments: Namespace, settings: Settings, way: str | None) -> int:
    """Explains a picture to a network of torchvision's, without a run."""
    from ibdrop.cli.explain_picture import network, place

    path = arguments.run
    for name, given in (("quality", arguments.quality), (way, way), ("images", arguments.images)):
        if given:
            flag = WAYS.get(str(name), f"--{name}")
            raise ConfigError([f"{flag}: is for the images of a run, and {path} is a picture"])
    asked = network(path, arguments.changes)
    chosen = of_files([path], 3, asked.size, asked.resize)
    trained = asked.trained(chosen.batch)
    folder = arguments.output or place(path, asked.name)
    files = _explained(trained, chosen, settings, arguments.target, folder, asked.options.progress)
    for file in files:
        say(f"wrote  {file}")
    return 0


def _explained(
    trained: Trained,
    chosen: Chosen,
    settings: Settings,
    target: str | None,
    folder: Path,
    shown: bool,
) -> list[Path]:
    """Finds masks, writes everything, and prints what came out."""
    say(f"images {len(chosen.batch.index)} {chosen.how}")
    notes: dict[str, None] = {}
    classes = _classes(trained, chosen, target)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _watched(shown) as watch:
        found = carry_out(trained, chosen, settings, classes, watch, notes.setdefault)
    with writing(folder):
        files = write_explanations(found, folder)
        _forget(folder, files)
    show_explanations(read_csv(folder / "explanations.csv"))
    for note in notes:
        say(f"note   {note}")
    return files


def _forget(folder: Path, files: Sequence[Path]) -> None:
    """Removes the pictures of images that were explained here before and are not now."""
    for old in folder.glob("explain_*[0-9].png"):
        if old not in files:
            old.unlink()


def _classes(trained: Trained, chosen: Chosen, target: str | None) -> Tensor | None:
    if target is None:
        return None
    number = class_number(target, trained.data.spec.classes, "--target")
    return torch.full((len(chosen.batch.index),), number)


def _way(arguments: Namespace) -> str | None:
    """How images are chosen, if it was said.

    Raises:
        ConfigError: It was said in several ways.
    """
    given = [name for name in WAYS if getattr(arguments, name)]
    if len(given) > 1:
        flags = " and ".join(WAYS[name] for name in given)
        raise ConfigError([f"{flags} choose images in different ways; give one of them"])
    if arguments.images and given and given != ["of_class"]:
        raise ConfigError([f"--images: goes alone or with --class, not with {WAYS[given[0]]}"])
    return given[0] if given else None


def _settings(arguments: Namespace) -> Settings:
    changes = {name: getattr(arguments, name) for name in CHANGES}
    return Settings(
        method=arguments.method,
        preset=arguments.preset,
        fill=arguments.fill,
        second=arguments.second,
        kind=arguments.score,
        draws=arguments.draws,
        together=arguments.together,
        baselines=arguments.baselines,
        changes={name: value for name, value in changes.items() if value is not None},
    )


def _chosen(
    run: Run, trained: Trained, arguments: Namespace, way: str | None, own: bool
) -> Chosen:
    """The images that were asked for."""
    options = build.options(run.config)
    spec = trained.data.spec
    select = Selector(trained, options.eval_batch_size, options.limit_images)
    if way == "picture":
        return of_files(arguments.picture, spec.channels, (spec.height, spec.width))
    if way == "index":
        return select.numbered(arguments.index)
    if way == "of_class":
        label = class_number(arguments.of_class, spec.classes, "--class")
        return select.of_class(label, arguments.images or IMAGES)
    if way == "wrong":
        return select.wrong(arguments.wrong)
    if way == "uncertain":
        ranking = run.artifacts / "ranking.csv" if own else None
        return select.uncertain(arguments.uncertain, ranking)
    return select.spread(arguments.images or IMAGES)


def _is_picture(text: str) -> bool:
    path = Path(text).expanduser()
    return path.is_file() or (not path.exists() and path.suffix.lower() in SUFFIXES)


@contextmanager
def _watched(shown: bool) -> Iterator[Watch]:
    """Draws a bar for each thing that is done."""
    with bar(shown=shown) as progress:
        tasks: dict[str, TaskID] = {}

        def watch(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(what, total=total, figures="")
            progress.update(tasks[what], completed=done)

        yield watch
        for task in tasks.values():
            progress.update(task, completed=progress.tasks[task].total)
