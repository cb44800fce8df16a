"""Which images are to be looked at: by number, by class, the unsure, the wrong, files."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ibdrop.artifacts.base import Trained
from ibdrop.data.base import Batch
from ibdrop.data.picture_file import read_pictures
from ibdrop.errors import ConfigError, RunError
from ibdrop.files import read_csv
from ibdrop.sampling.predictive import entropy
from ibdrop.seeds import generator

__all__ = ["Chosen", "Selector", "class_number", "of_files"]

BLOCK = 100
"""Images looked at together in search of right ones; no choice depends on it."""


@dataclass(frozen=True)
class Chosen:
    """Images that were chosen, and how.

    Attributes:
        batch: The images with what is known about them; labels are -1 where unknown.
        how: How they were chosen, in a few words.
        names: What they are called, if they have names.
        own: Whether they are test images of the run.
    """

    batch: Batch
    how: str
    names: tuple[str, ...] | None = None
    own: bool = True


@dataclass(frozen=True)
class Selector:
    """Chooses test images of a network, noise off.

    Attributes:
        trained: The network and its data.
        batch_size: Images judged together.
        limit: Test images to choose from; the first ones.
        on_images: Called with the number of images judged.
    """

    trained: Trained
    batch_size: int = 250
    limit: int | None = None
    on_images: Callable[[int], None] = lambda images: None

    def numbered(self, numbers: Sequence[int]) -> Chosen:
        """The test images with these numbers.

        Raises:
            ConfigError: There is no such image.
        """
        last = len(self.trained.data.test) - 1
        if max(numbers) > last:
            raise ConfigError(
                [
                    f"--index: there is no test image {max(numbers)}; "
                    f"they have the numbers 0 to {last}"
                ]
            )
        return self._chosen(list(dict.fromkeys(numbers)), "by number")

    def spread(self, count: int) -> Chosen:
        """Rightly classified images over as many classes as possible, keyed by the seed.

        Raises:
            RunError: None is classified rightly.
        """
        classes = len(self.trained.data.spec.classes)
        found: list[tuple[int, int, int]] = []
        seen = Counter[int]()
        for number, label in self._right():
            found.append((seen[label], len(found), number))
            seen[label] += 1
            if count <= len(seen) or (
                len(seen) == classes and min(seen.values()) * classes >= count
            ):
                break
        numbers = [number for _, _, number in sorted(found)[:count]]
        return self._in_order(numbers, "rightly classified, spread over the classes")

    def of_class(self, label: int, count: int) -> Chosen:
        """Rightly classified images of one class, keyed by the seed.

        Raises:
            RunError: None of it is classified rightly.
        """
        name = self.trained.data.spec.classes[label]
        right = (number for number, own in self._right() if own == label)
        numbers = [number for number, _ in zip(right, range(count), strict=False)]
        return self._chosen(numbers, f"rightly classified, of class {name}")

    def wrong(self, count: int) -> Chosen:
        """Mistakes, the one with the highest probability of its wrong class first.

        Raises:
            RunError: There are none.
        """
        index, labels, p = self._judged(self._numbers())
        sure, told = p.max(1)
        mistakes = (told != labels).nonzero()[:, 0]
        order = mistakes[sure[mistakes].argsort(descending=True, stable=True)]
        return self._chosen(index[order[:count]].tolist(), "misclassified, the surest first")

    def uncertain(self, count: int, ranking: Path | None = None) -> Chosen:
        """The images with the highest entropy of the prediction.

        Arguments:
            count: How many.
            ranking: The file `ranking.csv` that a run has of the very same images, averaged over
                noisy passes; without, or where it is not there, the noise is off.
        """
        if ranking is not None and ranking.is_file():
            rows = read_csv(ranking)
            rows.sort(key=lambda row: -float(row["entropy"]))
            how = "of highest entropy over noisy passes, from ranking.csv"
            return self._chosen([int(row["index"]) for row in rows[:count]], how)
        index, _, p = self._judged(self._numbers())
        order = entropy(p).argsort(descending=True, stable=True)
        return self._chosen(index[order[:count]].tolist(), "of highest entropy, the noise off")

    def _numbers(self) -> Tensor:
        test = self.trained.data.test
        return torch.arange(min(len(test), self.limit or len(test)))

    def _right(self) -> Iterator[tuple[int, int]]:
        """Numbers and labels of rightly classified images, in an order keyed by the seed."""
        numbers = self._numbers()
        order = generator(self.trained.seed, "explain", "images")
        shuffled = numbers[torch.randperm(len(numbers), generator=order)]
        for part in shuffled.split(BLOCK):
            index, labels, p = self._judged(part)
            right = p.argmax(1) == labels
            yield from zip(index[right].tolist(), labels[right].tolist(), strict=True)

    @torch.no_grad()
    def _judged(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Numbers, labels and probabilities of test images, the noise off, on the CPU."""
        data, labels, p = self.trained.data, [], []
        for part in numbers.split(self.batch_size):
            batch = data.test.batch(part)
            logits = self.trained.model(data.inputs(batch.images), sample=False).logits
            labels.append(batch.labels.cpu())
            p.append(logits.double().softmax(1).cpu())
            self.on_images(len(part))
        return numbers, torch.cat(labels), torch.cat(p)

    def _in_order(self, numbers: list[int], how: str) -> Chosen:
        labels = self.trained.data.test.batch(torch.tensor(numbers, dtype=torch.long)).labels
        order = labels.cpu().argsort(stable=True).tolist() if numbers else []
        return self._chosen([numbers[place] for place in order], how)

    def _chosen(self, numbers: list[int], how: str) -> Chosen:
        if not numbers:
            raise RunError(
                f"{self.trained.folder}: there is no test image {how.partition(',')[0]}"
            )
        test = self.trained.data.test
        batch = test.batch(torch.tensor(numbers))
        names = None if test.names is None else tuple(test.names[number] for number in numbers)
        return Chosen(batch, how, names)


def of_files(
    paths: list[str], channels: int, size: tuple[int, int], resize: int | None = None
) -> Chosen:
    """Pictures from files, of unknown classes, numbered as they come.

    Arguments:
        paths: The files.
        channels: 1 to make them grey, 3 for colours.
        size: Height and width in pixels, to which they are cropped about the centre.
        resize: What the shorter side is brought to before that, in pixels.

    Raises:
        DataError: One cannot be read.
    """
    images = read_pictures(paths, channels, size, resize)
    index = torch.arange(len(images))
    batch = Batch(index, images, torch.full((len(images),), -1))
    return Chosen(batch, "from files", tuple(Path(path).name for path in paths), own=False)


def class_number(text: str, classes: Sequence[str], flag: str) -> int:
    """The number of a class, given by its name, in any case, or by its number.

    Raises:
        ConfigError: There is no such class; near names are told.
    """
    if text in classes:
        return list(classes).index(text)
    lower = [name.lower() for name in classes]
    if text.lower() in lower:
        return lower.index(text.lower())
    if text.isdecimal() and int(text) < len(classes):
        return int(text)
    near = difflib.get_close_matches(text.lower(), lower, n=3, cutoff=0.5)
    told = [classes[lower.index(name)] for name in near]
    many = len(classes) > 12
    offer = f"numbers are 0 to {len(classes) - 1}" if many else f"they are {', '.join(classes)}"
    hint = f"did you mean {' or '.join(told)}?" if told else offer
    raise ConfigError([f"{flag}: there is no class '{text}'; {hint}"])
