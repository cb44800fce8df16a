from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ibdrop.data.base import ImageData, ImageSet, ImageSpec, StaticImages
from ibdrop.data.image_folder import image_folder
from ibdrop.data.progress import watched
from ibdrop.errors import DataError


def picture(
    path: Path, shape: Sequence[int] = (6, 8, 3), value: int | None = None, **options: Any
) -> None:
    """Writes random pixels, keyed by the name of the file and of its folder, or one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    key = [*os.fsencode(f"{path.parent.name}/{path.name}")]
    pixels = np.random.default_rng(key).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels if value is None else np.full_like(pixels, value)).save(path, **options)


def grow(root: Path, parts: Sequence[str] = ("",), count: int = 10, **options: Any) -> Path:
    """A folder with cats and dogs."""
    for part in parts:
        for name in ("cat", "dog"):
            for number in range(count):
                picture(root / part / name / f"{number}.png", **options)
    return root


def pixels(split: ImageSet) -> list[bytes]:
    images = split.batch(torch.arange(len(split))).images
    return [image.numpy().tobytes() for image in images]


def splits(data: ImageData) -> list[set[bytes]]:
    return [set(pixels(split)) for split in (data.train, data.val, data.test)]


def refusal(root: Path | None, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        image_folder(0, root=str(root), **options)
    return str(caught.value)


def content(path: Path) -> Tensor:
    return torch.from_numpy(np.array(Image.open(path)))


def test_every_picture_is_in_one_split_with_the_class_of_its_folder(tmp_path: Path) -> None:
    grow(tmp_path, count=20)
    picture(tmp_path / "cat" / "deep" / "er" / "x.PNG")
    data = image_folder(0, root=str(tmp_path))
    assert data.spec == ImageSpec(3, 6, 8, ("cat", "dog"))
    assert data.name == tmp_path.name
    train, val, test = splits(data)
    assert len(train) + len(val) + len(test) == len(train | val | test) == 41
    of = {content(path).permute(2, 0, 1).numpy().tobytes(): path for path in files(tmp_path)}
    for split in (data.train, data.val, data.test):
        assert isinstance(split, StaticImages)
        labels = split.batch(torch.arange(len(split))).labels
        for image, label in zip(pixels(split), labels.tolist(), strict=True):
            assert of[image].relative_to(tmp_path).parts[0] == data.spec.classes[label]
        assert set(labels.tolist()) == {0, 1}


def files(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.suffix.lower() == ".png"]


def test_the_seed_chooses_validation_only(tmp_path: Path) -> None:
    grow(tmp_path, count=20)
    one, again, other = (splits(image_folder(seed, root=str(tmp_path))) for seed in (0, 0, 1))
    assert one == again
    assert one[1] != other[1]
    assert one[2] == other[2]


def test_without_a_folder_the_rest_comes_from_train(tmp_path: Path) -> None:
    grow(tmp_path / "whole", ["train"], 20)
    grow(tmp_path / "plain", count=20)
    whole, plain = (image_folder(3, root=str(tmp_path / name)) for name in ("whole", "plain"))
    assert splits(whole) == splits(plain)
    assert "for the test, chosen by the names of the files." in whole.note
    grow(tmp_path / "half", ["train", "test"], 20)
    half = image_folder(3, root=str(tmp_path / "half"))
    assert [len(half.train), len(half.val), len(half.test)] == [36, 4, 40]


@pytest.mark.parametrize("resident", [4.0, 0.0])
def test_sets_on_the_device_and_on_disk_are_alike(tmp_path: Path, resident: float) -> None:
    grow(tmp_path / "a", ["train", "test"])
    data = image_folder(0, root=str(tmp_path / "a"), resident=resident)
    assert data.train.resident == data.test.resident == (resident > 0)
    one = data.test.batch(torch.tensor([3, 0]))
    names = [tmp_path / "a" / "test" / name for name in ("dog/1.png", "cat/0.png")]
    expected = torch.stack([content(path).permute(2, 0, 1) for path in names])
    assert torch.equal(one.images, expected)
    assert one.labels.tolist() == [1, 0]


def test_a_memory_below_what_all_need_leaves_them_on_disk(tmp_path: Path) -> None:
    grow(tmp_path)
    need = 20 * 144 / 2**30
    for resident, held in ((need, True), (need * 0.99, False)):
        data = image_folder(0, root=str(tmp_path), resident=resident)
        assert data.train.resident == data.val.resident == data.test.resident == held


def test_a_picture_that_changes_or_vanishes_while_it_is_on_disk(tmp_path: Path) -> None:
    grow(tmp_path, ["train", "test"])
    data = image_folder(0, root=str(tmp_path), resident=0)
    one, other = tmp_path / "test" / "cat" / "0.png", tmp_path / "test" / "dog" / "0.png"
    picture(one, value=1)
    other.unlink()
    with pytest.raises(DataError) as caught:
        data.test.batch(torch.tensor([0]))
    assert str(caught.value) == (
        f"{one} has changed since the folder was looked at; start again, and leave the pictures"
        " as they are meanwhile"
    )
    with pytest.raises(DataError, match=rf"^{other} cannot be opened \(No such file .*\);"):
        data.test.batch(torch.tensor([1]))


@pytest.mark.parametrize(
    ("options", "spec"),
    [
        ({"size": 4}, (3, 4, 4)),
        ({"size": [5, 3], "fit": "pad"}, (3, 5, 3)),
        ({"colour": "grey"}, (1, 6, 8)),
        ({"normalise": "standard"}, (3, 6, 8)),
    ],
    ids=str,
)
def test_pictures_can_be_made_alike(
    tmp_path: Path, options: dict[str, Any], spec: tuple[int, int, int]
) -> None:
    grow(tmp_path)
    data = image_folder(0, root=str(tmp_path), **options)
    assert data.spec[:3] == spec
    images = data.train.batch(torch.arange(len(data.train))).images
    assert images.shape[1:] == spec
    if options.get("normalise"):
        inputs = data.inputs(images)
        assert float(inputs.mean()) == pytest.approx(0, abs=1e-5)


def test_grey_pictures_have_one_channel_unless_colour_is_asked_for(tmp_path: Path) -> None:
    grow(tmp_path, shape=(6, 8))
    assert image_folder(0, root=str(tmp_path)).spec.channels == 1
    assert image_folder(0, root=str(tmp_path), colour="colour").spec.channels == 3


@pytest.mark.parametrize("resident", [4.0, 0.0])
def test_sizes_that_differ_are_counted_and_there_is_a_remedy(
    tmp_path: Path, resident: float
) -> None:
    grow(tmp_path)
    picture(tmp_path / "cat" / "a.png", (9, 7, 3))
    picture(tmp_path / "cat" / "b.png", (5, 7, 3))
    assert refusal(tmp_path, resident=resident) == (
        "the pictures have 3 sizes (height x width in pixels): 6 x 8 in 20 files,"
        " 5 x 7 in 1 file, 9 x 7 in 1 file; dataset.size=64 makes all of them 64 x 64"
    )
    assert image_folder(0, root=str(tmp_path), size=64).spec[:3] == (3, 64, 64)


def test_large_pictures_need_a_size(tmp_path: Path) -> None:
    grow(tmp_path, shape=(2, 600))
    assert refusal(tmp_path) == (
        "the pictures are 2 x 600 pixels, which few networks and memories can take;"
        " dataset.size=96 makes them 96 x 96, dataset.size=[2,600] leaves them so"
    )
    assert image_folder(0, root=str(tmp_path), size=(2, 600)).spec[:3] == (1, 2, 600)


def test_mixed_modes_are_counted_and_there_is_a_remedy(tmp_path: Path) -> None:
    grow(tmp_path)
    picture(tmp_path / "dog" / "grey.png", (6, 8))
    assert refusal(tmp_path) == (
        "grey and coloured pictures are mixed: 1 grey (such as dog/grey.png) and 20 coloured"
        " (such as cat/0.png); dataset.colour=colour makes all of them coloured,"
        " dataset.colour=grey all grey"
    )
    assert image_folder(0, root=str(tmp_path), colour="colour").spec.channels == 3


@pytest.mark.parametrize("resident", [4.0, 0.0])
def test_unreadable_files_are_all_found_and_can_be_left_out(
    tmp_path: Path, resident: float
) -> None:
    grow(tmp_path, count=20)
    for number in range(1, 7):
        path = tmp_path / "cat" / f"{number}.png"
        path.write_bytes(path.read_bytes()[: 20 * (number - 1)])
    said = refusal(tmp_path, resident=resident)
    assert said.startswith(
        f"6 of 40 files in {tmp_path} cannot be read as pictures: cat/1.png is empty, cat/2.png "
    )
    assert said.endswith(
        " and 1 more; mend or delete them, or set dataset.skip_unreadable=true to go on without"
        " them"
    )
    assert len(re.findall(r"cat/\d\.png is ", said)) == 5
    data = image_folder(0, root=str(tmp_path), resident=resident, skip_unreadable=True)
    assert sum(map(len, (data.train, data.val, data.test))) == 34
    assert data.note.endswith(
        " Left out: 6 unreadable (cat/1.png, cat/2.png, cat/3.png, cat/4.png, cat/5.png and 1"
        " more)."
    )


def test_all_that_is_wrong_with_the_pictures_is_said_at_once(tmp_path: Path) -> None:
    grow(tmp_path)
    picture(tmp_path / "cat" / "a.png", (9, 7))
    (tmp_path / "cat" / "b.png").touch()
    lines = refusal(tmp_path).splitlines()
    assert [line.partition(" ")[0] for line in lines] == ["1", "the", "grey"]


def test_the_note_says_what_the_pictures_are(tmp_path: Path) -> None:
    grow(tmp_path, ["train", "test"])
    for name in ("cat", "dog"):
        picture(tmp_path / "train" / name / "a.jpeg")
    (tmp_path / "test" / "cat" / "list.txt").touch()
    (tmp_path / "test" / "cat" / ".hidden.png").touch()
    (tmp_path / "test" / "cat" / "raw.HEIC").touch()
    assert image_folder(0, root=str(tmp_path)).note == (
        f"Pictures from {tmp_path} (2 JPEG, which is lossy; 40 PNG): 20 for training, 2 for"
        " validation, 20 for the test. Left out: other files: 1 .heic, 1 .txt, 1 hidden."
    )


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([""], "train, val and test need one of every class, but eel has 2"),
        (["train", "test"], "train and val need one of every class, but eel has 1"),
        (["train", "val"], "train and test need one of every class, but eel has 1"),
    ],
    ids=str,
)
def test_a_class_with_too_few_pictures(tmp_path: Path, parts: list[str], said: str) -> None:
    grow(tmp_path, parts)
    for part in parts:
        for number in range(2 if part == "" else 1):
            picture(tmp_path / part / "eel" / f"{number}.png")
    assert refusal(tmp_path) == (
        f"too few pictures in {tmp_path}: {said}; add pictures, or delete the class folder"
    )


def test_a_class_of_which_nothing_can_be_read(tmp_path: Path) -> None:
    grow(tmp_path, ["train", "val", "test"], 1)
    (tmp_path / "test" / "dog" / "0.png").write_bytes(b"")
    assert refusal(tmp_path, skip_unreadable=True) == (
        f"too few pictures in {tmp_path}: test needs one of every class, but dog has 0;"
        " add pictures, or delete the class folder"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "root is missing; dataset.root=DIR names the folder of your pictures"),
        ({"root": "x", "size": 0}, "size is 0 x 0; each must be 1 to 4096 pixels"),
        ({"root": "x", "size": [64, 5000]}, "size is 64 x 5000; each must be 1 to 4096 pixels"),
        ({"root": "x", "val_share": 0}, "val_share is 0; it must be above 0 and below 1"),
        ({"root": "x", "test_share": 1}, "test_share is 1; it must be above 0 and below 1"),
        ({"root": "x", "resident": -1}, "resident is -1; it must be 0 GiB or more"),
        ({"root": "x", "workers": 0}, "workers is 0; it must be 1 or more"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value),
)
def test_values_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        image_folder(0, **options)


def test_looking_at_pictures_is_told_to_whoever_watches(tmp_path: Path) -> None:
    grow(tmp_path, count=40)
    heard = []
    with watched(lambda what, done, total: heard.append((what, done, total))):
        image_folder(0, root=str(tmp_path))
    looks = [(done, total) for what, done, total in heard if what == "looking at pictures"]
    assert looks == [(0, 80), (64, 80), (80, 80)]
