"""The ledger in one SQLite file: write-ahead log, synced at every commit, one writer at a time."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from typing import TYPE_CHECKING, Any, ClassVar

from treadle.base.errors import ResourceError, TreadleError
from treadle.store.database import (
    ConflictError,
    Database,
    DatabaseBusyError,
    DatabaseDamagedError,
    Row,
)
from treadle.store.statements import migrations, statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from treadle.store.statements import Dialect

_OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
_BUSY_SECONDS = 30.0
_POLL_SECONDS = 0.005


class SqliteDatabase(Database):
    """A connection to `path`, which is made, and brought to the present schema, if need be."""

    dialect: ClassVar[Dialect] = "sqlite"
    local: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ResourceError(
                f"This Python carries SQLite {sqlite3.sqlite_version}; Treadle needs 3.35 or newer. Use a newer Python."
            )
        self.path = path
        self._statements = statements("sqlite")
        with _errors(path):
            self._connection = self._connect()
            self._migrate()
            self._seen = self._data_version()

    def execute(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        with _errors(self.path):
            return self._run(name, values).fetchall()

    def change(self, name: str, values: Mapping[str, Any]) -> int:
        with _errors(self.path):
            return self._run(name, values).rowcount

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with _errors(self.path):
            while (version := self._data_version()) == self._seen:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(_POLL_SECONDS, left))
        self._seen = version
        return True

    def close(self) -> None:
        self._connection.close()

    def _begin(self) -> None:
        with _errors(self.path):
            self._connection.execute("BEGIN IMMEDIATE")

    def _commit(self) -> None:
        with _errors(self.path):
            self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the error that led here matters more
                self._connection.execute("ROLLBACK")

    def _write_events(self, events: Iterable[Row]) -> None:
        now = time.time()
        with _errors(self.path):
            self._connection.executemany(self._statements["insert_event"], [{**event, "now": now} for event in events])

    def _run(self, name: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        return self._connection.execute(self._statements[name], {**values, "now": time.time()})

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.row_factory = _as_dict
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()["data_version"])

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()["user_version"])

    def _migrate(self) -> None:
        version = self._version()
        self._check_version(version, str(self.path))
        if version == self._newest_version():
            return
        self._begin()
        try:
            version = self._version()  # another process may have been faster
            for number, text in migrations("sqlite").items():
                if number > version:
                    for statement in text.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {number}")
            self._commit()
        except BaseException:
            self._roll_back()
            raise


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return dict(zip([column[0] for column in cursor.description], values, strict=True))


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Say what an error of SQLite means for the user."""
    try:
        yield
    except sqlite3.Error as error:
        raise _explained(error, path) from error


def _explained(error: sqlite3.Error, path: Path) -> Exception:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if isinstance(error, sqlite3.IntegrityError):
        return ConflictError(f"{path} refuses a change that would break one of its rules: {error}.")
    if code == sqlite3.SQLITE_FULL:
        return ResourceError(f"No space left on the disk of {path}. Free some and run the command again.")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}:
        return ResourceError(f"Cannot write {path}: {error}. Check the permissions of the folder.")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DatabaseDamagedError(f"{path} is damaged ({error}). The next command that opens it rebuilds it.")
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return DatabaseBusyError(
            f"{path} was held by another process for {_BUSY_SECONDS:.0f} s. Run the command again; if it stays so, "
            "look which process has the file open."
        )
    if code == sqlite3.SQLITE_IOERR:
        return ResourceError(f"The disk of {path} fails or is full ({error}). Check it, then run the command again.")
    return TreadleError(f"{path}: {error}.") if isinstance(error, sqlite3.OperationalError) else error
