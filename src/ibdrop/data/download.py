"""Downloads that survive broken connections and end in the right file or none."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from ibdrop import __version__
from ibdrop.errors import DataError

__all__ = ["Progress", "download", "md5_of"]

Progress = Callable[[int, int | None], None]
"""Called with the number of bytes received so far and, where known, that of the whole file."""

BLOCK = 1 << 16
FOREVER = {400, 401, 403, 404, 405, 410, 451}


class _Failed(Exception):
    """An attempt failed; `again` tells whether the same mirror may do better next time."""

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(reason)
        self.again = again


def download(
    addresses: Sequence[str],
    path: Path,
    *,
    md5: str,
    size: int | None = None,
    progress: Progress = lambda done, total: None,
    timeout: float = 20.0,
    attempts: int = 3,
    pause: float = 1.0,
) -> Path:
    """Fetches a file from the first of several addresses that gives it whole.

    What has arrived waits in `PATH.part`, from which an interrupted download goes on. `path`
    itself appears only when the checksum is right. Folders are made only for what arrives.

    Arguments:
        addresses: Addresses of the same file, in the order in which to try them.
        path: Where the file shall be.
        md5: The checksum of the whole file.
        size: Its size in bytes, where that is known; no server can then send more.
        progress: Told about every block.
        timeout: The longest silence of a server in seconds.
        attempts: The number of attempts with each address.
        pause: The time in seconds before the second attempt; it doubles with each further one.

    Raises:
        DataError: No address gave the file, or it cannot be written.
    """
    part = path.with_name(f"{path.name}.part")
    with suppress(OSError):
        if part.is_file() and md5_of(part) == md5:
            return part.replace(path)
    reasons = []
    for address in addresses:
        for attempt in range(attempts):
            try:
                with _folder_of(part):
                    resumed = _receive(address, part, size, progress, timeout)
                    _check(part, md5, again=resumed)
                    part.replace(path)
            except _Failed as failure:
                reason = f"{urlsplit(address).hostname}: {failure}"
                if not failure.again or attempt + 1 == attempts:
                    break
                time.sleep(pause * 2**attempt)
            except OSError as error:
                raise DataError(f"cannot write {part}: {error.strerror or error}") from error
            else:
                return path
        reasons.append(reason)
    raise DataError(
        f"cannot fetch {path.name} ({'; '.join(reasons)}): check the network and try again, or"
        f" put the file into {path.parent} by hand"
    )


@contextmanager
def _folder_of(part: Path) -> Iterator[None]:
    """Makes the folder, and takes back what is empty in the end."""
    made = [place for place in part.parents if not place.exists()]
    part.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        if part.is_file() and not part.stat().st_size:
            part.unlink()
        with suppress(OSError):
            for place in made:
                place.rmdir()


def md5_of(path: Path) -> str:
    """The checksum of a file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _receive(
    address: str, part: Path, size: int | None, progress: Progress, timeout: float
) -> bool:
    """Adds to `part` what it lacks; tells whether that was less than everything."""
    have = part.stat().st_size if part.exists() else 0
    with _ask(address, have, part, timeout) as answer:
        if answer.status != http.client.PARTIAL_CONTENT:
            have = 0
        total = _total(answer, have) or size
        if size and total != size:
            raise _Failed(f"gives another file ({total:,} bytes, not {size:,})", again=False)
        with part.open("ab" if have else "wb") as file:
            while block := _next(answer, timeout):
                file.write(block)
                have += len(block)
                progress(have, total)
                if size and have > size:
                    break
            file.flush()
            os.fsync(file.fileno())
    if total is not None and have < total:
        raise _Failed(f"the connection broke off after {have:,} of {total:,} bytes", again=True)
    return bool(answer.status == http.client.PARTIAL_CONTENT)


def _ask(address: str, have: int, part: Path, timeout: float) -> http.client.HTTPResponse:
    """Asks for what is lacking after the first `have` bytes."""
    headers = {"User-Agent": f"ibdrop/{__version__}"} | (
        {"Range": f"bytes={have}-"} if have else {}
    )
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(address, headers=headers), timeout=timeout
        )
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.unlink()
        raise _Failed(
            f"HTTP {error.code} {error.reason}", again=error.code not in FOREVER
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _failure(error, timeout) from error
    return answer


def _next(answer: http.client.HTTPResponse, timeout: float) -> bytes:
    try:
        return answer.read1(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _failure(error, timeout) from error


def _failure(error: Exception, timeout: float) -> _Failed:
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return _Failed(f"no answer for {timeout:g} s", again=True)
    if isinstance(cause, socket.gaierror):
        return _Failed("the name is not known here", again=False)
    if isinstance(cause, ConnectionRefusedError):
        return _Failed("connection refused", again=False)
    text = getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
    return _Failed(text, again=isinstance(cause, ConnectionError | http.client.HTTPException))


def _total(answer: http.client.HTTPResponse, have: int) -> int | None:
    length = answer.headers.get("Content-Length", "")
    return have + int(length) if length.isdigit() else None


def _check(part: Path, md5: str, *, again: bool) -> None:
    """Throws away a wrong file; one begun elsewhere deserves a second attempt from the start."""
    found = md5_of(part)
    if found != md5:
        part.unlink()
        raise _Failed(f"gives another file (MD5 {found[:8]}…, not {md5[:8]}…)", again=again)
