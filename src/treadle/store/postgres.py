"""The ledger in a Postgres database, for workers on several machines.

Transactions that write take one advisory lock first, so that there is one writer at a time as with SQLite: the numbers
of events are committed in order, nothing deadlocks, and both databases behave the same. Records 14 and 15 have the
figures.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, ClassVar

from treadle.base.errors import MissingExtraError, TreadleError
from treadle.store.database import ConflictError, Database, DatabaseBusyError, DatabaseUnreachableError, Row
from treadle.store.statements import migrations, statements

try:
    import psycopg
    from psycopg.rows import dict_row
except ImportError as error:
    raise MissingExtraError(
        "A Postgres database needs the extra `postgres`. Install it with `pip install 'treadle[postgres]'`."
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from treadle.store.statements import Dialect

_CHANNEL = "treadle_ledger"
_CONNECT_SECONDS = 10
_NO_RIGHTS = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidSchemaName,
    psycopg.errors.ReadOnlySqlTransaction,
)
_SESSION = (
    "SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '30s'; SET client_min_messages = warning; "
    f"LISTEN {_CHANNEL}"
)
_LOCK = "SELECT pg_advisory_xact_lock(hashtext('treadle ' || current_schema()))"


class PostgresDatabase(Database):
    """A connection to the server at `url`, whose tables are made, or brought to the present schema, if need be.

    The tables are in the schema that comes first in the connection's search path. A connection that broke between
    transactions is made anew.
    """

    dialect: ClassVar[Dialect] = "postgres"
    local: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        self._url = url
        self._statements = statements("postgres")
        self._news = False
        with self._errors():
            self._connection = self._connect()
            try:
                self._migrate()
            except BaseException:
                self._connection.close()
                raise

    def execute(self, name: str, values: Mapping[str, Any]) -> list[Row]:
        with self._errors():
            cursor = self._live().execute(self._statements[name], values)
            return cursor.fetchall() if cursor.description else []

    def change(self, name: str, values: Mapping[str, Any]) -> int:
        with self._errors():
            return self._live().execute(self._statements[name], values).rowcount

    def change_many(self, name: str, values: Sequence[Row]) -> None:
        with self._errors(), self._live().cursor() as cursor:
            cursor.executemany(self._statements[name], values)

    def wait(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with self._errors():
            connection = self._live()
            own = connection.info.backend_pid
            left = seconds
            while not self._news:
                # Looked at once even where nothing is to be waited for: that is how followers and workers ask.
                for notify in connection.notifies(timeout=max(0.0, left), stop_after=1):
                    self._news |= notify.pid != own
                if (left := end - time.monotonic()) <= 0:
                    break
            news, self._news = self._news, False
        return news

    def analyze(self) -> None:
        with self._errors():
            self._live().execute("ANALYZE job, queue, dependency")

    def backup(self, older_than_seconds: float = 0.0) -> None:  # noqa: ARG002 - nothing is ever due
        return None

    def close(self) -> None:
        self._connection.close()

    def _connect(self) -> psycopg.Connection[Row]:
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            row_factory=dict_row,
            connect_timeout=_CONNECT_SECONDS,
            application_name="treadle",
        )
        connection.execute(_SESSION)
        return connection

    def _live(self) -> psycopg.Connection[Row]:
        if self._connection.closed:
            self._connection = self._connect()
            self._news = True  # whatever was announced meanwhile was missed
        return self._connection

    def _begin(self) -> None:
        try:
            with self._errors():
                self._live().execute(f"BEGIN; {_LOCK}")
        except BaseException:
            self._roll_back()
            raise

    def _begin_reading(self) -> None:
        with self._errors():
            self._live().execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")

    def _commit(self) -> None:
        with self._errors():
            self._connection.execute("COMMIT")

    def _roll_back(self) -> None:
        if not self._connection.closed and self._connection.info.transaction_status:
            with contextlib.suppress(psycopg.Error):  # the error that led here matters more
                self._connection.execute("ROLLBACK")

    def _write_events(self, events: Iterable[Row]) -> None:
        with self._errors(), self._connection.cursor() as cursor:
            cursor.executemany(self._statements["insert_event"], list(events))
            cursor.execute(f"NOTIFY {_CHANNEL}")  # sent when this commits; without events there is no news

    def _keep(self, records: Iterable[Row], *, sync: bool) -> None:
        """Keep nothing: a server's administrator has its own backups and log."""

    def _migrate(self) -> None:
        connection = self._connection
        row = connection.execute("SELECT to_regclass('treadle_schema') IS NOT NULL AS there").fetchone()
        if row is not None and row["there"] and self._version() == self._newest_version():
            return
        connection.execute(f"BEGIN; {_LOCK}")
        try:
            connection.execute("CREATE TABLE IF NOT EXISTS treadle_schema (version INTEGER NOT NULL)")
            version = self._version()  # another process may have been faster
            self._check_version(version, self._shown())
            for number, text in migrations("postgres").items():
                if number > version:
                    connection.execute(text)
                    connection.execute("INSERT INTO treadle_schema (version) VALUES (%s)", [number])
            connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _version(self) -> int:
        row = self._connection.execute("SELECT coalesce(max(version), 0) AS version FROM treadle_schema").fetchone()
        return 0 if row is None else int(row["version"])

    def _shown(self) -> str:
        """The server and database, without the password."""
        facts = psycopg.conninfo.conninfo_to_dict(self._url)
        return f"Postgres database {facts.get('dbname', '')} on {facts.get('host', 'this machine')}"

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        """Say what an error of Postgres means for the user."""
        try:
            yield
        except psycopg.Error as error:
            raise self._explained(error) from error

    def _explained(self, error: psycopg.Error) -> Exception:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        where = self._shown()
        if isinstance(error, psycopg.errors.IntegrityError):
            return ConflictError(f"{where} refuses a change that would break one of its rules: {said}.")
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return DatabaseBusyError(f"{where} was held by another process for 30 s. Run the command again.")
        if isinstance(error, _NO_RIGHTS):
            return DatabaseUnreachableError(f"{where} does not let us work: {said}. Check the rights of the user.")
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            advice = "Check the server and `database_url`, then run the command again."
            return DatabaseUnreachableError(f"{where} does not answer as it should: {said}. {advice}")
        return TreadleError(f"{where}: {said}.")
