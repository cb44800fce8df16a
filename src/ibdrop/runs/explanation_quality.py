"""The protocol that says how well explanations find the target, with everything beside them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ibdrop.artifacts.base import Trained
from ibdrop.artifacts.explanation_quality import Drop, Entry, Found, write_quality
from ibdrop.artifacts.floors import ceiling, floors
from ibdrop.artifacts.quality import measure, resample
from ibdrop.artifacts.scores import Scores
from ibdrop.data.base import Batch
from ibdrop.explain import presets
from ibdrop.explain.base import Perturbation
from ibdrop.explain.curves import deletion, insertion
from ibdrop.learning.determinism import reproducible
from ibdrop.runs.explanation_images import chosen, seen, shuffled, untrained
from ibdrop.runs.explanation_maps import METHODS, Made, check_method, fill_of, parted, steps_of
from ibdrop.runs.explanation_plan import COUNTS, Plan
from ibdrop.seeds import generator

__all__ = ["COUNTS", "quality"]

COSTS: dict[str, float] = {
    "kl": 1,
    "gradient": 3,
    "grad_cam": 4,
    "integrated_gradients": 96,
    "occlusion": 170,
    "meaningful": 900,
    "extremal": 9600,
}
"""Passes of an image through the network, roughly; a step of progress."""

CANVASES, STEPS, DRAWS = 2000, 50, 3
CURVE_FILLS = {"black": "constant", "blur": "blur"}


def quality(
    trained: Trained,
    folder: Path,
    *,
    images: int = 1000,
    methods: Sequence[str] = METHODS,
    counts: Mapping[str, int] = COUNTS,
    controls: float = 0.25,
    curves: int = 32,
    fill: str | None = None,
    second: Sequence[str] = ("blur",),
    changes: Mapping[str, Mapping[str, Any]] | None = None,
    seed: int | None = None,
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> list[Path]:
    """Measures how well explanations of a network find the target, on rightly classified images.

    The images are the first that the network names correctly in an order keyed by the seed; a
    method that takes fewer takes the first of them. Beside each method stand the same on an
    untrained network and on this one with shuffled weights, maps that know no network and an
    oracle at the resolution of the map.

    Arguments:
        trained: The network and its data.
        folder: Where to write, see `ibdrop.artifacts.explanation_quality.write_quality`.
        images: Images to measure.
        methods: Of `METHODS`; a mask with another fill as `meaningful:rerender`.
        counts: The most images for a method, for those that are dear.
        controls: The share of a method's images for each of the two broken networks.
        curves: Images for the curves of deletion and insertion; 0 for none.
        fill: What masks delete into; `None` is the fill of the preset `default`.
        second: Fills on which masks are judged that were not sought with them.
        changes: Arguments of a mask's class instead of its defaults, by method.
        seed: Keys the choice of images, the shuffles and the bootstrap; `None` is the run's.
        progress: Called with what is at work and the share done, from 0 to 1.

    Returns:
        The files, the picture first.

    Raises:
        ValueError: The place of the target is not known, the network names no image correctly,
            or an argument is out of its range.
    """
    _check(images, methods, controls, curves)
    seed = trained.seed if seed is None else seed
    fill = fill or presets.PRESETS["default"].fill
    with reproducible(True):
        order = torch.randperm(
            len(trained.data.test), generator=generator(seed, "quality", "images")
        )
        found = chosen(trained, order, images)
        how = (counts, controls, curves, fill, tuple(second), seed, changes or {})
        plan = Plan(trained, found, *how)
        return write_quality(_Study(plan, methods, progress).found(order), folder, seed)


def _check(images: int, methods: Sequence[str], controls: float, curves: int) -> None:
    for name in methods:
        check_method(name)
    if images < 1:
        raise ValueError(f"images={images}: at least 1 is needed.")
    if not 0 <= controls <= 1:
        raise ValueError(f"controls={controls}: must be a share of the images, from 0 to 1.")
    if curves < 0:
        raise ValueError(f"curves={curves}: must be 0 (none) or more images.")
    if not methods:
        raise ValueError(f"there is no method; there are {', '.join(METHODS)}.")


class _Study:
    """One pass through all that the protocol asks for."""

    def __init__(
        self, plan: Plan, methods: Sequence[str], progress: Callable[[str, float], None]
    ) -> None:
        self.plan, self.methods, self.progress = plan, methods, progress
        self.sizes: dict[str, tuple[int, int]] = {}
        self.drops: dict[tuple[str, tuple[str, str]], list[tuple[Tensor, ...]]] = {}
        self.kept: dict[str, Tensor] = {}
        self.done = 0.0
        kinds = ("trained", "untrained", "randomised")
        self.work = [(name, kind, plan.count(name, kind)) for name in methods for kind in kinds]
        self.total = 4.0 * CANVASES
        self.total += sum(COSTS[parted(name)[0]] * count for name, _, count in self.work)

    def found(self, order: Tensor) -> Found:
        plan, trained = self.plan, self.plan.trained
        self.progress("counterfactual views", 0.0)
        views = seen(trained, order[:CANVASES], plan.seed, lambda n: self._step("views", n))
        entries = self._entries()
        known = self._unlearnt()
        areas = self._curves() if plan.curves else {}
        curved = [_with(entry, areas) for entry in entries]
        known_floors = {name: v for (kind, name), v in known.items() if kind == "floor"}
        ceilings = {name: v for (kind, name), v in known.items() if kind == "ceiling"}
        drops = [Drop(*names, *_columns(parts)) for names, parts in self.drops.items()]
        self.progress("done", 1.0)
        return Found(
            trained.data.name, curved, known_floors, ceilings, views, drops, areas, plan.notes()
        )

    def _entries(self) -> list[Entry]:
        """The scores of every method on every network, by network."""
        trained = self.plan.trained
        networks = {
            "trained": trained.model,
            "untrained": untrained(trained, self.plan.seed),
            "randomised": shuffled(trained, self.plan.seed),
        }
        return [
            entry
            for kind, model in networks.items()
            for name, network, count in self.work
            if network == kind and count
            for entry in self._measured(name, kind, model, count)
        ]

    def _measured(self, name: str, kind: str, model: nn.Module, count: int) -> list[Entry]:
        maker, scores, made = self.plan.maker(name), Scores(), []
        share = COSTS[parted(name)[0]]
        steps = steps_of(name, maker.changes)
        seconds = 0.0
        label = f"{name.replace('_', ' ')}, {kind}"
        self.progress(label, self.done / self.total)
        for place, batch in self.plan.batches(count):
            start, here = time.perf_counter(), self.done
            made = list(maker(model, batch, lambda n: self._step(label, n * share / steps)))
            seconds += time.perf_counter() - start
            self.done = here
            self._step(label, share * len(batch.labels))
            target = self.plan.target(batch)
            for one in made:
                self._take(one, kind, place, batch)
                full = resample(one.maps, self.plan.size)
                scores.add(kind, one.method, measure(full, target))
        found = scores.gather()
        return [
            Entry(
                one.method,
                kind,
                _named(one.resolution),
                found[kind, one.method],
                seconds / count if kind == "trained" else math.nan,
                one.nats,
            )
            for one in made
        ]

    def _step(self, label: str, cost: float) -> None:
        self.done += cost
        self.progress(label, min(1.0, self.done / self.total))

    def _take(self, made: Made, kind: str, place: slice, batch: Batch) -> None:
        """Keeps what curves and drops are made of."""
        self.sizes[_named(made.resolution)] = made.resolution
        if kind != "trained":
            return
        if place.start < self.plan.curves:
            full = resample(made.maps, self.plan.size).cpu()
            kept = self.kept.get(made.method, full[:0])
            self.kept[made.method] = torch.cat([kept, full])[: self.plan.curves]
        if made.explanation is not None and made.explanation.masks.shape[1] == 1:
            self._drop(made.method, made.explanation.masks, batch)

    @torch.no_grad()
    def _drop(self, method: str, masks: Tensor, batch: Batch) -> None:
        """Probabilities on the fill of the mask and on others, over those of the plain image."""
        fill = parted(method.replace(", ", ":"), self.plan.fill)[1]
        images, score = batch.images.float() / 255, self.plan.score(batch)
        rows = torch.arange(len(images), device=images.device)
        start = score.probability(images, rows)

        def left(name: str) -> Tensor:
            chosen = fill_of(name, self.plan.trained.data)
            over = chosen.over(images, batch.index)
            draws = range(-DRAWS, 0) if chosen.random else range(-1, 0)
            found = [score.probability(over(masks, step)[:, 0], rows) for step in draws]
            return (torch.stack(found).mean(0) / start).cpu()

        area = (1 - masks[:, 0]).mean((1, 2)).cpu()
        first = left(fill)
        for other in self.plan.second:
            if other != fill:
                found = area, first, left(other)
                self.drops.setdefault((method, (fill, other)), []).append(found)

    def _unlearnt(self) -> dict[tuple[str, str], dict[str, Tensor]]:
        """The scores of maps without a network, and of an oracle at every resolution."""
        scores = Scores()
        self.progress("floors and ceilings", self.done / self.total)
        for place, batch in self.plan.batches(len(self.plan.chosen.labels)):
            target = self.plan.target(batch)
            for name, found in floors(batch.images, target):
                scores.add("floor", name, found)
            for name, size in self.sizes.items():
                oracle = ceiling(target, torch.empty(1, *size, device=batch.images.device))
                scores.add("ceiling", name, measure(oracle, target))
                if place.start < self.plan.curves and size == self.plan.size:
                    kept = self.kept.get(f"ceiling {name}", oracle[:0].cpu())
                    both = torch.cat([kept, oracle.cpu()])
                    self.kept[f"ceiling {name}"] = both[: self.plan.curves]
        return scores.gather()

    def _curves(self) -> dict[str, dict[str, Tensor]]:
        """Areas under curves of deletion and insertion for every kind of map, on two fills."""
        count = min(self.plan.curves, len(self.plan.chosen.labels))
        light = (self.plan.chosen.images[:count].double().mean(1) / 255).cpu()
        maps = {"uniform": torch.ones_like(light), "brightness": light, **self.kept}
        found: dict[str, dict[str, Tensor]] = {}
        for name, heat in maps.items():
            self.progress(f"curves of {name}", self.done / self.total)
            parts = [
                self._areas(heat[place], batch) for place, batch in self.plan.batches(len(heat))
            ]
            found[name] = {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
        return found

    @torch.no_grad()
    def _areas(self, heat: Tensor, batch: Batch) -> dict[str, Tensor]:
        images, score = batch.images.float() / 255, self.plan.score(batch)
        heat = heat.to(images.device)
        areas = {}
        for word, fill in CURVE_FILLS.items():
            over: Perturbation = fill_of(fill, self.plan.trained.data).over(images, batch.index)
            for kind, curve in (("deletion", deletion), ("insertion", insertion)):
                found = curve(heat, score, over, batch.index, steps=STEPS, seed=self.plan.seed)
                areas[f"{kind}_{word}"] = found.auc().cpu()
        return areas


def _named(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _with(entry: Entry, areas: Mapping[str, Mapping[str, Tensor]]) -> Entry:
    """The entry with the areas under its curves."""
    if entry.network != "trained" or entry.method not in areas:
        return entry
    curved = copy(entry)
    object.__setattr__(curved, "curves", areas[entry.method])
    return curved


def _columns(parts: Sequence[tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))
