"""What must be said of a run before its figures can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from ibdrop.config.check import settings_without_effect
from ibdrop.data.base import ImageData, UnitRange
from ibdrop.models.generative import Autoencoder

__all__ = ["has_information", "of_costs", "without_effect"]


def of_costs(model: Autoencoder, data: ImageData, b: float) -> str:
    """What the costs of an autoencoder are costs of, in a sentence.

    Arguments:
        model: The network.
        data: What it reconstructs.
        b: The weight of one nat of KL in training.
    """
    scale = f"byte/{data.transform.white}" if isinstance(data.transform, UnitRange) else "scaled"
    sentence = (
        f"Costs are nats per image, summed over the pixels ({scale}), under a {model.likelihood}"
        f" likelihood{f' of {model.pixels}' if model.likelihood == 'bernoulli' else ''}"
    )
    if model.is_bound:
        end = "bound the negative log-likelihood of the pixels from above"
        weighed = "" if b == 1 else f"; training weighed the KL by {b:.3g}"
        return f"{sentence}; in validation and test, at beta = 1, they {end}{weighed}."
    if model.uses_noise:
        return f"{sentence}; the prior is improper, so no sum of cost and KL bounds a likelihood."
    return f"{sentence}."


def has_information(model: nn.Module) -> bool:
    """Whether the network has a KL that beta can weigh."""
    uses_noise = bool(getattr(model, "uses_noise", True))
    return uses_noise or (isinstance(model, Autoencoder) and model.is_bound)


def without_effect(
    model: nn.Module, config: Mapping[str, Any], overrides: Sequence[str]
) -> list[str]:
    """One sentence for each thing that was asked for and changes nothing, or not what is meant.

    Arguments:
        model: The network.
        config: The resolved config of its run.
        overrides: What was asked for, as `KEY=VALUE`.
    """
    words = [word for word in overrides if word != "noise=none"]
    given = {word.partition("=")[0].lstrip("+") for word in words}
    beta, kind = f"{config['beta']:g}", type(model).__name__
    uses_noise = bool(getattr(model, "uses_noise", True))
    if uses_noise and not isinstance(model, Autoencoder):
        return settings_without_effect(config) if "beta" in given else []
    found = []
    if "beta" in given and not has_information(model):
        found.append(f"beta={beta} has no effect: {kind} has no information term")
    if "noise" in given and not uses_noise:
        found.append(f"the noise that was chosen has no effect: {kind} has no use for it")
    if has_information(model) and config["beta_units"] == "paper":
        found.append(
            f"beta={beta} in paper units makes the code all but free: an autoencoder's bound has"
            " beta=1 beta_units=nats"
        )
    return found
