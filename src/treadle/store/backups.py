"""Copies of the database, made while it is in use; the last three are kept."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

from treadle.base.files import disk_errors, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_KEPT = 3


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy. The journal's files from `journal` on say what has happened since."""

    path: Path
    journal: int

    @property
    def time(self) -> float:
        """When it was made, in seconds since 1970."""
        return self.path.stat().st_mtime


def backups(folder: Path) -> list[Backup]:
    """The copies that there are, newest first."""
    found = [Backup(path, int(path.stem[7:])) for path in folder.glob("ledger-[0-9]*.db")]
    return sorted(found, key=lambda backup: backup.journal, reverse=True)


def write_backup(source: sqlite3.Connection, folder: Path, journal: int) -> Backup:
    """Copy the database behind `source`; the copy has its name when it is complete and on the disk."""
    final = folder / f"ledger-{journal:06d}.db"
    temporary = folder / f".{final.name}.tmp"
    with disk_errors(final):
        temporary.unlink(missing_ok=True)
        try:
            with contextlib.closing(sqlite3.connect(temporary)) as copy:
                source.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a write-ahead log beside it
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(final)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(folder)
    return Backup(final, journal)


def forget_old(folder: Path) -> int | None:
    """Remove all copies but the last three; return the number of the journal that the oldest kept one needs."""
    found = backups(folder)
    for backup in found[_KEPT:]:
        backup.path.unlink(missing_ok=True)
    return min((backup.journal for backup in found[:_KEPT]), default=None)


def sound(path: Path) -> bool:
    """Whether a copy is a whole database; reads all of it."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False
