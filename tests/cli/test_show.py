from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ibdrop.cli.datasets import _amount
from ibdrop.cli.main import main
from ibdrop.data.base import Batch, ImageSet, StaticImages
from ibdrop.data.streamed import Streamed

CLASSES = ("ant", "bee", "cat")
PIXELS = torch.zeros(7, 1, 2, 2, dtype=torch.uint8)
LABELS = torch.tensor([0, 1, 1, 0, 1, 1, 0])


class Wrapped(ImageSet):
    """Any other set; what is read from disk must not be read to be counted."""

    def __init__(self, resident: bool) -> None:
        self.resident = resident

    def __len__(self) -> int:
        return 7

    def batch(self, index: Tensor, epoch: int = 0) -> Batch:
        assert self.resident
        return Batch(index, PIXELS[index], LABELS[index])

    def to(self, device: torch.device) -> Wrapped:
        return self


def unread(number: int) -> Tensor:
    raise AssertionError(number)


@pytest.mark.parametrize(
    ("split", "words"),
    [
        (StaticImages(PIXELS, LABELS), "7 images, 0 (cat) to 4 (bee) of a class"),
        (
            Streamed(unread, LABELS, (1, 2, 2), workers=1),
            "7 images, 0 (cat) to 4 (bee) of a class",
        ),
        (Wrapped(resident=True), "7 images, 0 (cat) to 4 (bee) of a class"),
        (Wrapped(resident=False), "7 images"),
        (StaticImages(PIXELS[:6], torch.arange(6) % 3), "6 images, 2 of each class"),
    ],
)
def test_classes_are_counted(split: ImageSet, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ibdrop.cli.datasets.COUNTED", 3)
    assert _amount(split, CLASSES) == words


def test_show_counts_the_images_of_each_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", "show", "digits", "--split", "val", "--images", "60"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:3] == [
        "train  1,197 images, 114 (0) to 126 (6) of a class",
        "val    150 images, 9 (0) to 19 (3) of a class",
        "test   450 images, 39 (7) to 55 (0) of a class",
    ]
    assert said[-1] == "wrote  digits.png"
    assert (tmp_path / "digits.png").is_file()
