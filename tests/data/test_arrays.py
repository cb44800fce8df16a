"""One NPZ archive: what it must hold, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ibdrop.data.arrays import arrays
from ibdrop.data.base import ImageData, ImageSet, StaticImages
from ibdrop.data.image_folder import image_folder
from ibdrop.data.npz import Archive
from ibdrop.data.streamed import Streamed
from ibdrop.errors import DataError

RANDOM = np.random.default_rng(3)
GREY = RANDOM.integers(0, 256, (60, 6, 8), dtype=np.uint8)
COLOUR = RANDOM.integers(0, 256, (60, 6, 8, 3), dtype=np.uint8)
LABELS = np.arange(60) % 3


def save(folder: Path, *, compressed: bool = False, **members: Any) -> str:
    write = np.savez_compressed if compressed else np.savez
    path = folder / "my.npz"
    write(path, **members)
    return str(path)


def whole(images: ImageSet) -> torch.Tensor:
    return images.batch(torch.arange(len(images))).images


def labels(images: ImageSet) -> list[int]:
    return images.batch(torch.arange(len(images))).labels.tolist()


def pictures(data: ImageData) -> list[list[bytes]]:
    splits = data.train, data.val, data.test
    return [[image.numpy().tobytes() for image in whole(split)] for split in splits]


def split_members(**changes: Any) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for part, first, end in (("train", 0, 30), ("val", 30, 45), ("test", 45, 60)):
        members[f"{part}_images"] = COLOUR[first:end]
        members[f"{part}_labels"] = LABELS[first:end]
    members |= changes
    return {name: value for name, value in members.items() if value is not None}


@pytest.mark.parametrize("compressed", [False, True])
def test_each_image_is_in_one_split_with_its_label(tmp_path: Path, compressed: bool) -> None:
    data = arrays(0, file=save(tmp_path, compressed=compressed, images=COLOUR, labels=LABELS))
    assert data.spec == (3, 6, 8, ("0", "1", "2"))
    assert data.name == "my"
    wanted = {
        image.transpose(2, 0, 1).tobytes(): label
        for image, label in zip(COLOUR, LABELS, strict=True)
    }
    seen = []
    for split in (data.train, data.val, data.test):
        for image, label in zip(whole(split), labels(split), strict=True):
            seen.append(image.numpy().tobytes())
            assert wanted[seen[-1]] == label
    assert sorted(seen) == sorted(wanted)
    assert [len(split) for split in (data.train, data.val, data.test)] == [42, 6, 12]
    assert np.bincount(labels(data.test)).tolist() == [4, 4, 4]
    assert data.note == (
        "Images from my.npz: 42 for training, 6 for validation, 12 for the test, chosen at random"
        " once and for all."
    )


def test_the_test_images_do_not_depend_on_the_seed(tmp_path: Path) -> None:
    file = save(tmp_path, images=GREY, labels=LABELS)
    first, second = (pictures(arrays(seed, file=file)) for seed in (0, 1))
    assert first[2] == second[2]
    assert first[1] != second[1]
    assert pictures(arrays(0, file=file)) == first


def test_channels_may_stand_anywhere(tmp_path: Path) -> None:
    wanted = pictures(arrays(0, file=save(tmp_path, images=COLOUR, labels=LABELS)))
    first = np.ascontiguousarray(COLOUR.transpose(0, 3, 1, 2))
    assert pictures(arrays(0, file=save(tmp_path, images=first, labels=LABELS))) == wanted
    fortran = np.asfortranarray(COLOUR)
    assert pictures(arrays(0, file=save(tmp_path, images=fortran, labels=LABELS))) == wanted
    grey = pictures(arrays(0, file=save(tmp_path, images=GREY, labels=LABELS)))
    for axis in (1, 3):
        one = np.expand_dims(GREY, axis)
        assert pictures(arrays(0, file=save(tmp_path, images=one, labels=LABELS))) == grey


def test_the_layout_of_medmnist(tmp_path: Path) -> None:
    members = split_members()
    for part in ("train", "val", "test"):
        members[f"{part}_labels"] = members[f"{part}_labels"][:, None].astype(np.uint8)
    data = arrays(0, file=save(tmp_path, **members))
    assert torch.equal(whole(data.val), torch.from_numpy(COLOUR[30:45]).permute(0, 3, 1, 2))
    assert labels(data.test) == LABELS[45:].tolist()
    assert data.note.endswith("15 for the test.")


def test_what_is_missing_is_cut_from_train(tmp_path: Path) -> None:
    members = split_members(val_images=None, val_labels=None)
    data = arrays(0, file=save(tmp_path, **members))
    assert [len(split) for split in (data.train, data.val, data.test)] == [27, 3, 15]


def test_classes_have_names(tmp_path: Path) -> None:
    file = save(tmp_path, images=GREY, labels=LABELS, classes=np.array(["cat", "dog", "cow"]))
    assert arrays(0, file=file).spec.classes == ("cat", "dog", "cow")


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_archive_is_read_in_place(tmp_path: Path, order: str) -> None:
    images = np.asfortranarray(COLOUR) if order == "F" else COLOUR
    file = save(tmp_path, images=images, labels=LABELS)
    kept, streamed = arrays(0, file=file), arrays(0, file=file, resident=0)
    assert isinstance(kept.train, StaticImages)
    assert isinstance(streamed.train, Streamed)
    assert pictures(kept) == pictures(streamed)
    with Archive(Path(file)) as archive:
        assert isinstance(archive.mapped("images"), np.memmap)


def test_the_same_pictures_in_a_folder_give_the_same_tensors(tmp_path: Path) -> None:
    members: dict[str, Any] = {}
    for part in ("train", "val", "test"):
        images = RANDOM.integers(0, 256, (12, 5, 7, 3), dtype=np.uint8)
        members[f"{part}_images"] = images
        members[f"{part}_labels"] = np.arange(12) % 2
        for i, image in enumerate(images):
            path = tmp_path / "tree" / part / ("cat", "dog")[i % 2] / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    file = save(tmp_path, **members, classes=np.array(["cat", "dog"]))
    folder, archive = image_folder(0, root=str(tmp_path / "tree")), arrays(0, file=file)
    assert folder.spec == archive.spec
    for one, other in zip(
        (folder.train, folder.val, folder.test),
        (archive.train, archive.val, archive.test),
        strict=True,
    ):
        assert torch.equal(whole(one), whole(other))
        assert labels(one) == labels(other)


class Bomb:
    """Would make a file if it were unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["images", "labels", "classes"])
def test_pickles_are_never_loaded(tmp_path: Path, name: str) -> None:
    members: dict[str, Any] = {"images": GREY, "labels": LABELS, "classes": np.array(["a", "b"])}
    exploded = tmp_path / "exploded"
    members[name] = np.array([Bomb(exploded)] * 60, dtype=object)
    with pytest.raises(DataError) as caught:
        arrays(0, file=save(tmp_path, **members))
    assert "holds pickled Python objects, which are never loaded" in str(caught.value)
    assert str(caught.value).startswith(name)
    assert not exploded.exists()


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"x": GREY, "y": LABELS},
        "no images and no labels in FILE, which holds x, y; it must hold images and labels, or"
        " train_images, train_labels, test_images, test_labels and perhaps val_images, val_labels",
    ),
    (split_members(train_labels=None), "no train_labels in FILE, which holds test_images,"),
    (
        {"images": GREY / 255, "labels": LABELS},
        "images in FILE has numbers of type float64; 8 bits from 0 to 255 are needed: (images *"
        " 255).round().astype('uint8') if they run from 0 to 1",
    ),
    (
        {"images": GREY.astype(np.uint16), "labels": LABELS},
        "images in FILE has numbers of type uint16; 8 bits from 0 to 255 are needed",
    ),
    ({"images": GREY[0], "labels": LABELS}, "images in FILE has the shape (6, 8); it must be"),
    (
        {"images": np.zeros((9, 3, 5, 3), np.uint8), "labels": np.arange(9) % 2},
        "whose channels may be the second or the last axis; images must be larger than 3 pixels",
    ),
    (
        {"images": np.zeros((9, 8, 8, 4), np.uint8), "labels": np.arange(9) % 2},
        "images in FILE has the shape (9, 8, 8, 4); the second or the last axis must be 1 channel"
        " (grey) or 3 (red, green, blue)",
    ),
    (
        {"images": GREY, "labels": LABELS[:50]},
        "FILE holds 60 images and 50 labels; each image needs one label",
    ),
    (
        {"images": GREY, "labels": LABELS.astype(float)},
        "labels in FILE has values of type float64; labels must be whole numbers from 0, and their"
        " names go into an array called classes",
    ),
    (
        {"images": GREY, "labels": np.array(["a", "b", "c"] * 20)},
        "labels in FILE has values of type <U1; labels must be whole numbers from 0",
    ),
    ({"images": GREY, "labels": LABELS - 1}, "labels in FILE holds -1; labels must be 0 to 9,999"),
    ({"images": GREY, "labels": LABELS * 9999}, "labels in FILE holds 19998; labels must be"),
    ({"images": GREY, "labels": np.stack([LABELS] * 2, 1)}, "has the shape (60, 2); it must be"),
    (
        {"images": GREY, "labels": LABELS, "classes": np.array(["a", "b"])},
        "a label of images in FILE is 2, but classes names 2, from 0 to 1",
    ),
    (
        {"images": GREY, "labels": LABELS, "classes": np.array(["a", "b", "a"])},
        "classes in FILE names a class twice: a, b, a",
    ),
    (
        {"images": GREY[:, :0], "labels": LABELS},
        "images in FILE is empty (its shape is (60, 0, 8)); it must hold images",
    ),
    (
        {"images": GREY, "labels": LABELS, "classes": np.array(["a", " ", "c"])},
        "classes in FILE has no name that can be printed for class 1",
    ),
    (
        {"images": GREY, "labels": LABELS, "classes": np.array(["a", "b", "c\x1b[2J"])},
        "classes in FILE has no name that can be printed for class 2",
    ),
    (
        {"images": GREY, "labels": LABELS, "classes": np.array(["a", "b", "c" * 2000])},
        "classes in FILE holds 3 names of up to 2,000 letters; there may be 10,000 of 1,000",
    ),
    (
        split_members(val_images=None, val_labels=None, train_labels=LABELS[:30] % 2),
        "every class needs at least 2 images for training and validation, but 2 has 0; add",
    ),
    (
        {"images": GREY, "labels": LABELS, "classes": np.arange(3)},
        "classes in FILE has the shape (3,) and type int64; it must be a list of names",
    ),
    ({"images": GREY, "labels": LABELS * 0}, "FILE has only one class; at least two are needed"),
    (
        {"images": GREY, "labels": LABELS * 2},
        "every class needs at least 3 images for training, validation and the test, but 1 has 0, 3"
        " has 0; add images, or number the classes anew",
    ),
    (
        split_members(val_images=COLOUR[30:45, :5]),
        "the splits in FILE differ (channels x height x width): train_images 3 x 6 x 8, val_images"
        " 3 x 5 x 8, test_images 3 x 6 x 8; they must be the same",
    ),
    (
        split_members(test_images=COLOUR[:0], test_labels=LABELS[:0]),
        "test_images in FILE is empty (its shape is (0, 6, 8, 3)); it must hold images",
    ),
]


@pytest.mark.parametrize(("members", "words"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_is_not_understood_is_refused(
    tmp_path: Path, members: dict[str, Any], words: str
) -> None:
    file = save(tmp_path, **members)
    with pytest.raises(DataError) as caught:
        arrays(0, file=file)
    assert words.replace("FILE", file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_large_compressed_archive_is_told_the_way_out(tmp_path: Path) -> None:
    file = save(tmp_path, compressed=True, images=GREY, labels=LABELS)
    with pytest.raises(DataError, match="write it with numpy.savez in place of numpy.savez_com"):
        arrays(0, file=file, resident=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"file": None}, "file is missing; dataset.file=FILE.npz names your archive"),
        ({"val_share": 0.0}, "val_share is 0; it must be above 0 and below 1"),
        ({"test_share": 1.0}, "test_share is 1; it must be above 0 and below 1"),
        ({"resident": -1.0}, "resident is -1; it must be 0 GiB or more"),
        ({"workers": 0}, "workers is 0; it must be 1 or more"),
    ],
)
def test_numbers_out_of_range_are_refused(
    tmp_path: Path, options: dict[str, Any], words: str
) -> None:
    file = save(tmp_path, images=GREY, labels=LABELS)
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        arrays(0, **({"file": file} | options))
