"""The ledger in one SQLite file: write-ahead log, synced at every commit, one writer at a time.

Beside the file lies the folder `ledger/`: the journal, the last three backups, and the lock of whoever writes, or moves
a damaged file aside and rebuilds it. A connection notices that its file was replaced and opens the new one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from typing import TYPE_CHECKING, Any, ClassVar

from treadle.base.errors import ResourceError, TreadleError
from treadle.base.files import disk_errors, is_locked
from treadle.store.backups import backups, forget_old, write_backup
from treadle.store.database import ConflictError, Database, DatabaseBusyError, DatabaseDamagedError, Row
from treadle.store.journal import Journal
from treadle.store.sqlite_connecting import (
    BUSY_SECONDS,
    POLL_SECONDS,
    address,
    as_dict,
    code_of,
    is_busy,
    is_damaged,
    log_ahead,
    resource_error,
)
from treadle.store.statements import migrations, statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from treadle.store.statements import Dialect

_OLDEST_SQLITE = (3, 35, 0)  # the first with RETURNING
_TURN_SECONDS = 0.0002


class SqliteDatabase(Database):
    """A connection to `path`, which is made, and brought to the present schema, if need be.

    Where nothing can be written it still reads.
    """

    dialect: ClassVar[Dialect] = "sqlite"
    local: ClassVar[bool] = True

    def __init__(self, path: Path, folder: Path) -> None:
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise ResourceError(
                f"This Python carries SQLite {sqlite3.sqlite_version}; Treadle needs 3.35 or newer. Use a newer Python."
            )
        self.path = path
        self.folder = folder
        self.read_only = False
        self._statements = statements("sqlite")
        self._journal = Journal(folder)
        self._lock = -1
        self._seen = self._inode = 0
        self._open()

    def execute(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        with self._errors():
            return self._run(name, values).fetchall()

    def change(self, name: str, values: Mapping[str, Any]) -> int:
        with self._errors():
            return self._run(name, values).rowcount

    def change_many(self, name: str, values: Sequence[Row]) -> None:
        with self._errors():
            self._connection.executemany(self._statements[name], values)

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with self._errors():
            while not self._replaced() and (version := self._data_version()) == self._seen:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(POLL_SECONDS, left))
            if self._replaced():
                self._reopen()
                version = self._seen
        self._seen = version
        return True

    def close(self) -> None:
        self._connection.close()
        self._journal.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def analyze(self) -> None:
        """Do nothing: without statistics this planner takes the index that fits, and that is always the right one."""

    def backup(self, older_than_seconds: float = 0.0) -> Path | None:
        """Copy the database beside the journal, which begins a new file; the last three copies are kept."""
        newest = next(iter(backups(self.folder)), None)
        # A copy from the future was made before the clock was set back; how old it is nobody knows.
        fresh = newest is not None and 0 <= time.time() - newest.time < older_than_seconds
        if fresh or not self._journal.grown():
            return None
        self._begin()
        try:
            number = self._journal.begin_next()  # under the writers' lock: no line may miss both copy and journal
        finally:
            self._roll_back()
        with self._errors():
            made = write_backup(self._connection, self.folder, number)
        needed = forget_old(self.folder)
        if needed is not None:
            self._journal.forget(needed)
        return made.path

    def _open(self) -> None:
        with self._errors():
            try:
                self._connect("mode=rwc")
            except sqlite3.OperationalError as error:
                if code_of(error) not in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN} or not self.path.is_file():
                    raise
                self.read_only = True
                self._connect("mode=ro&immutable=1")

    def _connect(self, how: str) -> None:
        """Open the file, and make or check what is in it; on an error nothing stays open."""
        self._connection = sqlite3.connect(
            address(self.path, how),
            uri=True,
            timeout=BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,  # one thread at a time uses it; a server's pool hands it from one to the next
        )
        try:
            self._connection.row_factory = as_dict
            if self.read_only:
                self._check_version(self._version(), str(self.path))
            else:
                log_ahead(self._connection)
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("PRAGMA foreign_keys = ON")
                self._connection.execute("PRAGMA cache_size = -16000")  # KiB, taken only as a big ledger needs it
                self._migrate()
            self._inode = self.path.stat().st_ino
            self._seen = self._data_version()
        except BaseException:
            self._connection.close()
            raise

    def _replaced(self) -> bool:
        try:
            return self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            return True

    def _reopen(self, *, locked: bool = False) -> None:
        self._connection.close()
        with self._errors():
            self._await_rebuild(locked=locked)
        self._open()

    def _await_rebuild(self, *, locked: bool) -> None:
        """Wait while another process makes the file anew, for which it holds the lock.

        If nobody does, the file was removed. To open it now would make an empty one, which hides what was lost. Where
        the lock is held here, nobody can.
        """
        end = time.monotonic() + BUSY_SECONDS
        while not self.path.exists():
            if locked or time.monotonic() > end or not is_locked(self.folder / "lock"):
                if self.path.exists():
                    return
                raise DatabaseDamagedError(f"{self.path} is gone. Run the command again: it makes it anew.")
            time.sleep(POLL_SECONDS)

    def _begin(self) -> None:
        if self.read_only:
            raise ResourceError(f"Cannot write {self.path}: it, or its folder, is read-only. Check the permissions.")
        with disk_errors(self.folder):
            if self._lock < 0:
                self.folder.mkdir(exist_ok=True)
                self._lock = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self._lock_writers()
        try:
            with self._errors():
                if self._replaced():
                    self._reopen(locked=True)
                self._connection.execute("BEGIN IMMEDIATE")
        except BaseException:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            raise

    def _lock_writers(self) -> None:
        """Wait for our turn to write, in short steps: SQLite's own waiting takes steps of up to a tenth of a second."""
        end = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > end:
                    raise self._held() from None
                time.sleep(_TURN_SECONDS)
            else:
                return

    def _held(self) -> DatabaseBusyError:
        return DatabaseBusyError(
            f"{self.path} was held by another process for {BUSY_SECONDS:.0f} s. Run the command again; if it stays "
            "so, look which process has the file open."
        )

    def _begin_reading(self) -> None:
        with self._errors():
            if self._replaced():
                self._reopen()
            self._connection.execute("BEGIN")

    def _commit(self) -> None:
        with self._errors():
            self._connection.execute("COMMIT")
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):  # the error that led here matters more
                self._connection.execute("ROLLBACK")
        if self._lock >= 0:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _write_events(self, events: Iterable[Row]) -> None:
        now = time.time()
        with self._errors():
            self._connection.executemany(self._statements["insert_event"], [{**event, "now": now} for event in events])

    def _keep(self, records: Iterable[Row], *, sync: bool) -> None:
        self._journal.append(records, sync=sync)

    def _run(self, name: str, values: Mapping[str, Any]) -> sqlite3.Cursor:
        if not self._connection.in_transaction and self._replaced():
            self._reopen()
        return self._connection.execute(self._statements[name], {**values, "now": time.time()})

    def _data_version(self) -> int:
        return int(self._connection.execute("PRAGMA data_version").fetchone()["data_version"])

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()["user_version"])

    def _migrate(self) -> None:
        version = self._version()
        self._check_version(version, str(self.path))
        if version == self._newest_version():
            return
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = self._version()  # another process may have been faster
            for number, text in migrations("sqlite").items():
                if number > version:
                    for statement in text.split(";\n"):
                        connection.execute(statement)
                    connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what an error of SQLite means for the user."""
        try:
            yield
        except sqlite3.Error as error:
            explained = self._held() if is_busy(error) else _explained(error, self.path)
            if isinstance(explained, DatabaseDamagedError):
                with contextlib.suppress(OSError):
                    self.folder.mkdir(exist_ok=True)
                    (self.folder / "suspect").touch()  # the next one who opens it looks closely
            raise explained from error


def _explained(error: sqlite3.Error, path: Path) -> Exception:
    if isinstance(error, sqlite3.IntegrityError):
        return ConflictError(f"{path} refuses a change that would break one of its rules: {error}.")
    if is_damaged(error):
        return DatabaseDamagedError(f"{path} is damaged ({error}). Run the command again: it is rebuilt when it opens.")
    other = TreadleError(f"{path}: {error}.") if isinstance(error, sqlite3.OperationalError) else error
    return resource_error(error, path) or other
