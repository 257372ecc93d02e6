"""What all connections to SQLite files have in common: addresses, rows, the write-ahead log, what errors mean."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, Any

from treadle.base.errors import ResourceError

if TYPE_CHECKING:
    from pathlib import Path

BUSY_SECONDS = 30.0
"""How long a connection waits for another process."""
POLL_SECONDS = 0.005


def address(path: Path, how: str) -> str:
    """The file as a URI; `how` is what stands behind its question mark."""
    quoted = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{quoted}?{how}"


def as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    """A row by the names of its columns; a `row_factory`."""
    return dict(zip([column[0] for column in cursor.description], values, strict=True))


def log_ahead(connection: sqlite3.Connection) -> None:
    """Turn the write-ahead log on; SQLite itself does not wait for another process that is doing the same."""
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > end:
                raise
            time.sleep(POLL_SECONDS)
        else:
            return


def code_of(error: sqlite3.Error) -> int:
    """The primary code of an error; 0 where Python raised it by itself."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds what was wanted."""
    return code_of(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_damaged(error: sqlite3.Error) -> bool:
    """Whether the file is not what SQLite has written."""
    return code_of(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def resource_error(error: sqlite3.Error, path: Path) -> ResourceError | None:
    """What to do about an error of disk or permissions; None for any other."""
    code = code_of(error)
    if code == sqlite3.SQLITE_FULL:
        return ResourceError(f"No space left on the disk of {path}. Free some and run the command again.")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}:
        return ResourceError(f"Cannot open or write {path}: {error}. Check the permissions of its folder.")
    if code == sqlite3.SQLITE_IOERR:
        return ResourceError(f"The disk of {path} fails or is full ({error}). Check it, then run the command again.")
    return None
