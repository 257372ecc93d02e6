import subprocess
import sys

import psycopg
import pytest

from treadle.base.errors import SettingsError
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.store.database import ConflictError, DatabaseBusyError, DatabaseNewerError, DatabaseUnreachableError
from treadle.store.opening import database_url, open_database
from treadle.store.postgres import PostgresDatabase
from treadle.store.workspace import create_workspace

A = "model:m-a"


def test_a_workspace_may_name_its_database(tmp_path):
    workspace = create_workspace(tmp_path / "lab")
    assert database_url(workspace, {}) is None
    workspace.settings_file.write_text("format: 1\ndatabase_url: postgresql://me@host/db\nsettings: {}\n")
    assert database_url(workspace, {}) == "postgresql://me@host/db"
    assert database_url(workspace, {"TREADLE_DATABASE_URL": "postgresql://other/db"}) == "postgresql://other/db"
    workspace.settings_file.write_text("format: 1\n# database_url: postgresql://me@host/db\n")
    assert database_url(workspace, {}) is None
    workspace.settings_file.write_text("format: 1\ndatabase_url:\n")
    assert database_url(workspace, {}) is None


@pytest.mark.parametrize("value", ["mysql://host/db", "host", "7", "[a]"])
def test_an_address_that_is_none_is_refused_where_it_stands(tmp_path, value):
    workspace = create_workspace(tmp_path / "lab")
    workspace.settings_file.write_text(f"format: 1\ndatabase_url: {value}\n")
    with pytest.raises(SettingsError, match=r"database_url in .*treadle\.yaml must .*postgresql://"):
        open_database(workspace, {})


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(DatabaseUnreachableError, match=r"database db on 127\.0\.0\.1.*Check the server") as caught:
        PostgresDatabase("postgresql://me:secret@127.0.0.1:1/db")
    assert "secret" not in str(caught.value)


def test_a_database_of_a_newer_version_is_left_alone(postgres_url):
    PostgresDatabase(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("INSERT INTO treadle_schema VALUES (4711)")
    with pytest.raises(DatabaseNewerError, match=r"4711.*pip install --upgrade treadle"):
        PostgresDatabase(postgres_url)


def test_a_connection_that_breaks_is_made_anew(postgres_url):
    with Ledger(PostgresDatabase(postgres_url)) as ledger:
        made = ledger.submit(NewJob(A, "train", {}))
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'treadle'")
        with pytest.raises(DatabaseUnreachableError):
            ledger.get(made.id)
        assert ledger.get(made.id) == made
        assert ledger.wait(1)  # what happened meanwhile was not announced to us


def test_a_broken_transaction_leaves_nothing_behind(postgres_url):
    with Ledger(PostgresDatabase(postgres_url)) as ledger:
        with pytest.raises(ConflictError, match="rules"), ledger.database.transaction() as transaction:
            transaction.event("never")
            transaction.run("insert_dependency", job=4711, on_job=1, if_failed="run", satisfied=0)
        assert ledger.events() == []
        assert ledger.submit(NewJob(A, "train", {})).place == 1


def test_a_ledger_that_is_held_too_long_is_said_to_be_busy(postgres_url):
    with Ledger(PostgresDatabase(postgres_url)) as ledger, PostgresDatabase(postgres_url) as other:
        ledger.database._connection.execute("SET lock_timeout = '50ms'")
        with other.transaction(), pytest.raises(DatabaseBusyError, match="another process"):
            ledger.submit(NewJob(A, "train", {}))
        assert ledger.submit(NewJob(A, "train", {})).place == 1


def test_a_user_without_rights_is_told(postgres_url):
    PostgresDatabase(postgres_url).close()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS guest")
        connection.execute("CREATE ROLE guest LOGIN")
        with pytest.raises(DatabaseUnreachableError, match="Check the rights"):
            PostgresDatabase(postgres_url.replace("treadle@", "guest@"))
        (schema,) = connection.execute("SELECT current_schema()").fetchone()
        connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO guest")
        connection.execute("GRANT SELECT ON treadle_schema TO guest")
        guest = PostgresDatabase(postgres_url.replace("treadle@", "guest@"))
        with guest, pytest.raises(DatabaseUnreachableError, match="Check the rights"):
            guest.rows("queues")
        connection.execute("DROP OWNED BY guest")
        connection.execute("DROP ROLE guest")


def test_events_are_numbered_in_the_order_in_which_they_become_visible(postgres_url):
    """A reader with a cursor must not pass by an event whose transaction commits later."""
    with PostgresDatabase(postgres_url) as first, Ledger(PostgresDatabase(postgres_url)) as second:
        second.database._connection.execute("SET lock_timeout = '50ms'")
        with first.transaction() as transaction:
            transaction.event("slow")
            with pytest.raises(DatabaseBusyError):
                second.submit(NewJob(A, "train", {}))
        second.submit(NewJob(A, "train", {}))
        assert [event.type for event in second.events()] == ["slow", "submitted"]


def test_without_the_extra_the_remedy_is_named(tmp_path):
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from treadle.base.errors import MissingExtraError\n"
        "try: import treadle.store.postgres\n"
        "except MissingExtraError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'treadle[postgres]'" in done.stdout
