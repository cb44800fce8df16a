"""Trained networks asked more than their test error, from the folders of their runs."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ibdrop import build
from ibdrop.artifacts.base import Trained
from ibdrop.cli.network import explained, writing
from ibdrop.cli.other_data import not_of_data, outliers, tested_on
from ibdrop.cli.words import Wishes, slug
from ibdrop.errors import ConfigError, RunError
from ibdrop.files import read_csv, write_json
from ibdrop.learning.progress import bar
from ibdrop.models.generative import Autoencoder
from ibdrop.runs import ensemble, provenance, uncertainty
from ibdrop.runs.ensemble import Ensemble
from ibdrop.runs.folder import Run
from ibdrop.runs.members import check_same_data, member
from ibdrop.runs.subject import Network, Sampling, Subject, draws_noise
from ibdrop.runs.uncertainty import Findings, Questions

__all__ = ["Study", "place", "study"]


@dataclass(frozen=True)
class Study:
    """What was asked, what came out, and where it was written.

    Attributes:
        findings: The figures and answers.
        table: The rows of the members and of the ensemble; empty for a single network.
        outliers: The rows of ood.csv; empty without outliers.
        notes: What has to be said about how it was done.
        files: The files written, the most telling first.
    """

    findings: Findings
    table: list[dict[str, Any]]
    outliers: list[dict[str, str]]
    notes: list[str]
    files: list[Path]


def study(
    runs: Sequence[Run], wishes: Wishes, words: Sequence[str], folder: Path, mine: Path | None
) -> Study:
    """Asks one network, or several as an ensemble, and writes what came out.

    Arguments:
        runs: The runs; more than one make an ensemble, tested on the data of the first.
        wishes: What to ask.
        words: The same as the user said it, for the record.
        folder: Where to write.
        mine: The user's own folder of options, for their data sets.

    Raises:
        ConfigError: The runs, the data and the wishes do not go together.
    """
    started = time.monotonic()
    if len(runs) > 1:
        check_same_data(runs)
    first, said = tested_on(runs[0], wishes, mine)
    options = build.options(build.overridden(runs[0].config, not_of_data(wishes.changes)))
    subject, notes = _subject(runs, first, wishes)
    questions = Questions(
        wishes.corruptions,
        wishes.severities,
        outliers(runs[0], first, wishes, mine),
        options.limit_images,
    )
    with bar(shown=options.progress) as progress:
        total = questions.images(first.data)
        task = progress.add_task("evaluate", total=total, figures="")

        def watch(name: str, images: int) -> None:
            progress.update(task, advance=images, figures=name)

        findings = uncertainty.investigate(subject, first.data, questions, watch)
    notes = [*said, *notes, *findings.notes]
    table: list[dict[str, Any]] = []
    with writing(folder), _staged(folder) as staging:
        files = uncertainty.write(staging, findings, first.data, questions)
        if isinstance(subject, Ensemble):
            answer, labels = findings.clean, findings.labels
            table = subject.table(answer, labels)
            files = ensemble.write(staging, subject, answer, labels, first.seed) + files
        outlying = read_csv(staging / "ood.csv") if findings.outside else []
        facts = _facts(runs, wishes, words, first, notes)
        facts["seconds"] = round(time.monotonic() - started, 1)
        facts["files"] = [path.name for path in files]
        files.append(write_json(staging / "evaluation.json", facts))
    return Study(findings, table, outlying, notes, [folder / path.name for path in files])


def _subject(runs: Sequence[Run], first: Trained, wishes: Wishes) -> tuple[Subject, list[str]]:
    """Whom to ask, and which members have no noise to draw."""
    trainer = build.overridden(runs[0].config, not_of_data(wishes.changes))["trainer"]
    models = [first.model]
    for run in runs[1:]:
        with explained(run):
            models.append(member(run, first, trainer))
    for run, model in zip(runs, models, strict=True):
        if isinstance(model, Autoencoder):
            raise RunError(
                f"{run.folder}: an autoencoder names no classes; passes, corruptions, outliers and"
                " ensembles are for classifiers, and evaluate with nothing else tests it again"
            )
    noisy = [draws_noise(model) for model in models]
    if wishes.passes and not any(noisy):
        raise ConfigError(
            [
                f"passes={wishes.passes}: {runs[0].folder} draws no noise, so there is nothing "
                "to sample; leave it out, or train with a noise such as noise=binary"
            ]
        )
    sampling = _sampling(wishes)
    networks = [
        Network(model, int(run.config["seed"]), sampling if draws else None)
        for run, model, draws in zip(runs, models, noisy, strict=True)
    ]
    if len(runs) == 1:
        return networks[0], []
    silent = [str(run.folder) for run, draws in zip(runs, noisy, strict=True) if not draws]
    notes = [
        f"{name} draws no noise; its one prediction counts as much as a member's many"
        for name in silent
        if sampling and len(silent) < len(runs)
    ]
    return Ensemble(_names(runs), networks), notes


def _sampling(wishes: Wishes) -> Sampling | None:
    passes = wishes.wanted_passes
    return Sampling(passes, wishes.mask_sharing, wishes.design) if passes else None


def _names(runs: Sequence[Run]) -> list[str]:
    """The shortest names that tell the runs apart: their folders below the common parent."""
    above = _above(runs)
    return [str(run.folder.relative_to(above)) for run in runs]


def place(runs: Sequence[Run], words: Sequence[str]) -> Path:
    """Where the answers go if nothing else is said: never among a run's own artifacts."""
    name = slug(words)
    if len(runs) == 1:
        return runs[0].folder / "evaluations" / (name or "test")
    members = f"ensemble_{len(runs)}_members"
    wanted = _above(runs) / (f"{members}_{name}" if name else members)
    numbered = (wanted.with_name(f"{wanted.name}_{number}") for number in itertools.count(2))
    return next(free for free in itertools.chain([wanted], numbered) if _is_for(free, runs))


def _is_for(folder: Path, runs: Sequence[Run]) -> bool:
    """Whether a folder is free, or holds the answers of these very runs."""
    facts = folder / "evaluation.json"
    if not facts.is_file():
        return not folder.exists()
    with suppress(OSError, ValueError):
        return set(json.loads(facts.read_text())["runs"]) == {str(run.folder) for run in runs}
    return False


def _above(runs: Sequence[Run]) -> Path:
    """The folder that holds all of the runs."""
    return Path(os.path.commonpath([run.folder.parent for run in runs]))


def _facts(
    runs: Sequence[Run],
    wishes: Wishes,
    words: Sequence[str],
    first: Trained,
    notes: Sequence[str],
) -> dict[str, Any]:
    return {
        "runs": [str(run.folder) for run in runs],
        "words": list(words),
        "data": first.data.name,
        "passes": wishes.wanted_passes,
        "mask_sharing": wishes.mask_sharing,
        "design": wishes.design,
        "images_per_block": uncertainty.BLOCK,
        "device": provenance.device_name(first.device),
        "versions": provenance.versions(),
        "ended": provenance.now(),
        "notes": list(notes),
    }


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """A place beside `folder` whose files move there once all are written, or else vanish."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        yield place
        folder.mkdir(exist_ok=True)
        for path in sorted(place.iterdir()):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
