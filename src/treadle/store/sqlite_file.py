"""A SQLite file of its own, beside the ledger: its schema and its statements stand in one folder of this room.

It holds what one job writes quickly and can do again, such as the frontier of a crawl. A commit survives the death of
every process; a power cut may take the last few, never a part of one. One process writes, others may read meanwhile.
"""

from __future__ import annotations

import contextlib
import sqlite3
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from treadle.base.errors import DataError, NotFoundError, NotReadyError, TreadleError
from treadle.base.files import disk_errors
from treadle.store.sqlite_connecting import (
    BUSY_SECONDS,
    address,
    as_dict,
    is_busy,
    is_damaged,
    log_ahead,
    resource_error,
)
from treadle.store.statements import read_statements, read_steps

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Row = dict[str, Any]

_HERE = Path(__file__).parent


@cache
def statements_of(kind: str) -> Mapping[str, str]:
    """All statements of one kind of file by name: those in `KIND/queries.sql`."""
    return {name: text for name, _, text in read_statements(_HERE / kind / "queries.sql")}


@cache
def steps_of(kind: str) -> Mapping[int, str]:
    """The numbered steps from an empty file to the present schema: `KIND/NNNN_*.sql`."""
    return read_steps(_HERE / kind)


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
            self._connection = sqlite3.connect(
                address(path.absolute(), "mode=rw" if read_only else "mode=rwc"),
                uri=True,
                timeout=BUSY_SECONDS,
                isolation_level=None,
                cached_statements=256,
            )
            try:
                self._connection.row_factory = as_dict
                if read_only:
                    self._connection.execute("PRAGMA query_only = ON")
                    self._check_made()
                else:
                    log_ahead(self._connection)
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


def _explained(error: sqlite3.Error, path: Path) -> TreadleError:
    if is_busy(error):
        return NotReadyError(f"{path} is held by another process. Run the command again when that one has ended.")
    if is_damaged(error):
        return DataError(f"{path} is damaged ({error}). Move it away; what it led to stays, and is found again.")
    return resource_error(error, path) or TreadleError(f"{path}: {error}.")
