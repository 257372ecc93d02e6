"""Which database a workspace has, and how it is opened."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from treadle.base.errors import SettingsError
from treadle.store.rebuild import open_sqlite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from treadle.store.database import Database
    from treadle.store.rebuild import Rebuilt
    from treadle.store.workspace import WorkspaceFolder

URL_VARIABLE = "TREADLE_DATABASE_URL"
_KEY = "database_url"


def open_database(
    workspace: WorkspaceFolder, environment: Mapping[str, str] | None = None
) -> tuple[Database, Rebuilt | None]:
    """Open the database of `workspace`, made, brought up to date or rebuilt if need be.

    It is SQLite in the workspace, unless `TREADLE_DATABASE_URL`, or `database_url` in `treadle.yaml`, names a Postgres.
    """
    url = database_url(workspace, os.environ if environment is None else environment)
    if url is None:
        return open_sqlite(workspace.database, workspace.ledger)
    from treadle.store.postgres import PostgresDatabase

    return PostgresDatabase(url), None


def has_traces(workspace: WorkspaceFolder, environment: Mapping[str, str] | None = None) -> bool:
    """Whether there is, or was, a database: its file, a backup, a journal, or a server that keeps it."""
    if workspace.database.exists() or any(workspace.ledger.glob("*-[0-9]*")):
        return True
    return database_url(workspace, os.environ if environment is None else environment) is not None


def database_url(workspace: WorkspaceFolder, environment: Mapping[str, str]) -> str | None:
    """The address of the Postgres database that was chosen; None for SQLite."""
    url, place = environment.get(URL_VARIABLE), URL_VARIABLE
    if not url:
        url, place = _from_settings(workspace), str(workspace.settings_file)
    if url is None:
        return None
    if not url.startswith(("postgresql://", "postgres://")):
        raise SettingsError(
            f"{_KEY} in {place} must begin with postgresql://, such as postgresql://USER@HOST/DATABASE. "
            "Leave it out for SQLite."
        )
    return url


def _from_settings(workspace: WorkspaceFolder) -> str | None:
    text = workspace.settings_file.read_text(encoding="utf-8")
    if _KEY not in text:
        return None  # the usual case, without the time that it takes to import the YAML reader
    import yaml

    try:
        value = yaml.safe_load(text)[_KEY]
    except (yaml.YAMLError, KeyError, TypeError):
        return None  # a comment, or a broken file, of which the reader of settings has more to say
    if value is None:
        return None
    if not isinstance(value, str):
        raise SettingsError(
            f"{_KEY} in {workspace.settings_file} must be text, such as postgresql://USER@HOST/DATABASE."
        )
    return value
