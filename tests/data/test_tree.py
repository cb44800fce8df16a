from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ibdrop.data.tree import Tree, find
from ibdrop.errors import DataError

MORE = "dataset.root=DIR names the folder of your pictures, with one folder per class inside"


def plant(root: Path, *names: str) -> Path:
    """Empty files; none is opened here."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def grow(root: Path, parts: Sequence[str] = (".",)) -> Path:
    """A folder with cats and dogs."""
    kinds = [f"{part}/{name}" for part in parts for name in ("cat", "dog")]
    return plant(root, *(f"{kind}/{number}.png" for kind in kinds for number in range(3)))


def names(tree: Tree, part: str = "train") -> list[str]:
    return [file.name for file in tree.parts[part]]


def test_pictures_are_found_at_any_depth_in_natural_order(tmp_path: Path) -> None:
    wanted = ["cat/1.png", "cat/2.JPG", "cat/10.png", "cat/a/b/1.tiff", "dog/Y.gif", "dog/z2.bmp"]
    tree = find(plant(tmp_path, *wanted[::-1]))
    assert tree.classes == ("cat", "dog")
    assert names(tree) == wanted
    assert [file.path for file in tree.parts["train"]] == [str(tmp_path / name) for name in wanted]
    assert [file.label for file in tree.parts["train"]] == [0, 0, 0, 0, 1, 1]
    assert not tree.left_out


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    classes = ("9", "10", "A", "b", "class 2", "class 10")
    plant(tmp_path, *(f"{name}/1.png" for name in classes))
    assert find(tmp_path).classes == classes


def test_what_is_no_picture_is_counted(tmp_path: Path) -> None:
    grow(tmp_path)
    others = [
        ".DS_Store",
        "readme.md",
        "cat/._1.png",
        "cat/Thumbs.db",
        "dog/a.HEIC",
        "dog/b.heic",
        "dog/c",
    ]
    tree = find(plant(tmp_path, *others, "__MACOSX/cat/1.png"))
    assert len(names(tree)) == 6
    assert tree.left_out == {
        "hidden": 2,
        "outside the class folders": 1,
        ".db": 1,
        ".heic": 2,
        "without an ending": 1,
    }


def test_files_and_classes_may_be_links_and_loops_end(tmp_path: Path) -> None:
    store, root = grow(tmp_path / "store"), tmp_path / "root"
    plant(root, "cat/1.png")
    (root / "cat" / "2.png").symlink_to(store / "cat" / "0.png")
    (root / "cat" / "loop").symlink_to("..")
    (root / "dog").symlink_to(store / "dog")
    (root / "self").symlink_to("self")
    tree = find(root)
    assert tree.classes == ("cat", "dog")
    assert names(tree) == ["cat/1.png", "cat/2.png", "dog/0.png", "dog/1.png", "dog/2.png"]
    assert tree.left_out == {"linked folders": 1, "outside the class folders": 1}


@pytest.mark.parametrize(
    "folders", ["train val test", "Training Validation testing", "train valid test"]
)
def test_folders_may_be_parts(tmp_path: Path, folders: str) -> None:
    tree = find(grow(tmp_path, folders.split()))
    for part, folder in zip(("train", "val", "test"), folders.split(), strict=True):
        assert {Path(file.path).parts[-3] for file in tree.parts[part]} == {folder}
        assert names(tree, part) == [
            f"{name}/{i}.png" for name in ("cat", "dog") for i in range(3)
        ]


def test_train_alone_is_a_part(tmp_path: Path) -> None:
    tree = find(grow(tmp_path, ["train"]))
    assert tree.classes == ("cat", "dog")
    assert list(tree.parts) == ["train"]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    tree = find(plant(grow(tmp_path), "train/1.png", "test/1.png"))
    assert tree.classes == ("cat", "dog", "test", "train")


def test_other_folders_beside_the_parts_do_no_harm_without_pictures(tmp_path: Path) -> None:
    plant(grow(tmp_path, ["train", "test"]), "labels/list.csv")
    assert list(find(tmp_path).parts) == ["train", "test"]


def test_names_are_alike_on_all_systems(tmp_path: Path) -> None:
    """Some file systems take accents apart; bytes that are no text can still be shown."""
    tree = find(plant(grow(tmp_path), "cat/cafe\u0301.png", "cat/caf\udce9.png"))
    assert {"cat/caf\u00e9.png", "cat/caf\ufffd.png"} <= set(names(tree))


def test_the_order_of_the_file_system_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grow(tmp_path, ["train", "test"])
    before, scan = find(tmp_path), os.scandir

    class Backwards:
        def __init__(self, folder: str) -> None:
            with scan(folder) as entries:
                self.entries = list(entries)[::-1]

        def __enter__(self) -> list[os.DirEntry[str]]:
            return self.entries

        def __exit__(self, *error: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Backwards)
    assert find(tmp_path) == before


def nothing(root: Path) -> None:
    root.rmdir()


def file(root: Path) -> None:
    root.rmdir()
    root.touch()


def empty_test(root: Path) -> None:
    (grow(root, ["train"]) / "test").mkdir()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (nothing, f"there is no folder ROOT; {MORE}"),
    "file": (file, f"ROOT is a file and no folder; {MORE}"),
    "bare": (
        lambda root: None,
        "ROOT holds no class folders; put the pictures of each class into a folder with its name",
    ),
    "flat": (
        lambda root: plant(root, "1.png", "2.png", "3.png"),
        "ROOT holds 3 pictures and no class folders; put the pictures of each class into a folder"
        " with its name",
    ),
    "one class": (
        lambda root: plant(root, "cat/1.png"),
        "ROOT holds one class only (cat), and a classifier needs two or more to tell apart",
    ),
    "nested": (
        lambda root: grow(root, ["inner"]),
        "ROOT holds one class only (inner), and a classifier needs two or more to tell apart;"
        " did you mean dataset.root=ROOT/inner?",
    ),
    "empty classes": (
        lambda root: plant(grow(root), "eel/list.csv", "fox/.hidden"),
        "no pictures in ROOT/eel, ROOT/fox (other files: 1 .csv, 1 hidden); fill or delete every"
        " empty folder",
    ),
    "empty val": (
        lambda root: plant(grow(root, ["train"]), "val/cat/.keep", "val/dog/.keep"),
        "no pictures in ROOT/val (other files: 2 hidden); fill or delete every empty folder",
    ),
    "empty test": (
        empty_test,
        "ROOT/test holds no class folders; put the pictures of each class into a folder with its"
        " name",
    ),
    "classes that differ": (
        lambda root: plant(
            grow(root, ["train"]), "train/eel/1.png", "test/cat/1.png", "test/Dog/1.png"
        ),
        "the class folders in ROOT differ: train lacks Dog; test lacks dog, eel; give every part"
        " the same classes",
    ),
    "two of a kind": (
        lambda root: grow(root, ["train", "val", "valid"]),
        "ROOT holds both val and valid; keep one of them",
    ),
    "strange part": (
        lambda root: grow(root, ["train", "test", "more"]),
        "ROOT is divided into test and train, but also holds pictures in more; move them"
        " elsewhere",
    ),
    "no train": (
        lambda root: grow(root, ["test", "val"]),
        "ROOT holds test and val and no train; add a folder train",
    ),
    "flat train": (
        lambda root: plant(root, "train/1.png", "train/2.png", "test/1.png"),
        "ROOT/train holds 2 pictures and no class folders; put the pictures of each class into a"
        " folder with its name",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_folder_that_is_no_such_tree(tmp_path: Path, name: str) -> None:
    root = tmp_path / "pictures"
    root.mkdir()
    make, said = BROKEN[name]
    make(root)
    with pytest.raises(DataError) as caught:
        find(root)
    assert str(caught.value) == said.replace("ROOT", str(root))


def test_a_folder_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=f"^{tmp_path} cannot be listed: Permission denied$"):
        find(tmp_path)
