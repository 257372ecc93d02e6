"""A SQLite file of its own, beside the ledger: its schema and its statements stand in one folder of this room.

It holds what one job writes quickly and can do again, such as the frontier of a crawl. A commit survives the death of
every process; a power cut may take the last few, never a part of one. One process writes, others may read meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import DataError, NotFoundError, NotReadyError, ResourceError, TreadleError
from treadle.base.files import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Row = dict[str, Any]

_HERE = Path(__file__).parent
_HEADING = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_BUSY_SECONDS = 30.0


@cache
def statements_of(kind: str) -> Mapping[str, str]:
    """All statements of one kind of file by name: those in `KIND/queries.sql`."""
    parts = _HEADING.split((_HERE / kind / "queries.sql").read_text(encoding="utf-8"))
    return {name: text.strip() for name, text in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def steps_of(kind: str) -> Mapping[int, str]:
    """The numbered steps from an empty file to the present schema: `KIND/NNNN_*.sql`."""
    return {
        int(path.name[:4]): path.read_text(encoding="utf-8") for path in sorted((_HERE / kind).glob("[0-9]*_*.sql"))
    }


class SqliteFile:
    """A connection to the file at `path`, which is made, and brought to the present schema, if need be.

    With `read_only` nothing is made, and the file may be one that another process writes to.
    """

    def __init__(self, path: Path, kind: str, *, read_only: bool = False) -> None:
        """`kind` is the folder that holds schema and statements."""
        self.path = path
        self._kind = kind
        self._statements = statements_of(kind)
        with self._errors():
            if not read_only:
                with disk_errors(path):
                    path.parent.mkdir(parents=True, exist_ok=True)
            name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
            mode = "rw" if read_only else "rwc"
            self._connection = sqlite3.connect(
                f"file:{name}?mode={mode}", uri=True, timeout=_BUSY_SECONDS, isolation_level=None, cached_statements=256
            )
            try:
                self._connection.row_factory = _as_dict
                if read_only:
                    self._connection.execute("PRAGMA query_only = ON")
                    self._check_made()
                else:
                    self._connection.execute("PRAGMA journal_mode = WAL")
                    self._connection.execute("PRAGMA synchronous = NORMAL")
                    self._connection.execute("PRAGMA cache_size = -16000")  # KiB, taken only as a big file needs it
                    self._migrate()
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    def rows(self, statement: str, /, **values: Any) -> list[Row]:  # noqa: ANN401 - values of columns
        """Run a statement; return its rows."""
        with self._errors():
            found: list[Row] = self._connection.execute(self._statements[statement], values).fetchall()
        return found

    def row(self, statement: str, /, **values: Any) -> Row | None:  # noqa: ANN401 - values of columns
        """Run a statement; return its first row, if any."""
        return next(iter(self.rows(statement, **values)), None)

    def run(self, statement: str, /, **values: Any) -> int:  # noqa: ANN401 - values of columns
        """Run a statement; return how many rows it changed."""
        with self._errors():
            return self._connection.execute(self._statements[statement], values).rowcount

    def many(self, statement: str, values: Sequence[Row]) -> None:
        """Run a statement once for each of `values`."""
        with self._errors():
            self._connection.executemany(self._statements[statement], values)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside happens, or nothing of it."""
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):  # the error that led here matters more
                        self._connection.execute("ROLLBACK")
                raise

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()["user_version"])

    def _check_made(self) -> None:
        version = self._version()
        if version == 0:
            raise NotFoundError(f"{self.path} is only just being made. Look again in a moment.")
        self._check(version)

    def _check(self, version: int) -> None:
        newest = max(steps_of(self._kind))
        if version > newest:
            raise NotReadyError(
                f"{self.path} was made by a newer Treadle (its schema is {version}, this one knows {newest}). "
                "Nothing was changed. Update Treadle: `pip install --upgrade treadle`."
            )

    def _migrate(self) -> None:
        version = self._version()
        self._check(version)
        with self.transaction():
            for number, text in steps_of(self._kind).items():
                if number > version:
                    for statement in text.split(";\n"):
                        self._connection.execute(statement)
                    self._connection.execute(f"PRAGMA user_version = {number}")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what an error of SQLite means for the user."""
        try:
            yield
        except sqlite3.Error as error:
            raise _explained(error, self.path) from error


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> Row:
    return dict(zip([column[0] for column in cursor.description], values, strict=True))


def _explained(error: sqlite3.Error, path: Path) -> TreadleError:
    code = int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
    if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return NotReadyError(f"{path} is held by another process. Run the command again when that one has ended.")
    if code == sqlite3.SQLITE_FULL:
        return ResourceError(f"No space left on the disk of {path}. Free some and run the command again.")
    if code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN}:
        return ResourceError(f"Cannot open or write {path}: {error}. Check the permissions of its folder.")
    if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return DataError(f"{path} is damaged ({error}). Move it away; what it led to stays, and is found again.")
    if code == sqlite3.SQLITE_IOERR:
        return ResourceError(f"The disk of {path} fails or is full ({error}). Check it, then run the command again.")
    return TreadleError(f"{path}: {error}.")
