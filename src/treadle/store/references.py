"""Which objects the files of a workspace refer to: every 64-character hexadecimal text in its documents and databases.

That takes more for used than is; it never takes less, whichever room keeps the reference.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

from treadle.base.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from treadle.store.workspace import WorkspaceFolder

_ID = re.compile(r"[0-9a-f]{64}")
_DATABASES = frozenset({".db", ".sqlite", ".sqlite3"})


def referenced_objects(workspace: WorkspaceFolder, without: frozenset[Path] = frozenset()) -> set[str]:
    """Ids that datasets, models, crawls and notes name; files in `without` do not count.

    Raises:
        DataError: A file is damaged, so that what it refers to is not known.
    """
    passed_over = {workspace.objects, workspace.trash, workspace.runs, workspace.ledger}
    found: set[str] = set()
    for path in _files(workspace.root, passed_over):
        if path not in without:
            found.update(_named_in(path))
    return found


def _files(folder: Path, passed_over: set[Path]) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path in passed_over:
            continue
        if path.is_dir():
            yield from _files(path, passed_over)
        else:
            yield path


def _named_in(path: Path) -> Iterator[str]:
    try:
        if path.suffix in {".json", ".jsonl", ".yaml"}:
            yield from _ID.findall(path.read_text(encoding="utf-8"))
        elif path.suffix in _DATABASES:
            yield from _named_in_database(path)
    except (ValueError, sqlite3.Error) as error:
        raise DataError(f"{path} is damaged, so what it refers to is not known; nothing was removed.") from error


def _named_in_database(path: Path) -> Iterator[str]:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            quoted = table.replace('"', '""')
            for row in database.execute(f'SELECT * FROM "{quoted}"'):  # noqa: S608 - a name that the file itself gives
                for value in row:
                    if isinstance(value, str) and len(value) >= 64:
                        yield from _ID.findall(value)
