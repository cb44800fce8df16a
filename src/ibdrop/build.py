"""From a configuration to objects: the only place that instantiates, and where configs stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import hydra.utils
import torch
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from torch import Tensor, nn

from ibdrop.artifacts.base import Artifact
from ibdrop.data.base import ImageData, ImageSpec
from ibdrop.errors import ConfigError, IbdropError
from ibdrop.learning.loader import Position, batches, count_batches
from ibdrop.learning.module import Learner
from ibdrop.learning.objective import InformationWeight
from ibdrop.learning.progress import reading
from ibdrop.learning.trainer import TrainerOptions
from ibdrop.models.generative import Autoencoder
from ibdrop.seeds import generator, key

__all__ = ["Experiment", "artifacts", "data", "experiment", "model", "options", "overridden"]

Config = Mapping[str, Any]

LOOKED_AT = 1000
"""Images whose range of pixels is looked at."""

# From Hydra 1.4 on, whoever instantiates says what may be called: here all that a config names,
# since classes of the user's own are the point.
_UNCHECKED = getattr(hydra.utils, "UNSAFE_DISABLE_EXECUTION_CHECKS", None)
_TRUST: dict[str, Any] = {} if _UNCHECKED is None else {"_execution_whitelist_": _UNCHECKED}


@dataclass(frozen=True)
class Experiment:
    """Everything that training needs, built from one configuration."""

    data: ImageData
    module: Learner
    options: TrainerOptions
    device: torch.device
    fresh_model: Callable[[], nn.Module]


def experiment(config: Config) -> Experiment:
    """Builds data, network, objective and optimiser.

    Raises:
        ConfigError: A constructor refuses a value.
        DataError: The data are missing or damaged.
    """
    how = options(config)
    device = how.pick_device()
    images = data(config).to(device)
    network = model(config, images.spec, images).to(device)
    if isinstance(network, Autoencoder) or getattr(network, "pretrain_epochs", False):
        _acquaint(network, images)
    size = min(config["batch_size"], len(images.train))
    steps = min(count_batches(images.train, size), how.limit_steps or 1 << 62)
    weight = InformationWeight(
        config["beta"], config["beta_units"], len(images.train), config["beta_warmup"]
    )
    module = Learner(
        network,
        images.inputs,
        weight,
        _make(config, "optim"),
        _make(config, "schedule"),
        how,
        Position(),
        epochs=min(config["epochs"], how.limit_epochs or config["epochs"]),
        steps=steps,
        batch_size=size,
        seed=config["seed"],
        # Runs made before there was this key shuffled.
        shuffle=config.get("shuffle", True),
    )
    return Experiment(
        images, module, how, device, lambda: model(config, images.spec, images).to(device)
    )


def _acquaint(network: nn.Module, images: ImageData) -> None:
    """Lets a network that reconstructs see what it will reconstruct, before training.

    Raises:
        ConfigError: The pixels are not from 0 to 1.
    """
    some = torch.arange(min(LOOKED_AT, len(images.train)))
    x = images.inputs(images.train.batch(some).images)
    low, high = float(x.min()), float(x.max())
    if low < 0 or high > 1:
        raise ConfigError(
            [
                f"dataset: its pixels reach the network as {low:.3g} to {high:.3g}; an autoencoder"
                " gives pixels from 0 to 1, so leave them so with dataset.normalise=unit"
            ]
        )
    if isinstance(network, Autoencoder) and type(network).prepare is not Autoencoder.prepare:
        network.prepare(_mean_image(images))


def _mean_image(images: ImageData) -> Tensor:
    """The mean training image as the network reads it, with shape (C, H, W)."""
    total = sum(
        images.inputs(batch.images).sum(0, dtype=torch.float64)
        for batch in batches(images.train, LOOKED_AT)
    )
    assert isinstance(total, Tensor)
    return (total / len(images.train)).float()


def options(config: Config) -> TrainerOptions:
    """How to compute."""
    found: TrainerOptions = _make(config, "trainer")
    return found


def data(config: Config) -> ImageData:
    """The data set with its training images augmented, on the CPU.

    Raises:
        ConfigError: The data set or the augmentation refuses a value.
        DataError: The data are missing or damaged.
    """
    # Runs trained before there was augmentation have no such node.
    vary = _make(config, "augment") if config.get("augment") else None
    with reading(shown=config["trainer"].get("progress", True)):
        found: ImageData = _make(config, "dataset", seed=config["seed"])
    if vary is None:
        return found
    try:
        train = vary(found.train, found.spec, config["seed"])
    except ValueError as error:
        raise ConfigError([f"augment: {error}"]) from error
    return found if train is found.train else replace(found, train=train)


def model(
    config: Config, spec: ImageSpec, images: ImageData | None = None, *, published: bool = True
) -> nn.Module:
    """The network with fresh weights, keyed by the seed, on the CPU.

    Arguments:
        config: The configuration.
        spec: Shape and classes of the images.
        images: The data, for initialisations that see the network work on a training batch; for
            `None` they do not, as where a checkpoint replaces the weights.
        published: Whether a network with weights that somebody published begins with them, and
            not with fresh ones; a checkpoint brings its own.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config["seed"], "init"))
        network: nn.Module = _make(
            config,
            "model",
            in_channels=spec.channels,
            image_size=(spec.height, spec.width),
            num_classes=len(spec.classes),
            noise=_make(config, "noise"),
        )
        if not getattr(network, "pretrained", False):
            _initialise(network, config, images)
        elif published:
            _take_over(network)
    if config["trainer"].get("channels_last", True):
        network = network.to(memory_format=torch.channels_last)
    return network


def _take_over(network: Any) -> None:
    """Gives a network the weights that somebody published."""
    try:
        network.load_pretrained()
    except ValueError as error:
        raise ConfigError([f"model: {error}"]) from error


def _initialise(network: nn.Module, config: Config, images: ImageData | None) -> None:
    try:
        adjust = _make(config, "init")(network)
        if adjust is not None and images is not None:
            shuffled = generator(config["seed"], "init", "batch")
            order = torch.randperm(len(images.train), generator=shuffled)
            batch = images.train.batch(order[: config["batch_size"]])
            adjust(images.inputs(batch.images).cpu())
    except ValueError as error:
        raise ConfigError([f"init: {error}"]) from error


def artifacts(config: Config, names: Iterable[str] | None = None) -> dict[str, Artifact]:
    """The artifacts that a run writes, or those of them that are named.

    Raises:
        ConfigError: A name is none of the run's artifacts.
    """
    nodes = config["artifacts"] or {}
    chosen = list(nodes) if names is None else list(names)
    unknown = [name for name in chosen if name not in nodes]
    if unknown:
        raise ConfigError(
            [f"artifacts.{name}: the run has {', '.join(nodes) or 'none'}" for name in unknown]
        )
    return {name: _instantiate(f"artifacts.{name}", nodes[name]) for name in chosen}


def overridden(config: Config, overrides: Iterable[str]) -> dict[str, Any]:
    """A copy of a run's configuration with `KEY=VALUE` changes of existing keys.

    Raises:
        ConfigError: A change is no `KEY=VALUE`, or names no key of the configuration.
    """
    changed = OmegaConf.create(dict(config))
    OmegaConf.set_struct(changed, True)
    problems = []
    for override in overrides:
        name, equals, _ = override.partition("=")
        if not equals:
            problems.append(f"{override}: is no KEY=VALUE")
            continue
        try:
            changed.merge_with_dotlist([override])
        except OmegaConfBaseException:
            problems.append(f"{name}: the run's config.yaml has no such key")
    if problems:
        raise ConfigError(problems)
    plain = OmegaConf.to_container(changed, resolve=True)
    assert isinstance(plain, dict)
    return {str(name): value for name, value in plain.items()}


def _make(config: Config, group: str, **supplied: Any) -> Any:
    return _instantiate(group, config[group], **supplied)


def _instantiate(where: str, node: Config, **supplied: Any) -> Any:
    """Calls a node's target; what its constructor refuses is the user's to mend."""
    try:
        return instantiate(dict(node), **supplied, _convert_="all", **_TRUST)
    except InstantiationException as error:
        cause = error.__cause__
        while isinstance(cause, InstantiationException) and cause.__cause__ is not None:
            cause = cause.__cause__
        if isinstance(cause, IbdropError):
            raise cause from None
        if isinstance(cause, ValueError):
            raise ConfigError([f"{where}: {cause}"]) from error
        raise cause if cause is not None else error from None
