from __future__ import annotations

import hashlib
import io
import re
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from ibdrop.data.archive import unpack_archive
from ibdrop.data.fetch import fetch
from ibdrop.data.sources import CIFAR10, Archive, File, Source
from ibdrop.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Mirror

FOLDER = CIFAR10.folder
CONTENTS = {
    file.name: bytes([number]) * 50_000 + Random(number).randbytes(20_000)
    for number, file in enumerate(CIFAR10.files)
}
FILES = tuple(
    File(name, len(content), md5=hashlib.md5(content).hexdigest())
    for name, content in CONTENTS.items()
)
Member = tuple[str, bytes]
WHOLE: list[Member] = [(f"{FOLDER}/{name}", content) for name, content in CONTENTS.items()]


def packed(members: Sequence[Member], odd: Sequence[tarfile.TarInfo] = ()) -> bytes:
    """A gzipped tar file: members without content first, then files."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for info in odd:
            archive.addfile(info)
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.fixture
def served(mirror: Mirror) -> Callable[..., Source]:
    """CIFAR-10 with small files, whose archive is what the mirror holds."""

    def serve(content: bytes, how: str = "good") -> Source:
        mirror.content = content
        md5 = hashlib.md5(content).hexdigest()
        archive = Archive("cifar-10-python.tar.gz", len(content), md5)
        return CIFAR10._replace(files=FILES, archive=archive, mirrors=(mirror(f"{how}/"),))

    return serve


def refusal(source: Source, root: Path) -> str:
    with pytest.raises(DataError) as caught:
        fetch(source, root, pause=0)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_files_of_an_archive_are_fetched_and_nothing_else(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    seen: dict[str, tuple[int, int | None]] = {}

    def watch(what: str) -> Callable[[int, int | None], None]:
        return lambda done, total: seen.update({what: (done, total)})

    source = served(packed([(f"{FOLDER}/readme.html", b"hello"), *WHOLE]))
    assert fetch(source, tmp_path, watch=watch) == [tmp_path / FOLDER / name for name in CONTENTS]
    assert names(tmp_path) == sorted(f"{FOLDER}/{name}" for name in CONTENTS)
    for name, content in CONTENTS.items():
        assert (tmp_path / FOLDER / name).read_bytes() == content
    size = len(mirror.content)
    assert seen["cifar-10-python.tar.gz"] == (size, size)
    done, total = seen["unpacking cifar-10-python.tar.gz"]
    assert (size // 2 < done <= size, total) == (True, size)
    assert fetch(source, tmp_path) == []
    assert mirror.asked == [("/good/cifar-10-python.tar.gz", None)]


def test_a_cut_download_goes_on_where_it_was(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE), "breaks")
    assert len(fetch(source, tmp_path, pause=0)) == 7
    assert mirror.asked[1][1] == f"bytes={len(mirror.content) // 3}-"


def test_an_interrupted_fetch_goes_on_with_what_had_arrived(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE))

    def interrupt(what: str) -> Callable[[int, int | None], None]:
        def stop(done: int, total: int | None) -> None:
            if done > len(mirror.content) // 2:
                raise KeyboardInterrupt

        return stop

    with pytest.raises(KeyboardInterrupt):
        fetch(source, tmp_path, watch=interrupt)
    (part,) = names(tmp_path)
    assert part == "cifar-10-python.tar.gz.part"
    have = (tmp_path / part).stat().st_size
    assert len(fetch(source, tmp_path)) == 7
    assert [wanted for _, wanted in mirror.asked] == [None, f"bytes={have}-"]


def test_an_interrupted_unpacking_needs_no_second_download(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE))

    def interrupt(what: str) -> Callable[[int, int | None], None]:
        def stop(done: int, total: int | None) -> None:
            if what.startswith("unpacking") and (tmp_path / FOLDER / "data_batch_3").exists():
                raise KeyboardInterrupt

        return stop

    with pytest.raises(KeyboardInterrupt):
        fetch(source, tmp_path, watch=interrupt)
    assert len(source.missing(tmp_path)) == 4
    assert len(fetch(source, tmp_path)) == 4
    assert len(mirror.asked) == 1
    assert source.missing(tmp_path) == []


def test_only_what_is_damaged_is_unpacked_again(
    served: Callable[..., Source], tmp_path: Path
) -> None:
    source = served(packed(WHOLE))
    fetch(source, tmp_path)
    (tmp_path / FOLDER / "data_batch_4").write_bytes(CONTENTS["data_batch_5"])
    assert fetch(source, tmp_path) == [tmp_path / FOLDER / "data_batch_4"]
    assert (tmp_path / FOLDER / "data_batch_4").read_bytes() == CONTENTS["data_batch_4"]


def test_an_archive_that_was_brought_by_hand_is_used_and_stays(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE))
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(mirror.content)
    assert len(fetch(source, tmp_path)) == 7
    assert mirror.asked == []
    assert (tmp_path / "cifar-10-python.tar.gz").read_bytes() == mirror.content


def test_a_damaged_archive_that_was_there_is_replaced(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE))
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(mirror.content[:-1])
    assert len(fetch(source, tmp_path)) == 7
    assert len(mirror.asked) == 1


def test_another_mirror_helps(
    served: Callable[..., Source], mirror: Mirror, tmp_path: Path
) -> None:
    source = served(packed(WHOLE))
    mirrors = tuple(mirror(f"{how}/") for how in ("missing", "wrong", "good"))
    assert len(fetch(source._replace(mirrors=mirrors), tmp_path, pause=0)) == 7


def test_where_a_file_goes_is_never_read_from_the_archive(
    served: Callable[..., Source], tmp_path: Path
) -> None:
    root = tmp_path / "deep" / "data"
    names_outside = ["../escaped", f"{FOLDER}/../../escaped", str(tmp_path / "escaped")]
    outside = [(name, b"gotcha") for name in names_outside]
    odd = [link("away", str(tmp_path)), tarfile.TarInfo("pipe")]
    odd[1].type = tarfile.FIFOTYPE
    fetch(served(packed([*outside, ("away/escaped", b"gotcha"), *WHOLE], odd)), root)
    assert names(tmp_path) == sorted(f"deep/data/{FOLDER}/{name}" for name in CONTENTS)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])
def test_a_link_in_place_of_a_file_is_refused(
    served: Callable[..., Source], tmp_path: Path, kind: bytes
) -> None:
    (tmp_path / "secret").write_text("not for reading")
    name = f"{FOLDER}/data_batch_1"
    source = served(packed(WHOLE[1:], [link(name, str(tmp_path / "secret"), kind)]))
    assert refusal(source, tmp_path) == (
        f"{tmp_path}/cifar-10-python.tar.gz/{name} is no plain file;"
        " delete the archive and fetch it again"
    )
    assert names(tmp_path) == ["cifar-10-python.tar.gz", "secret"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"x" * 10, "is another file: it holds 10 bytes and should hold 70,000;"),
        (b"x" * 70_000, "is not the original: its MD5 is "),
    ],
)
def test_another_file_of_the_right_name_is_refused(
    served: Callable[..., Source], tmp_path: Path, content: bytes, message: str
) -> None:
    members = [(f"{FOLDER}/data_batch_1", content), *WHOLE[1:]]
    assert f"{FOLDER}/data_batch_1 {message}" in refusal(served(packed(members)), tmp_path)
    assert names(tmp_path) == ["cifar-10-python.tar.gz"]


def test_a_file_that_lacks_is_named(served: Callable[..., Source], tmp_path: Path) -> None:
    said = refusal(served(packed(WHOLE[:5] + WHOLE[6:])), tmp_path)
    assert f"cifar-10-python.tar.gz lacks {FOLDER}/test_batch; delete the archive" in said


@pytest.mark.parametrize("kept", [100, 50_000, 100_000])
def test_a_truncated_archive_is_damaged(
    served: Callable[..., Source], tmp_path: Path, kept: int
) -> None:
    source = served(packed(WHOLE)[:kept])
    assert "cifar-10-python.tar.gz is damaged (" in refusal(source, tmp_path)
    assert len(source.missing(tmp_path)) == 7 - kept // 21_000


@pytest.mark.parametrize("content", [b"", b"no archive at all" * 99])
def test_what_is_no_archive_is_damaged(tmp_path: Path, content: bytes) -> None:
    archive = tmp_path / "archive"
    archive.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{re.escape(str(archive))} is damaged \(.*\); delete"):
        unpack_archive(archive, FOLDER, FILES, tmp_path, lambda done, total: None)


def test_a_folder_that_cannot_be_is_named(served: Callable[..., Source], tmp_path: Path) -> None:
    (tmp_path / FOLDER).write_text("a file")
    said = refusal(served(packed(WHOLE)), tmp_path)
    assert said == f"cannot write {tmp_path}/{FOLDER}/data_batch_1: File exists"
