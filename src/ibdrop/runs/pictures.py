"""The pictures of a run or a sweep, in the order in which a reader wants them."""

from __future__ import annotations

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

__all__ = ["MAPS", "MISTAKES", "SURE", "Picture", "find_pictures", "numbers"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".gif", ".webp")
NUMBERS = (".csv", ".npz", ".json", ".txt")

MISTAKES = "Mistakes"
MAPS = "Where the information is"
SURE = "How sure it is"

# (part of the file's name, section, title, how to read it), in the order of the report; of
# several that fit the longest counts.
KNOWN = (
    (
        "error_",
        "What the information term does",
        "Error and information against beta",
        "Above, the test error; below, the nats per image that pass the noisy layers. Points are "
        "runs, lines their means, bars one standard deviation over the seeds. Look for the "
        "largest beta that does not cost accuracy.",
    ),
    (
        "plane",
        "What the information term does",
        "Information plane",
        "Each point is a run: how many nats the representation costs, against the test "
        "cross-entropy. Down is better, left is cheaper; the knee is the useful trade.",
    ),
    (
        "curve",
        "Learning",
        "Learning curves",
        "Cross-entropy and KL in nats, and accuracy, per epoch. A gap between training and "
        "validation is overfitting; KL falling to zero is collapse.",
    ),
    (
        "confusion",
        MISTAKES,
        "Confusion matrix",
        "Rows are the true classes, columns what the network said; the diagonal is right.",
    ),
    (
        "heatmaps_over",
        MAPS,
        "KL heat maps side by side",
        "The same images in each column, one colour scale for all: as beta grows, fewer places "
        "are let through. Nats in the heads are means over the test set.",
    ),
    (
        "heat",
        MAPS,
        "KL heat maps",
        "Bright places carry many nats through the noisy layer, dark ones were replaced by "
        "noise. Each layer has its own scale, in nats per position; compare numbers, not "
        "colours, between layers.",
    ),
    (
        "overlay",
        MAPS,
        "KL maps over the images",
        "The same maps laid over the images; a place without nats keeps its picture.",
    ),
    (
        "quality",
        MAPS,
        "Quality of the heat maps",
        "How much of the heat lies on the target: blue the trained network with its 95 % "
        "interval, grey the untrained one; the red line is the best map that knows nothing of "
        "the network, the black one a perfect map at the layer's resolution.",
    ),
    (
        "calib",
        SURE,
        "Calibration diagram",
        "Confidence against the share that is right. On the diagonal the network's confidence "
        "can be believed; below it the network is too sure of itself.",
    ),
    (
        "ranking_entropy",
        SURE,
        "Entropy of the predictions",
        "How the entropy, averaged over passes with the noise on, is spread over right and wrong "
        "predictions; a network that knows what it does not know has its mistakes to the right.",
    ),
    (
        "ranking_overall",
        SURE,
        "The surest and the least sure images",
        "Test images at both ends of the entropy ranking, with what they are taken for and their "
        "entropy in nats; mistakes are framed.",
    ),
    (
        "ranking_uncertain",
        SURE,
        "The least sure images and their predictions",
        "Bars are the probabilities of the classes. Much mutual information means that the "
        "passes disagree; little, that each pass by itself is unsure.",
    ),
    (
        "ranking_classes",
        SURE,
        "The surest and the least sure images of each class",
        "One line per true class, the surest left, the least sure right.",
    ),
    (
        "rank",
        SURE,
        "Entropy ranking",
        "Test images ordered by the entropy of the prediction, averaged over passes with the "
        "noise on: those the network is surest of, and those it is least sure of.",
    ),
    (
        "entrop",
        SURE,
        "Entropy of the prediction",
        "How the entropy in nats is spread over the test images; mistakes should lie to the "
        "right.",
    ),
)
WORDS = (
    "and calibration classes confusion curves diagram entropy error heat heatmap heatmaps "
    "information kl map maps matrix nats overall overlay plane quality ranking uncertain"
)
PLAIN = frozenset(WORDS.split())
"""Words of a file's name that the title says already."""

OTHER = "Other pictures"


@dataclass(frozen=True)
class Picture:
    """A picture with its place in the report.

    Attributes:
        path: The file.
        name: Its name within the artifacts.
        section: The heading under which it belongs.
        title: What it is.
        caption: How to read it, in a sentence or two; empty if we cannot know.
        link: The path from the report.
    """

    path: Path
    name: str
    section: str
    title: str
    caption: str
    link: str

    @property
    def inlined(self) -> str:
        """The picture itself as a `data:` address."""
        kind = mimetypes.guess_type(self.path.name)[0] or "image/png"
        return f"data:{kind};base64,{base64.b64encode(self.path.read_bytes()).decode()}"


def find_pictures(folder: Path) -> list[Picture]:
    """All pictures below `folder/artifacts`: known ones in order, then a user's own by name."""
    artifacts = folder / "artifacts"
    files = [file for file in sorted(artifacts.rglob("*")) if file.suffix.lower() in SUFFIXES]
    ranked = sorted((_rank(file), str(file), file) for file in files if not _hidden(file))
    return [_picture(file, rank, folder) for rank, _, file in ranked]


def numbers(folder: Path) -> list[str]:
    """The files of numbers below `folder`, its runs left out, as paths from `folder`."""
    places = [*folder.glob("*.csv"), *(folder / "artifacts").rglob("*")]
    files = [file for file in places if file.suffix in NUMBERS and not _hidden(file)]
    return sorted(file.relative_to(folder).as_posix() for file in files)


def _rank(file: Path) -> int:
    """The place of what is known of a picture: by its own folder, else by its name."""
    for name in (file.parent.name.lower(), file.stem.lower()):
        fitting = [rank for rank, known in enumerate(KNOWN) if known[0] in name]
        if fitting:
            return max(fitting, key=lambda rank: len(KNOWN[rank][0]))
    return len(KNOWN)


def _picture(file: Path, rank: int, folder: Path) -> Picture:
    name = file.relative_to(folder / "artifacts").as_posix()
    link = quote(file.relative_to(folder).as_posix())
    words = file.stem.replace("_", " ").replace("-", " ")
    if rank == len(KNOWN):
        return Picture(file, name, OTHER, words, "", link)
    _, section, title, caption = KNOWN[rank]
    said = () if "/" in name else PLAIN
    detail = " ".join(word for word in words.split() if word.lower() not in said)
    return Picture(file, name, section, f"{title}: {detail}" if detail else title, caption, link)


def _hidden(file: Path) -> bool:
    return file.name.startswith(".")
