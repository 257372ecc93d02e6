"""What every way to reach a host can do, and how it can fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from treadle.base.errors import ResourceError, TreadleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BLOCK: Final = 1 << 20
"""Bytes that are read or written at a time."""


class LinkError(TreadleError):
    """The connection could not be made or was cut. What runs on the host goes on; the next call connects anew."""


class HostKeyError(TreadleError):
    """The host is not the one that was accepted, or none was accepted yet."""


class HostError(TreadleError):
    """The host was reached and said no: a command failed, a file is missing or damaged."""


class HostFullError(ResourceError):
    """No space left on the host."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a command."""

    code: int | None
    """Its exit status, 128 + N after signal N; None when that is unknown (the link was cut), which is no success."""
    out: bytes
    err: bytes

    @property
    def ok(self) -> bool:
        """Whether it is known to have succeeded."""
        return self.code == 0

    @property
    def said(self) -> str:
        """The end of what it printed, for messages."""
        text = (self.err.strip() or self.out.strip()).decode(errors="replace")
        return text[-500:] or ("no answer" if self.code is None else f"status {self.code} without a word")


class Transport(Protocol):
    """A way to a host. Paths on the host are absolute or relative to the home folder there."""

    @property
    def host(self) -> str:
        """Name of the host, for messages."""
        ...

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished:
        """Run a command to its end. A cut link or `timeout` seconds give `code` None; it may go on there."""
        ...

    def put(self, local: Path, remote: str) -> str:
        """Send a file: under a temporary name, hashed, synced, renamed. Goes on where it was cut. Returns SHA-256."""
        ...

    def put_bytes(self, data: bytes, remote: str, mode: int = 0o644) -> str:
        """Replace a file by `data`; it never has more rights than `mode`. Returns SHA-256."""
        ...

    def get(self, remote: str, local: Path, sha256: str | None = None) -> str:
        """Fetch a file: under a temporary name, hashed, synced, renamed. Goes on where it was cut. Returns SHA-256."""
        ...

    def read(self, remote: str, offset: int, most: int) -> bytes:
        """At most `most` bytes from `offset` on; empty at the end, and when there is no such file."""
        ...

    def exists(self, remote: str) -> bool:
        """Whether there is such a file or folder."""
        ...

    def size(self, remote: str) -> int | None:
        """Bytes of a file, or None."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


def run_checked(
    transport: Transport, argv: Sequence[str], what: str, *, stdin: bytes = b"", timeout: float | None = None
) -> bytes:
    """What a command printed; `LinkError` when its end is unknown, `HostError` when it failed."""
    done = transport.run(argv, stdin=stdin, timeout=timeout)
    if done.code is None:
        raise LinkError(f"{transport.host}: the connection broke while it was to {what} ({done.said}). Try again.")
    if done.code != 0:
        raise HostError(f"{transport.host} could not {what} (status {done.code}): {done.said}")
    return done.out


def inner_path(path: str) -> str:
    """Return `path` if it stays inside the folder that it is relative to, else raise `UsageError`."""
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise UsageError(f"{path!r} does not name a file inside the folder. Give a relative path without `..`.")
    return path
