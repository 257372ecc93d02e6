"""What can go wrong with a file: each time an error that names the remedy, and nothing lost."""

import contextlib
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from treadle.base.errors import ResourceError
from treadle.jobs.job import NewJob
from treadle.jobs.ledger import Ledger
from treadle.store import sqlite as module
from treadle.store.database import ConflictError, DatabaseBusyError, DatabaseNewerError
from treadle.store.sqlite import SqliteDatabase
from treadle.store.statements import statements
from treadle.store.workspace import create_workspace

A = "model:m-a"


@pytest.fixture
def workspace(quick_folder):
    return create_workspace(quick_folder / "lab # 100% ü")


def in_child(code, workspace, **options):
    """Run `code` with an open `ledger` in a process of its own; returns what it printed."""
    prelude = (
        "import sys, os; from pathlib import Path; from treadle.jobs.ledger import Ledger\n"
        "from treadle.jobs.job import NewJob; from treadle.base.errors import ResourceError, TreadleError\n"
        "from treadle.store.workspace import WorkspaceFolder\n"
        "workspace = WorkspaceFolder(Path(sys.argv[1])); A = 'model:m-a'\n"
    )
    command = [sys.executable, "-B", "-c", prelude + code, workspace.root]
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_database_of_a_newer_version_is_left_alone(workspace):
    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {}))
    connection = sqlite3.connect(workspace.database)
    connection.execute("PRAGMA user_version = 4711")
    connection.close()
    before = workspace.database.read_bytes()
    with pytest.raises(DatabaseNewerError, match=r"4711.*pip install --upgrade treadle"):
        Ledger.open(workspace)
    assert workspace.database.read_bytes() == before


def test_what_is_written_is_durable_and_logged_ahead(workspace):
    with SqliteDatabase(workspace.database, workspace.ledger) as database:
        connection = database._connection
        assert connection.execute("PRAGMA journal_mode").fetchone() == {"journal_mode": "wal"}
        assert connection.execute("PRAGMA synchronous").fetchone() == {"synchronous": 2}  # FULL
        assert connection.execute("PRAGMA foreign_keys").fetchone() == {"foreign_keys": 1}


def test_a_job_of_no_queue_is_refused_by_the_database(workspace):
    with Ledger.open(workspace) as ledger:
        made = ledger.submit(NewJob(A, "train", {}))
        with pytest.raises(ConflictError, match="rules"), ledger.database.transaction() as transaction:
            transaction.run("insert_dependency", job=made.id + 1, on_job=made.id, if_failed="run", satisfied=0)


def test_a_full_disk_is_said_and_loses_nothing(workspace):
    """A limit on the size of files is met while the database grows; afterwards all confirmed jobs are there."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))

    code = (
        "ledger = Ledger.open(workspace)\n"
        "try:\n"
        "    while True: print(ledger.submit(NewJob(A, 'train', {'text': 'x' * 2000})).id)\n"
        "except ResourceError as error: print(error)\n"
        "print(ledger.jobs(count=1)[0].state)\n"
    )
    *ids, message, state = in_child(code, workspace, preexec_fn=limit).splitlines()
    assert "disk" in message
    assert "again" in message
    assert state == "ready"
    assert len(ids) > 10
    with Ledger.open(workspace) as ledger:
        assert [job.id for job in ledger.jobs(count=10**6)] == [int(identity) for identity in ids]
        assert ledger.submit(NewJob(A, "train", {})).place == len(ids) + 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_is_said_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    try:
        workspace = create_workspace(disk / "lab")
        made = []
        with Ledger.open(workspace) as ledger, pytest.raises(ResourceError, match="No space left"):
            while True:
                made.append(ledger.submit(NewJob(A, "train", {"text": "x" * 3000})).id)
        with Ledger.open(workspace) as ledger:
            assert [job.id for job in ledger.jobs(count=10**6)] == made
            assert len(made) > 10
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_a_read_only_workspace_can_be_read_and_says_why_it_cannot_be_written(workspace):
    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {}))
    code = (
        "import pwd\n"
        "if os.geteuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "ledger = Ledger.open(workspace)\n"
        "print([job.kind for job in ledger.jobs()])\n"
        "try: ledger.submit(NewJob(A, 'train', {}))\n"
        "except ResourceError as error: print(error)\n"
    )
    paths = [workspace.root, workspace.root.parent, workspace.ledger, *workspace.root.glob("treadle.db*")]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        kinds, message = in_child(code, workspace).splitlines()
    finally:
        for path in paths:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert kinds == "['train']"
    assert "treadle.db" in message
    assert "permissions" in message


def test_a_workspace_that_cannot_hold_a_database_is_named(workspace):
    workspace.database.mkdir()
    with pytest.raises(ResourceError, match=r"treadle\.db.*permissions"):
        Ledger.open(workspace)


def test_a_database_that_is_held_too_long_is_said_to_be_busy(workspace, monkeypatch):
    with Ledger.open(workspace) as ledger:
        ledger.submit(NewJob(A, "train", {}))
        ledger.database._connection.execute("PRAGMA busy_timeout = 50")
        holder = sqlite3.connect(workspace.database, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusyError, match="another process"):
            ledger.submit(NewJob(A, "train", {}))
        holder.execute("COMMIT")
        holder.close()
        assert ledger.submit(NewJob(A, "train", {})).place == 2


def test_many_processes_may_make_the_database_at_once(workspace):
    code = (
        "import sys; from pathlib import Path\n"
        "from treadle.jobs.ledger import Ledger; from treadle.jobs.job import NewJob\n"
        "from treadle.store.workspace import WorkspaceFolder\n"
        "print('x', flush=True); sys.stdin.read(1)\n"
        "Ledger.open(WorkspaceFolder(Path(sys.argv[1]))).submit(NewJob('model:m-a', 'train', {}))\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    children = [subprocess.Popen([sys.executable, "-c", code, workspace.root], **pipes) for _ in range(4)]
    for child in children:
        child.stdout.read(1)
    for child in children:
        child.stdin.write(b"x")
        child.stdin.flush()
    assert [(child.communicate()[1], child.returncode) for child in children] == [(b"", 0)] * 4
    with Ledger.open(workspace) as ledger:
        assert sorted(job.place for job in ledger.jobs()) == [1, 2, 3, 4]


def test_who_opens_waits_for_another_process_that_makes_the_database(workspace):
    """SQLite says at once that a file is locked that cannot turn to its write-ahead log yet."""
    workspace.database.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(workspace.database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        opened = []
        opener = threading.Thread(
            target=lambda: opened.append(SqliteDatabase(workspace.database, workspace.ledger).close())
        )
        opener.start()
        opener.join(0.2)
        assert opener.is_alive()
        holder.execute("ROLLBACK")
    opener.join(20)
    assert opened == [None]


def test_no_statement_that_is_needed_often_reads_the_whole_table_of_jobs(workspace):
    """With a million jobs, each of them would take a second."""
    scanned = []
    with SqliteDatabase(workspace.database, workspace.ledger) as database:
        for name, text in statements("sqlite").items():
            values = dict.fromkeys(re.findall(r"(?<![:\w]):([a-z_]+)", text), 1)
            plan = database._connection.execute(f"EXPLAIN QUERY PLAN {text}", values).fetchall()
            if any(step["detail"] == "SCAN job" for step in plan):
                scanned.append(name)
    assert set(scanned) <= {"missing_queues", "repair_waits", "repair_states"}  # a rebuild reads all of it anyway


def test_only_what_a_submit_needs_is_imported():
    """The first step of a training must not wait for a library that only writes SQL."""
    code = "import sys, treadle.jobs.ledger; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"sqlalchemy", "alembic", "psycopg", "pydantic", "numpy", "torch"} & set(loaded)
    assert "sqlite3" in loaded
    assert Path(module.__file__).name == "sqlite.py"
