"""This machine as a host: the same face without a connection."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from treadle.base.errors import DataError
from treadle.base.files import disk_errors, sync_folder
from treadle.base.hashing import hash_bytes, hash_file
from treadle.remote.transport import Finished, HostError

if TYPE_CHECKING:
    from collections.abc import Sequence


class LocalTransport:
    """Runs commands and keeps files on this machine."""

    def __init__(self, host: str = "this machine", home: Path | None = None) -> None:
        """Relative paths count from `home`, the user's own folder unless given."""
        self._host = host
        self._home = home or Path.home()

    @property
    def host(self) -> str:
        """See `Transport`."""
        return self._host

    def run(self, argv: Sequence[str], *, stdin: bytes = b"", timeout: float | None = None) -> Finished:
        """See `Transport`."""
        try:
            done = subprocess.run(
                list(argv), input=stdin, capture_output=True, timeout=timeout, cwd=self._home, check=False
            )
        except subprocess.TimeoutExpired as error:
            return Finished(None, error.stdout or b"", error.stderr or b"")
        except FileNotFoundError:
            return Finished(127, b"", f"{argv[0]}: not found".encode())
        except PermissionError:
            return Finished(126, b"", f"{argv[0]}: cannot be executed".encode())
        return Finished(done.returncode if done.returncode >= 0 else 128 - done.returncode, done.stdout, done.stderr)

    def put(self, local: Path, remote: str) -> str:
        """See `Transport`."""
        return _copy(local, self._path(remote), None)

    def put_bytes(self, data: bytes, remote: str, mode: int = 0o644) -> str:
        """See `Transport`."""
        path = self._path(remote)
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")  # mode 600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).chmod(mode)
                Path(name).replace(path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            sync_folder(path.parent)
        return hash_bytes(data)

    def get(self, remote: str, local: Path, sha256: str | None = None) -> str:
        """See `Transport`."""
        source = self._path(remote)
        if not source.is_file():
            raise HostError(f"{self._host} has no file {remote}.")
        return _copy(source, local, sha256)

    def read(self, remote: str, offset: int, most: int) -> bytes:
        """See `Transport`."""
        try:
            with self._path(remote).open("rb") as file:
                file.seek(offset)
                return file.read(most)
        except FileNotFoundError:
            return b""

    def exists(self, remote: str) -> bool:
        """See `Transport`."""
        return self._path(remote).exists()

    def size(self, remote: str) -> int | None:
        """See `Transport`."""
        path = self._path(remote)
        return path.stat().st_size if path.is_file() else None

    def close(self) -> None:
        """See `Transport`."""

    def _path(self, remote: str) -> Path:
        return self._home / remote


def _copy(source: Path, target: Path, sha256: str | None) -> str:
    """Copy under a temporary name, compare what was written, sync, rename."""
    with disk_errors(target):
        wanted = sha256 or hash_file(source)
        if target.is_file() and target.stat().st_size == source.stat().st_size and hash_file(target) == wanted:
            return wanted
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.parent / f".{target.name}.{wanted[:16]}.{os.getpid()}.part"
        try:
            shutil.copyfile(source, part)
            if hash_file(part) != wanted:
                raise DataError(f"{source} is not what was announced (SHA-256 {wanted[:16]}...), or changed meanwhile.")
            with part.open("rb") as file:
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync_folder(target.parent)
    return wanted
