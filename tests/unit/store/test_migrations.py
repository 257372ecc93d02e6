"""A database of each older schema opens, and all that is in it is there afterwards; so does a backup of that time."""

import contextlib
import sqlite3

import pytest

from treadle.jobs.ledger import Ledger
from treadle.store.opening import open_database
from treadle.store.statements import migrations
from treadle.store.workspace import create_workspace

OLDER = range(1, max(migrations("sqlite")))
CHOICES = {"lane": "heavy", "state": "ready", "if_failed": "run", "paused": "after", "outcome": None, "command": None}
TEXTS = {"payload": '{"n": 1}', "facts": "{}", "data": "{}", "queue": "model:m-a", "result": None, "cancel": None}


def value(column, kind, row):
    """Something that the column takes, different in each row where it may be."""
    if column in CHOICES | TEXTS:
        return (CHOICES | TEXTS)[column]
    if column == "job" and kind == "text":
        return '{"queue": "model:m-a", "kind": "train", "payload": {}, "waits_on": []}'
    return f"{column}-{row}" if kind == "text" else row


def fill(execute, columns, mark):
    """Write two rows into each table; `columns` gives names and kinds (`text` or a number) by table."""
    for table, named in columns.items():
        for row in (1, 2):
            values = [value(name, kind, row) for name, kind in named.items()]
            marks = ", ".join([mark] * len(values))
            execute(f"INSERT INTO {table} ({', '.join(named)}) VALUES ({marks})", values)  # noqa: S608 - names from the schema


def rows(execute, columns):
    return {
        table: sorted(map(tuple, execute(f"SELECT {', '.join(named)} FROM {table}", []).fetchall()))  # noqa: S608
        for table, named in columns.items()
    }


def old_file(path, version):
    """A file as a Treadle of that schema has made it, and what is in it."""
    connection = sqlite3.connect(path, isolation_level=None)
    for number, text in migrations("sqlite").items():
        if number <= version:
            connection.executescript(text)
    connection.execute(f"PRAGMA user_version = {version}")
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        table: {row[1]: row[2].lower() for row in connection.execute(f"PRAGMA table_info({table})")}
        for table in tables
        if not table.startswith("sqlite_")
    }
    fill(connection.execute, columns, "?")
    found = rows(connection.execute, columns)
    connection.close()
    return columns, found


@pytest.mark.parametrize("version", OLDER)
def test_a_file_of_an_older_schema_opens_and_nothing_is_lost(quick_folder, version):
    workspace = create_workspace(quick_folder / "lab")
    columns, before = old_file(workspace.database, version)
    assert {"job", "queue", "schedule", "event", "worker", "dependency"} <= set(before)
    with Ledger.open(workspace) as ledger:
        assert {job.id for job in ledger.jobs("model:m-a")} == {1, 2}
        ledger.backup(0.0)
    with contextlib.closing(sqlite3.connect(workspace.database)) as connection:
        assert rows(connection.execute, columns) == before
        assert connection.execute("PRAGMA user_version").fetchone() == (max(migrations("sqlite")),)


@pytest.mark.parametrize("version", OLDER)
def test_a_backup_of_an_older_schema_is_enough_to_rebuild(quick_folder, version):
    workspace = create_workspace(quick_folder / "lab")
    workspace.ledger.mkdir()
    old_file(workspace.ledger / "ledger-000001.db", version)
    workspace.database.write_bytes(b"no database at all" * 100)
    with Ledger.open(workspace) as ledger:
        assert ledger.rebuilt.backup == "ledger-000001.db"
        assert {job.id for job in ledger.jobs("model:m-a")} == {1, 2}


@pytest.mark.parametrize("version", OLDER)
def test_tables_of_an_older_schema_on_a_server_are_brought_up_to_date(quick_folder, postgres_url, version):
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE treadle_schema (version INTEGER NOT NULL)")
        for number, text in migrations("postgres").items():
            if number <= version:
                connection.execute(text)
                connection.execute("INSERT INTO treadle_schema (version) VALUES (%s)", [number])
        columns = {}
        kinds = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %s"
        schema = connection.execute("SELECT current_schema()").fetchone()
        for table, column, kind in connection.execute(kinds, schema).fetchall():
            if table != "treadle_schema":
                columns.setdefault(table, {})[column] = kind
        fill(connection.execute, columns, "%s")
        before = rows(connection.execute, columns)
        workspace = create_workspace(quick_folder / "lab")
        with Ledger(*open_database(workspace, {"TREADLE_DATABASE_URL": postgres_url})) as ledger:
            assert {job.id for job in ledger.jobs("model:m-a")} == {1, 2}
        assert rows(connection.execute, columns) == before
