"""A network of torchvision's without a run, to explain a picture to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torch import nn

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.cli.places import outputs
from ibdrop.config.location import conf_dir
from ibdrop.config.targets import nearest
from ibdrop.data.base import Batch, ImageData, ImageSpec, StaticImages
from ibdrop.errors import ConfigError, DataError
from ibdrop.learning.trainer import TrainerOptions
from ibdrop.models.torchvision import categories, published, sides

__all__ = ["Asked", "network", "place"]


@dataclass(frozen=True)
class Asked:
    """A network that was asked for by its words.

    Attributes:
        config: What it is built from.
        classes: The names of its classes.
        resize: What the shorter side of a picture is brought to, in pixels.
        size: What is then cut out of its middle.
        options: How to compute.
    """

    config: dict[str, Any]
    classes: tuple[str, ...]
    resize: int
    size: tuple[int, int]
    options: TrainerOptions

    @property
    def name(self) -> str:
        """The name in torchvision."""
        return str(self.config["model"]["name"])

    def trained(self, batch: Batch) -> Trained:
        """The network with these pictures as its data.

        Raises:
            DataError: Its weights are not here and cannot be fetched.
        """
        spec = ImageSpec(3, *self.size, self.classes)
        device = self.options.pick_device()
        images = StaticImages(batch.images, batch.labels)
        data = ImageData("pictures", spec, images, images, images).to(device)

        def made(published: bool) -> nn.Module:
            return build.model(self.config, spec, published=published).to(device).eval()

        seed = self.config["seed"]
        return Trained(made(True), data, device, seed, lambda: made(False), Path())


def network(path: str, words: Sequence[str]) -> Asked:
    """The network that the words after a picture ask for; with published weights by default.

    Arguments:
        path: The picture.
        words: `model=torchvision`, `model.*`, `trainer.*` and `seed`.

    Raises:
        ConfigError: With every mistake in the words, or the network has no such weights.
        DataError: There is no such picture.
    """
    if not Path(path).expanduser().exists():
        raise DataError(f"there is no file {path}")
    config: dict[str, Any] = {group: _node(group, name) for group, name in GROUPS.items()}
    config["seed"] = 0
    config["model"]["weights"] = "DEFAULT"
    changes = [word for word in words if word != "model=torchvision"]
    wrong = [problem for word in changes if (problem := _problem(word, config, path))]
    if wrong:
        raise ConfigError(wrong)
    config = build.overridden(config, changes)
    name, weights = config["model"]["name"], config["model"]["weights"]
    try:
        resize, side = sides(published(name, weights))
        classes = categories(name, weights)
    except ValueError as error:
        raise ConfigError([f"model: {error}"]) from error
    return Asked(config, classes, resize, (side, side), build.options(config))


def place(path: str, name: str) -> Path:
    """Where what is made of a picture goes."""
    return outputs() / "explain" / f"{Path(path).stem}_{name}"


GROUPS = {"model": "torchvision", "noise": "none", "init": "he_normal", "trainer": "auto"}


def _node(group: str, name: str) -> dict[str, Any]:
    loaded = OmegaConf.load(conf_dir() / group / f"{name}.yaml")
    assert isinstance(loaded, DictConfig)
    plain = OmegaConf.to_container(loaded.get(group, loaded))
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def _problem(word: str, config: dict[str, Any], path: str) -> str | None:
    """What is wrong with a word."""
    key, equals, value = word.partition("=")
    group, _, name = key.partition(".")
    if key == "model":
        return (
            f"{word}: without a run there are torchvision's networks alone; "
            f"`ibdrop explain RUN --picture {path}` asks a network of yours"
        )
    if not equals or group not in ("model", "trainer", "seed"):
        return f"{word}: with a picture only model.*, trainer.* and seed can be said"
    if group != "seed" and (name not in config[group] or name.startswith("_")):
        known = [each for each in config[group] if not each.startswith("_")]
        hint = nearest(name, known) or f"; {group} has {', '.join(known)}"
        return f"{key}: there is no such key{hint}"
    if key == "seed" and not value.isdecimal():
        return f"{word}: a seed is a whole number, 0 or more"
    return None
