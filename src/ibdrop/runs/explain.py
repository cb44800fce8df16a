"""Explains images of a network: masks, and everything that they are judged by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.explanations import Explained
from ibdrop.errors import ConfigError
from ibdrop.explain import presets
from ibdrop.explain.base import PAPER_SIDE, Fill, Method
from ibdrop.explain.explainer import Explainer
from ibdrop.explain.score import Kind
from ibdrop.learning.determinism import reproducible
from ibdrop.runs.judging import Judge, refused
from ibdrop.runs.selection import Chosen

__all__ = [
    "Settings",
    "Watch",
    "arguments",
    "explain",
    "few",
    "fill_names",
    "fills",
    "method",
]

Watch = Callable[[str, int, int], None]
"""Hears what is being done, how much of it is done, and how much it is in all."""

PIXELS = 64 * 96 * 96
"""Pixels that are optimised at once, all areas together, unless the user says how many images."""


BLURRED_FROM = 64
"""Sides in pixels below which the blur, which is wide at 224 px, deletes next to nothing."""


@dataclass(frozen=True)
class Settings:
    """How to explain; what is `None` is as in the preset.

    Attributes:
        method: A key of `ibdrop.explain.presets.METHODS`.
        preset: A key of `ibdrop.explain.presets.PRESETS`, for `meaningful`.
        fill: The fill that is optimised.
        second: The fill on which masks are only judged.
        kind: How the class is scored, see `ibdrop.explain.score.Kind`.
        draws: Draws of the noise over which the score is averaged; 0 for no noise.
        together: Images at once; by default as many as fit beside each other.
        baselines: Whether other attributions are made too.
        changes: Arguments of the method other than in its preset.
    """

    method: str = "meaningful"
    preset: str | None = None
    fill: str | None = None
    second: str | None = None
    kind: Kind | None = None
    draws: int = 0
    together: int | None = None
    baselines: bool = True
    changes: dict[str, Any] = field(default_factory=dict)


def explain(
    trained: Trained,
    chosen: Chosen,
    settings: Settings | None = None,
    classes: Tensor | None = None,
    watch: Watch = lambda what, done, total: None,
    say: Callable[[str], None] = lambda words: None,
) -> Explained:
    """Finds masks of images and measures what they do; the network stays as it was.

    Arguments:
        trained: The network and its data.
        chosen: The images.
        settings: How.
        classes: The class asked for in each image, with shape :math:`(B)`; the predicted ones
            without.
        watch: For a progress bar.
        say: Hears, in a sentence, what could not be made.

    Raises:
        ConfigError: Settings do not go together, or with these data.
    """
    settings = settings or Settings()
    how = method(settings)
    first, second = fills(trained, chosen, settings)
    kind, together = _kind(settings), few(how, chosen, settings.together)
    x, index = chosen.batch.images.to(trained.device).float() / 255, chosen.batch.index
    with reproducible(True):
        predictions = _predictions(trained, x)
        asked = predictions if classes is None else classes.to(trained.device)
        explainer = Explainer(how, first, kind, settings.draws, trained.seed, together)
        with refused():
            found = explainer(
                trained.model,
                trained.data.transform,
                x,
                index,
                asked,
                _counted(how, len(x), watch),
            )
            judge = Judge(trained, explainer, second, settings.baselines, say)
            judged = judge(x, index, asked, found, watch)
    return Explained(
        pixels=x,
        index=index,
        labels=chosen.batch.labels,
        classes=asked,
        class_names=trained.data.spec.classes,
        predictions=predictions,
        explanation=found,
        game=getattr(how, "game", "deletion"),
        method=how.name,
        fill=first.name,
        second_fill=second.name,
        seed=trained.seed,
        settings=_worth_saying(settings, how, kind),
        boxes=chosen.batch.boxes,
        names=chosen.names,
        **judged,
    )


def method(settings: Settings) -> Method:
    """Makes the method.

    Raises:
        ConfigError: It has no such setting, a value is out of range, or both fills are the same.
    """
    if settings.second == _first(settings):
        raise ConfigError(
            [f"--second {settings.second}: is the fill of the masks; choose another"]
        )
    with refused():
        return presets.method(settings.method, settings.preset, **arguments(settings))


def arguments(settings: Settings) -> dict[str, Any]:
    """The arguments of the method's class that differ from its preset.

    Raises:
        ConfigError: The method has no such setting.
    """
    changes = dict(settings.changes)
    if settings.method == "extremal":
        _refuse(changes, "optimiser", "of --method meaningful")
        if "grid" in changes:
            changes["grid"] = PAPER_SIDE / changes["grid"]
    else:
        _refuse(changes, "areas", "of --method extremal")
    return changes


def fills(trained: Trained, chosen: Chosen, settings: Settings) -> tuple[Fill, Fill]:
    """The fill that is optimised, and the one on which masks are only judged.

    Raises:
        ConfigError: They do not go with these images.
    """
    first, second = fill_names(settings, trained, chosen.own)
    return _fill(first, trained, chosen.own), _fill(second, trained, chosen.own)


def fill_names(settings: Settings, trained: Trained, own: bool = True) -> tuple[str, str]:
    """The words for both fills.

    Arguments:
        settings: What was asked for.
        trained: The network and its data.
        own: Whether the images are test images of these data.
    """
    first = _first(settings)
    return first, settings.second or _other(first, trained, own)


def few(how: Method, chosen: Chosen, together: int | None) -> int:
    """How many images are explained at once."""
    if together is not None:
        return together
    height, width = chosen.batch.images.shape[2:]
    return max(1, PIXELS // (height * width * len(getattr(how, "areas", (1,)))))


def _fill(name: str, trained: Trained, own: bool) -> Fill:
    options: dict[str, Any] = {}
    if name == "rerender":
        if not own:
            raise ConfigError(
                ["the fill rerender draws the clutter of a run's own images again; not of files"]
            )
        options["images"] = trained.data.test
    elif name in ("noise", "average"):
        options["seed"] = trained.seed
    with refused():
        made = presets.fill(name, **options)
        if name == "rerender":
            _redraw(trained)
        return made


def _other(first: str, trained: Trained, own: bool) -> str:
    """Another fill: clutter where it can be drawn again, which alone looks like the data.

    The average holds constant, blur and noise already; on small images, where the pyramid does
    as little as the blur, there is no fill that it has not seen.
    """
    if first != "rerender" and own:
        try:
            _redraw(trained)
        except ValueError:
            pass
        else:
            return "rerender"
    large = min(trained.data.spec.height, trained.data.spec.width) >= BLURRED_FROM
    if first == "average" and large:
        return "pyramid"
    if first not in ("constant", "rerender"):
        return "constant"
    return "blur" if large else "noise"


def _redraw(trained: Trained) -> None:
    """Draws the clutter of an image again, to see whether that can be done."""
    trained.data.test.clutter(torch.zeros(1, dtype=torch.long), 0)


def _first(settings: Settings) -> str:
    return settings.fill or _preset(settings).fill


def _preset(settings: Settings) -> presets.Preset:
    return presets.PRESETS[settings.preset or "default"]


def _kind(settings: Settings) -> Kind:
    if settings.kind is not None:
        return settings.kind
    return "logit" if settings.method == "extremal" else _preset(settings).kind


def _refuse(changes: dict[str, Any], name: str, owner: str) -> None:
    if name in changes:
        raise ConfigError([f"--{name}: is a setting {owner} alone"])


def _counted(how: Method, images: int, watch: Watch) -> Callable[[int], None]:
    """Counts steps of images; a method that stops early is done at once."""
    total, done = images * int(getattr(how, "steps", 1)), 0
    watch("masks", 0, total)

    def on_step(count: int) -> None:
        nonlocal done
        done = min(total, done + count)
        watch("masks", done, total)

    return on_step


@torch.no_grad()
def _predictions(trained: Trained, x: Tensor) -> Tensor:
    model: nn.Module = trained.model
    parts: Sequence[Tensor] = x.split(64)
    told = [
        model(trained.data.transform.from_unit(part), sample=False).logits.argmax(1)
        for part in parts
    ]
    return torch.cat(told)


def _worth_saying(settings: Settings, how: Method, kind: str) -> dict[str, object]:
    """What a table should say beside method, game and fills."""
    said: dict[str, object] = {"score": kind}
    if settings.method == "meaningful":
        said["preset"] = settings.preset or "default"
    if settings.draws:
        said["draws"] = settings.draws
    changed = {name: getattr(how, name) for name in settings.changes if name != "areas"}
    return said | {name: value for name, value in changed.items() if name != "game"}
