from __future__ import annotations

import gzip
import hashlib
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ibdrop.data.download import download
from ibdrop.data.fetch import fetch
from ibdrop.data.sources import File, Source
from ibdrop.errors import DataError

CONTENT = bytes(range(256)) * 1000
MD5 = hashlib.md5(CONTENT).hexdigest()


class Mirror(ThreadingHTTPServer):
    """A server that misbehaves as its addresses say, and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []
        self.content = CONTENT

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are part of the test."""

    def __call__(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class Answer(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        how = self.path.strip("/").split("/")[0]
        first = not any(path == self.path for path, _ in self.server.asked)
        self.server.asked.append((self.path, wanted))
        content = self.server.content
        if how == "wrong":
            content = content[::-1]
        if how == "missing":
            self.send_error(404)
        elif how == "busy" and first:
            self.send_error(503)
        elif how == "slow":
            time.sleep(1)
        elif how == "stalls":
            self.answer(content[:1000], len(content))
            time.sleep(1)
        elif wanted and how != "whole":
            self.part(content, int(wanted.removeprefix("bytes=").removesuffix("-")))
        elif how in ("breaks", "whole") and first:
            self.answer(content[: len(content) // 3], len(content))
        elif how == "always":
            self.answer(content[:1000], len(content))
        else:
            self.answer(content, len(content))

    def part(self, content: bytes, start: int) -> None:
        if start >= len(content):
            self.send_error(416)
        else:
            self.answer(content[start:], len(content) - start, 206)

    def answer(self, content: bytes, length: int, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


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


@pytest.fixture
def source(mirror: Mirror) -> Source:
    """Two packed files on the mirror, the same content under both names."""
    mirror.content = gzip.compress(CONTENT, mtime=0)
    packed = hashlib.md5(mirror.content).hexdigest()
    files = tuple(
        File(name, len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), packed) for name in "ab"
    )
    return Source("Tiny", 2, "none", "nobody", "tiny/raw", files, (mirror("good/"),))


def test_files_are_fetched_and_unpacked(source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "tiny" / "raw"
    assert fetch(source, tmp_path) == [folder / "a", folder / "b"]
    assert sorted(file.name for file in folder.iterdir()) == ["a", "b"]
    assert (folder / "a").read_bytes() == CONTENT
    assert source.missing(tmp_path) == []


def test_what_is_whole_stays_and_what_is_damaged_is_replaced(
    source: Source, mirror: Mirror, tmp_path: Path
) -> None:
    fetch(source, tmp_path)
    (tmp_path / "tiny" / "raw" / "b").write_bytes(b"damaged")
    mirror.asked.clear()
    assert fetch(source, tmp_path) == [tmp_path / "tiny" / "raw" / "b"]
    assert mirror.asked == [("/good/b.gz", None)]
    assert fetch(source, tmp_path) == []


def test_a_mirror_with_the_right_md5_but_another_content_is_refused(
    source: Source, tmp_path: Path
) -> None:
    files = (source.files[0]._replace(sha256="0" * 64),)
    with pytest.raises(DataError, match=re.escape("a.gz is not the original: its SHA-256 is")):
        fetch(source._replace(files=files), tmp_path)
    assert not (tmp_path / "tiny" / "raw" / "a").exists()
