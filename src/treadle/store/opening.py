"""Which database a workspace has, and how it is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

from treadle.store.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from treadle.store.database import Database
    from treadle.store.workspace import WorkspaceFolder


def open_database(workspace: WorkspaceFolder) -> Database:
    """Open the database of `workspace`, made or brought up to date if need be."""
    return SqliteDatabase(workspace.root / "treadle.db")
