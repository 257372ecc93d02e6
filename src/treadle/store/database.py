"""The database behind the ledger, as the rooms above see it: named statements inside short transactions.

There are two: `SqliteDatabase`, one file in the workspace, and `PostgresDatabase`, for several machines. A `Database`
belongs to one thread; another thread or process opens its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from treadle.base.errors import DataError, NotReadyError, ResourceError, TreadleError
from treadle.store.journal import to_json
from treadle.store.statements import migrations

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from treadle.store.statements import Dialect

Row = dict[str, Any]


class DatabaseDamagedError(DataError):
    """The bytes of the database are not a database any more."""


class DatabaseBusyError(NotReadyError):
    """Another process held the database for too long."""


class DatabaseNewerError(NotReadyError):
    """A newer version of Treadle has changed the database."""


class DatabaseUnreachableError(ResourceError):
    """The database server does not answer, or refuses us."""


class ConflictError(TreadleError):
    """A row would break a rule that the database enforces, such as one writer of weights for each model."""


class Reader(Protocol):
    """What can run a statement: a transaction, or a database between transactions."""

    def rows(self, statement: str, /, **values: Any) -> list[Row]:  # noqa: ANN401 - values of columns
        """Run a statement; return its rows."""
        ...


class Transaction:
    """Statements that happen together or not at all. Events and the journal are written last, before it commits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.events: list[Row] = []
        self.kept: list[Row] = []
        self.synced = False

    def rows(self, statement: str, /, **values: Any) -> list[Row]:  # noqa: ANN401 - values of columns
        """Run a statement; return its rows."""
        return self._database.execute(statement, values)

    def row(self, statement: str, /, **values: Any) -> Row | None:  # noqa: ANN401 - values of columns
        """Run a statement; return its first row, if any."""
        return next(iter(self._database.execute(statement, values)), None)

    def run(self, statement: str, /, **values: Any) -> int:  # noqa: ANN401 - values of columns
        """Run a statement; return how many rows it changed."""
        return self._database.change(statement, values)

    def many(self, statement: str, values: Sequence[Row]) -> None:
        """Run a statement once for each of `values`."""
        self._database.change_many(statement, values)

    def event(self, type_: str, /, job: int | None = None, queue: str | None = None, **data: Any) -> None:  # noqa: ANN401
        """Tell, at the end of this transaction, that something happened."""
        self.events.append({"type": type_, "job": job, "queue": queue, "data": to_json(data)})

    def keep(self, table: str, /, *, sync: bool = False, **fields: Any) -> None:  # noqa: ANN401 - values of columns
        """Write down outside the database what a row has become, in case the database is damaged one day."""
        self.kept.append({"table": table, **fields})
        self.synced |= sync


class Database(ABC):
    """One connection to the ledger's database."""

    dialect: ClassVar[Dialect]
    local: ClassVar[bool]
    """Whether only processes of this machine can reach it."""

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """Write: all that happens inside becomes visible and durable at the end of the block, or not at all."""
        self._begin()
        try:
            transaction = Transaction(self)
            yield transaction
            if transaction.events:
                self._write_events(transaction.events)
            if transaction.kept:
                self._keep(transaction.kept, sync=transaction.synced)
            self._commit()
        except BaseException:
            self._roll_back()
            raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Read: all that is read inside is of one moment."""
        self._begin_reading()
        try:
            yield
        finally:
            self._roll_back()

    def rows(self, statement: str, /, **values: Any) -> list[Row]:  # noqa: ANN401 - values of columns
        """Run a statement by itself; return its rows."""
        return self.execute(statement, values)

    @abstractmethod
    def execute(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        """Run a named statement and fetch its rows."""

    @abstractmethod
    def change(self, name: str, values: Mapping[str, Any]) -> int:
        """Run a named statement and count the rows that it changed."""

    @abstractmethod
    def change_many(self, name: str, values: Sequence[Row]) -> None:
        """Run a named statement once for each of `values`."""

    @abstractmethod
    def wait(self, seconds: float) -> bool:
        """Wait until another connection has committed something, at most `seconds`; tell whether one has."""

    @abstractmethod
    def analyze(self) -> None:
        """Let the planner know that the tables have grown a lot."""

    @abstractmethod
    def backup(self, older_than_seconds: float = 0.0) -> Path | None:
        """Copy the database if it has changed and its newest copy is older than that; None if nothing was to be done.

        A database on a server is its administrator's to copy.
        """

    @abstractmethod
    def close(self) -> None:
        """Give the connection back."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _begin_reading(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _roll_back(self) -> None: ...

    @abstractmethod
    def _write_events(self, events: Iterable[Row]) -> None: ...

    @abstractmethod
    def _keep(self, records: Iterable[Row], *, sync: bool) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _newest_version(self) -> int:
        return max(migrations(self.dialect))

    def _check_version(self, version: int, shown: str) -> None:
        newest = self._newest_version()
        if version > newest:
            raise DatabaseNewerError(
                f"{shown} was made by a newer Treadle (its schema is {version}, this one knows {newest}). "
                "Nothing was changed. Update Treadle: `pip install --upgrade treadle`."
            )
