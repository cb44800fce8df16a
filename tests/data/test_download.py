from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ibdrop.data.download import download
from ibdrop.errors import DataError

if TYPE_CHECKING:
    from tests.data.conftest import Mirror

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


def get(addresses: list[str], path: Path, **options: Any) -> Path:
    return download(addresses, path, md5=MD5, **{"timeout": 5.0, "pause": 0.0, **options})


def refusal(addresses: list[str], path: Path, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        get(addresses, path, **options)
    assert not path.exists()
    return str(caught.value)


def test_a_file_arrives_whole(mirror: Mirror, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = get([mirror("good")], tmp_path / "a" / "file", progress=lambda *s: seen.append(s))
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["file"]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_broken_connection_goes_on_where_it_was(mirror: Mirror, tmp_path: Path) -> None:
    assert get([mirror("breaks")], tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == [("/breaks", None), ("/breaks", f"bytes={len(CONTENT) // 3}-")]


def test_an_earlier_attempt_is_continued(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT[:5000])
    assert get([mirror("good")], tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == [("/good", "bytes=5000-")]


def test_a_server_without_ranges_begins_anew(mirror: Mirror, tmp_path: Path) -> None:
    assert get([mirror("whole")], tmp_path / "file").read_bytes() == CONTENT
    assert len(mirror.asked) == 2


def test_a_complete_part_is_no_trap(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT + b"too much")
    assert get([mirror("good")], tmp_path / "file").read_bytes() == CONTENT


def test_a_foreign_part_is_thrown_away(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").write_bytes(b"something else")
    assert get([mirror("good")], tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == [("/good", "bytes=14-"), ("/good", None)]


def test_a_busy_server_is_asked_again(mirror: Mirror, tmp_path: Path) -> None:
    assert get([mirror("busy")], tmp_path / "file").read_bytes() == CONTENT
    assert len(mirror.asked) == 2


def test_the_next_mirror_helps(mirror: Mirror, tmp_path: Path) -> None:
    addresses = [mirror("missing"), mirror("wrong"), mirror("good")]
    assert get(addresses, tmp_path / "file").read_bytes() == CONTENT
    assert [path for path, _ in mirror.asked] == ["/missing", "/wrong", "/good"]


def test_every_mirror_is_named_with_its_reason(mirror: Mirror, tmp_path: Path) -> None:
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()
    addresses = [
        mirror("missing"),
        mirror("wrong"),
        mirror("always"),
        mirror("slow"),
        f"http://127.0.0.1:{port}/",
    ]
    wrong = hashlib.md5(CONTENT[::-1]).hexdigest()
    assert refusal(addresses, tmp_path / "file", timeout=0.1, attempts=1) == (
        "cannot fetch file (127.0.0.1: HTTP 404 Not Found;"
        f" 127.0.0.1: gives another file (MD5 {wrong[:8]}…, not {MD5[:8]}…);"
        " 127.0.0.1: the connection broke off after 1,000 of 256,000 bytes;"
        " 127.0.0.1: no answer for 0.1 s;"
        " 127.0.0.1: connection refused): check the network and try again, or put the file into"
        f" {tmp_path} by hand"
    )


def test_a_silent_server_is_left_but_its_bytes_are_kept(mirror: Mirror, tmp_path: Path) -> None:
    said = refusal([mirror("stalls")], tmp_path / "file", timeout=0.1, attempts=1)
    assert "127.0.0.1: no answer for 0.1 s" in said
    assert (tmp_path / "file.part").read_bytes() == CONTENT[:1000]


def test_attempts_are_counted(mirror: Mirror, tmp_path: Path) -> None:
    refusal([mirror("slow")], tmp_path / "file", timeout=0.05, attempts=3)
    assert len(mirror.asked) == 3


def test_what_was_whole_before_an_interrupt_is_not_asked_for_again(
    mirror: Mirror, tmp_path: Path
) -> None:
    (tmp_path / "file.part").write_bytes(CONTENT)
    assert get([mirror("good")], tmp_path / "file").read_bytes() == CONTENT
    assert mirror.asked == []
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_page_in_place_of_the_file_is_not_kept(mirror: Mirror, tmp_path: Path) -> None:
    mirror.content = b"<html>please log in</html>"
    said = refusal([mirror("good")], tmp_path / "file", size=len(CONTENT))
    assert "127.0.0.1: gives another file (26 bytes, not 256,000)" in said
    assert mirror.asked == [("/good", None)]
    assert list(tmp_path.iterdir()) == []


def test_the_known_size_tells_a_cut_file_where_the_server_does_not(
    mirror: Mirror, tmp_path: Path
) -> None:
    path = get([mirror("vague")], tmp_path / "file", size=len(CONTENT))
    assert path.read_bytes() == CONTENT
    assert mirror.asked == [("/vague", None), ("/vague", "bytes=1000-")]


def test_no_server_can_send_more_than_the_known_size(mirror: Mirror, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    said = refusal(
        [mirror("endless")],
        tmp_path / "file",
        size=len(CONTENT),
        progress=lambda *state: seen.append(state),
    )
    assert "127.0.0.1: gives another file (MD5" in said
    assert len(CONTENT) < seen[-1][0] < 2 * len(CONTENT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["missing", "wrong", "slow"])
def test_no_empty_folder_stays_behind(mirror: Mirror, tmp_path: Path, how: str) -> None:
    refusal([mirror(how)], tmp_path / "a" / "b" / "file", timeout=0.1, attempts=1)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = refusal(["http://mirror.invalid/file"], tmp_path / "file")
    assert said.startswith("cannot fetch file (mirror.invalid: the name is not known here):")


def test_a_folder_that_cannot_be_is_named(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "folder").write_text("a file")
    said = refusal([mirror("good")], tmp_path / "folder" / "file")
    assert said == f"cannot write {tmp_path}/folder/file.part: File exists"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_named(mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file.part").symlink_to("/dev/full")
    said = refusal([mirror("good")], tmp_path / "file")
    assert said == f"cannot write {tmp_path}/file.part: No space left on device"
