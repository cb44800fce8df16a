from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ibdrop.data.sources import MNIST


@pytest.fixture(scope="session")
def mnist_root(checkout: Path) -> str:
    """A folder with MNIST in it, where this machine has one."""
    named = os.environ.get("IBDROP_DATA")
    for root in [Path(named)] if named else [checkout / "data", checkout.parent / "shared/data"]:
        if not MNIST.missing(root):
            return str(root)
    pytest.skip("MNIST is not here; IBDROP_DATA=DIR says where it is")


@pytest.fixture
def digits() -> tuple[Tensor, Tensor]:
    """Thirteen random digits of 12 px with dark edges, and their labels."""
    random = torch.Generator().manual_seed(5)
    images = torch.randint(0, 256, (13, 12, 12), generator=random, dtype=torch.uint8)
    images *= torch.rand(13, 12, 12, generator=random) < 0.4
    images[:, :2] = 0
    images[:, :, 10:] = 0
    return images, torch.arange(13) % 10


class Mirror(ThreadingHTTPServer):
    """A server that misbehaves as its addresses say, and remembers what it was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.asked: list[tuple[str, str | None]] = []
        self.content = bytes(range(256)) * 1000

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
        elif how == "endless":
            self.answer(content * 1000, None)
        elif wanted and how != "whole":
            self.part(content, int(wanted.removeprefix("bytes=").removesuffix("-")))
        elif how in ("breaks", "whole") and first:
            self.answer(content[: len(content) // 3], len(content))
        elif how == "always":
            self.answer(content[:1000], len(content))
        elif how == "vague":
            self.answer(content[:1000], None)
        else:
            self.answer(content, len(content))

    def part(self, content: bytes, start: int) -> None:
        if start >= len(content):
            self.send_error(416)
        else:
            self.answer(content[start:], len(content) - start, 206)

    def answer(self, content: bytes, length: int | None, status: int = 200) -> None:
        self.send_response(status)
        if length is not None:
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
