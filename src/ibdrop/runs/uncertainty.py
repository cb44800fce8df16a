"""A network asked again with its noise on, on images made worse, and on images of other kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ibdrop.artifacts.detection import write_detection
from ibdrop.artifacts.robustness import write_contact_sheet, write_robustness
from ibdrop.artifacts.selective import write_selective
from ibdrop.data.base import ImageData, ImageSet
from ibdrop.data.corruptions import Corrupted
from ibdrop.files import write_csv
from ibdrop.learning.determinism import reproducible
from ibdrop.runs.subject import Answer, Subject
from ibdrop.sampling.predictive import Predictive, pool

__all__ = ["BLOCK", "Findings", "Questions", "ask", "investigate", "write"]

BLOCK = 500
"""Images per block. It is fixed, so that no option of the trainer changes a figure."""

CORRUPTION_SEED = 0
"""The same corrupted images for every run, whatever its own seed: figures can be compared."""

SHOWN = 3
"""Images on the sheet of corruptions."""

Row = dict[str, Any]
Watch = Callable[[str, int], None]


@dataclass(frozen=True)
class Questions:
    """What to ask besides the test set.

    Attributes:
        corruptions: Names of corruptions.
        severities: How strong each is to be.
        outliers: Images of other kinds, by name.
        limit: The number of images of each set to stop after.
    """

    corruptions: Sequence[str] = ()
    severities: Sequence[int] = ()
    outliers: Mapping[str, ImageSet] = field(default_factory=dict)
    limit: int | None = None

    def sets(self, data: ImageData) -> Iterator[tuple[str, int, ImageSet]]:
        """Name, severity and images of every corrupted set."""
        for name in self.corruptions:
            for severity in self.severities:
                yield name, severity, Corrupted(data.test, name, severity, CORRUPTION_SEED)

    def images(self, data: ImageData) -> int:
        """How many images will be asked about, for a progress bar."""
        corrupted = len(self.corruptions) * len(self.severities)
        counts = [len(data.test)] * (1 + corrupted) + [len(s) for s in self.outliers.values()]
        return sum(min(count, self.limit or count) for count in counts)


@dataclass(frozen=True)
class Findings:
    """What came out.

    Attributes:
        labels: The true classes of the test images, with shape :math:`(N)`.
        clean: What was said of the test images.
        rows: The figures of merit on the test images.
        corrupted: The same for each corruption and severity, severity 0 being the test images.
        outside: What was said of the images of other kinds.
        sampled: Whether the noise was on.
        notes: Where the sampler fell back, in sentences.
    """

    labels: Tensor
    clean: Answer
    rows: list[Row]
    corrupted: list[Row]
    outside: dict[str, Predictive]
    sampled: bool
    notes: list[str]


def investigate(
    subject: Subject,
    data: ImageData,
    questions: Questions,
    watch: Watch = lambda name, images: None,
) -> Findings:
    """Asks a network or an ensemble everything; nothing is written.

    Arguments:
        subject: Whom to ask.
        data: The data, on the subject's device.
        questions: What to ask.
        watch: Called with the name of the set and the number of images of each block.
    """

    def put(images: ImageSet, name: str) -> tuple[Answer, Tensor]:
        return ask(
            subject,
            images,
            data.inputs,
            limit=questions.limit,
            on_block=lambda count: watch(name, count),
        )

    clean, labels = put(data.test, "test")
    rows = subject.rows(clean, labels)
    corrupted = [{"corruption": "clean", "severity": 0, **row} for row in rows]
    for name, severity, images in questions.sets(data):
        found = subject.rows(*put(images, f"{name} {severity}"))
        corrupted += [{"corruption": name, "severity": severity, **row} for row in found]
    outside = {name: put(images, name)[0].found for name, images in questions.outliers.items()}
    rows_of = (rows, corrupted if questions.corruptions else [])
    return Findings(labels, clean, *rows_of, outside, subject.sampled, list(subject.notes))


@torch.no_grad()
def ask(
    subject: Subject,
    images: ImageSet,
    inputs: Callable[[Tensor], Tensor],
    *,
    limit: int | None = None,
    on_block: Callable[[int], None] = lambda images: None,
) -> tuple[Answer, Tensor]:
    """Asks about every image once, in blocks of `BLOCK` in the order of their numbers.

    Arguments:
        subject: Whom to ask.
        images: The images.
        inputs: Turns pixels into what a network reads.
        limit: The number of images to stop after.
        on_block: Called with the number of images of each block.

    Returns:
        The answer and the true classes, on the CPU.
    """
    found: list[Predictive] = []
    plain: list[Predictive] = []
    labels: list[Tensor] = []
    count = min(len(images), limit or len(images))
    with reproducible(True):
        for index in torch.arange(count).split(BLOCK):
            batch = images.batch(index)
            answer = subject(inputs(batch.images), index)
            found.append(answer.found.cpu())
            plain.append(answer.plain.cpu())
            labels.append(batch.labels.cpu())
            on_block(len(index))
    return Answer(pool(found), pool(plain)), torch.cat(labels)


def write(folder: Path, findings: Findings, data: ImageData, questions: Questions) -> list[Path]:
    """Writes figures.csv, selective.*, and what belongs to corruptions and outliers.

    Arguments:
        folder: Where to write.
        findings: What came out.
        data: The data that was asked about.
        questions: What was asked.
    """
    clean = findings.clean.found
    table = write_csv(folder / "figures.csv", findings.rows)
    files = [*write_selective(folder, clean, findings.labels, findings.sampled), table]
    if findings.outside:
        files = write_detection(folder, clean, findings.outside, findings.sampled) + files
    if findings.corrupted:
        batch = data.test.batch(torch.arange(min(SHOWN, len(data.test))))
        names = questions.corruptions
        files += write_contact_sheet(folder, batch.images, batch.index, CORRUPTION_SEED, names)
        files = write_robustness(folder, findings.corrupted) + files
    return files
