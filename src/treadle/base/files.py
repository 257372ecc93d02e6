"""Files that are either wholly there or not there: temporary name, fsync, rename."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from treadle.base.errors import DataError, ResourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_FORGOTTEN_SECONDS: Final = 3600


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn `no space left`, `read-only` and `permission denied` into errors that name the place and the remedy."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise ResourceError(f"No space left on the disk of {path}. Free some and run the command again.") from error
        if error.errno in {errno.EROFS, errno.EACCES, errno.EPERM}:
            raise ResourceError(f"Cannot write {path}: {error.strerror}. Check its permissions.") from error
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically and durably."""
    with _written_beside(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, atomically."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - JSON is any tree of plain values
    """Replace `path` by readable JSON, atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is any tree of plain values
    """Read a JSON file; raises `DataError` naming it when it is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path} is missing.") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON ({error}); restore it from a copy or remove it.") from error


def sync_folder(folder: Path) -> None:
    """Make renames inside `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Give a temporary sibling of `final` to fill; it takes the name `final` at the end, or vanishes on an error.

    The files inside are synced first. `final` must not exist yet.
    """
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp"))
        try:
            yield temporary
            for path in temporary.rglob("*"):
                if path.is_file():
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
                else:
                    sync_folder(path)
            temporary.chmod(0o777 & ~_umask())
            sync_folder(temporary)
            temporary.rename(final)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(final.parent)


@contextlib.contextmanager
def new_file(final: Path) -> Iterator[BinaryIO]:
    """Give a temporary file to fill; it takes the name `final` at the end, or vanishes on an error.

    `final` must not exist yet; what killed writers of it left more than an hour ago is removed first.
    """
    with disk_errors(final):
        for left in final.parent.glob(f".{glob.escape(final.name)}.*.tmp"):
            if left.is_file() and left.stat().st_mtime < time.time() - _FORGOTTEN_SECONDS:
                left.unlink(missing_ok=True)
    with _written_beside(final) as file:
        yield file


@contextlib.contextmanager
def _written_beside(final: Path) -> Iterator[BinaryIO]:
    """Give a temporary sibling of `final` to fill; it takes the name `final` at the end, or vanishes on an error."""
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=f".{final.name}.", suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_umask())
            Path(name).replace(final)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        sync_folder(final.parent)


@contextlib.contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold an exclusive `flock` on `path` (created if need be); raises `BlockingIOError` if taken and not `wait`.

    The kernel frees it when the process dies, however it dies.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(handle)


def is_locked(path: Path) -> bool:
    """Whether some process holds a `flock` on a file that may not exist."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def remove_leftovers(folder: Path) -> list[Path]:
    """Remove temporary files and folders that a killed writer left in `folder`; the caller holds its lock."""
    removed = []
    for path in folder.glob(".*.tmp"):
        removed.append(path)
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return removed


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
