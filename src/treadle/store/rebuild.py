"""A damaged database is moved aside and made again: the newest sound backup, and what the journal says since."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from treadle.base.files import disk_errors, locked, sync_folder
from treadle.store.backups import backups, sound
from treadle.store.database import DatabaseDamagedError
from treadle.store.journal import Journal, merged
from treadle.store.sqlite import SqliteDatabase
from treadle.store.statements import statements

if TYPE_CHECKING:
    from pathlib import Path

_SPARE_EVENTS = 1_000_000
_KEYS = {"queue": ("id",), "job": ("id",), "dependency": ("job", "on_job"), "schedule": ("id",)}


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done about a damaged database."""

    damaged: str | None
    """Where the damaged files lie; None if there were none any more."""
    backup: str | None
    """The backup that it began with."""
    jobs: int
    """How many jobs the journal restored or changed."""

    def sentence(self) -> str:
        """What people are told."""
        source = "its journal" if self.backup is None else f"the backup {self.backup} and its journal"
        what = "was missing" if self.damaged is None else f"was damaged (it lies in {self.damaged} now)"
        return f"The database of this workspace {what}. It was made anew from {source}; no queued job was lost."


def open_sqlite(path: Path, folder: Path) -> tuple[SqliteDatabase, Rebuilt | None]:
    """Open the database at `path`; one that is damaged or lost, but has a journal, is rebuilt first."""
    lost = not path.exists() and (bool(backups(folder)) or bool(Journal(folder).numbers()))
    if not lost and not (folder / "suspect").exists():
        try:
            return SqliteDatabase(path, folder), None
        except DatabaseDamagedError:
            pass
    rebuilt = rebuild(path, folder)
    return SqliteDatabase(path, folder), rebuilt


def rebuild(path: Path, folder: Path) -> Rebuilt | None:
    """Make the database anew if it is damaged or missing; None if it turns out to be sound.

    Killed at any point, it leaves either the old file, or none and all that is needed to do this again.
    """
    with disk_errors(folder):
        folder.mkdir(exist_ok=True)
    with locked(folder / "lock"), disk_errors(path):  # no writer is inside a transaction now
        if path.exists() and sound(path):
            (folder / "suspect").unlink(missing_ok=True)
            return None
        aside = _move_aside(path, folder)
        temporary = folder / ".rebuilding"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        started_from = next((backup for backup in backups(folder) if sound(backup.path)), None)
        if started_from is not None:
            shutil.copyfile(started_from.path, temporary / path.name)
        SqliteDatabase(temporary / path.name, temporary).close()  # brings it to the present schema
        records = list(Journal(folder).read(0 if started_from is None else started_from.journal))
        changed = _replay(temporary / path.name, records)
        with (temporary / path.name).open("rb") as file:
            os.fsync(file.fileno())
        (temporary / path.name).replace(path)
        sync_folder(path.parent)
        shutil.rmtree(temporary, ignore_errors=True)
        (folder / "suspect").unlink(missing_ok=True)
    return Rebuilt(
        None if aside is None else str(aside), None if started_from is None else started_from.path.name, changed
    )


def _move_aside(path: Path, folder: Path) -> Path | None:
    """Move the file and what belongs to it away, the file itself last."""
    there = [file for suffix in ("-shm", "-wal", "") if (file := path.with_name(path.name + suffix)).exists()]
    if not there:
        return None
    aside = folder / time.strftime("damaged-%Y%m%dT%H%M%S", time.gmtime())
    aside.mkdir(exist_ok=True)
    for file in there:
        file.replace(aside / file.name)
    return aside


def _replay(path: Path, records: list[dict[str, Any]]) -> int:
    """Write what the journal says into the database; return how many jobs it speaks of."""
    lines = len(records)
    tables = merged(records)
    text = statements("sqlite")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for table, keys in _KEYS.items():
            for fields in tables.get(table, {}).values():
                _put(connection, table, keys, fields)
        for (queue,) in connection.execute(text["missing_queues"]).fetchall():
            kind, _, owner = queue.partition(":")
            values = {"id": queue, "owner_kind": kind, "owner_id": owner, "count": 0}
            connection.execute(text["extend_queue"], values).fetchall()
        now = {"now": time.time()}
        for name in ("repair_tails", "repair_dependencies", "repair_waits", "repair_states"):
            connection.execute(text[name], now)
        # Cursors of readers may stand behind events that are lost; what happens from now on must come after those.
        spare = _SPARE_EVENTS + 10 * lines
        data = json.dumps({"jobs": len(tables.get("job", {})), "lines": lines})
        connection.execute(text["jump_events"], {**now, "spare": spare, "data": data})
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return len(tables.get("job", {}))


def _put(connection: sqlite3.Connection, table: str, keys: tuple[str, ...], fields: dict[str, Any]) -> None:
    """Bring one row to what the journal says; what another version of the schema called otherwise is left out."""
    known = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = {name: fields[name] for name in known if name in fields}
    where = " AND ".join(f"{key} = :{key}" for key in keys)
    if fields.get("gone"):
        connection.execute(f"DELETE FROM {table} WHERE {where}", fields)  # noqa: S608 - names from this file
        return
    changes = ", ".join(f"{name} = :{name}" for name in values)
    if connection.execute(f"UPDATE {table} SET {changes} WHERE {where}", values).rowcount == 0:  # noqa: S608
        names, marks = ", ".join(values), ", ".join(f":{name}" for name in values)
        with contextlib.suppress(sqlite3.IntegrityError):  # a change of a row whose beginning is lost
            connection.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values)  # noqa: S608
